"""One program in one process: read the job, lock the process down, run the program, report each call.

The frames it sends: ready | load_error(part, kind, message, line, column) | loaded | returned(i, value) |
raised(i, class, message) | unserialisable(i, class).  No frame means "passed", and no expected value is
ever in this process, so a program can neither forge a pass nor find an answer.
"""

from __future__ import annotations

import marshal
import os
from typing import Any, Protocol

from . import wire
from .lock import Lock
from .program import LOADED

JOB = 3


class Gone(BaseException):
    """The other side hung up."""


def read_exactly(fd: int, size: int) -> bytes:
    parts = []
    while size:
        part = os.read(fd, size)
        if not part:
            raise Gone
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_body(fd: int, most: int = 1 << 30) -> bytes:
    """The body of the next frame."""
    (size,) = wire.HEADER.unpack(read_exactly(fd, wire.HEADER.size))
    if size > most:
        raise wire.BadFrame("frame too large")
    return read_exactly(fd, size)


def write(fd: int, frame: bytes) -> None:
    unsent = memoryview(frame)
    while unsent:
        unsent = unsent[os.write(fd, unsent) :]


def say(fd: int, tokens: list[str]) -> None:
    write(fd, wire.pack(tokens))


class Box(Protocol):
    """Where a program runs: `program.Program`, or `vm.Machine`.  Every method returns a frame."""

    def load(self, job: dict[str, Any]) -> bytes: ...
    def call(self, i: int, arguments: list[Any], named: dict[str, Any]) -> bytes: ...


def _run(job: dict[str, Any], box: Box) -> None:
    first = box.load(job)
    write(JOB, first)
    if first != LOADED:
        return
    for i, arguments in enumerate(job["calls"]):
        write(JOB, box.call(i, arguments, {}))
    i = len(job["calls"])
    while job["serve"]:
        arguments, named = wire.decode(wire.unpack(read_body(JOB)))
        write(JOB, box.call(i, arguments, named))
        i += 1


def begin(zygote: int, lock: Lock) -> dict[str, Any]:
    """The job of this freshly forked process, which is locked down when this returns."""
    job = marshal.loads(read_body(JOB))
    try:
        lock.close(zygote, job["cpu_s"])
    except (OSError, ValueError) as error:
        say(JOB, ["infra", str(error)])
        os._exit(1)
    say(JOB, ["ready"])
    return job


def main(zygote: int, lock: Lock, box: Box) -> None:
    """Entered in the freshly forked child; does not return."""
    os.closerange(JOB + 1, 8)
    _run(begin(zygote, lock), box)
    os._exit(0)
