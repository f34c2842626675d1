"""Runs one program in a child process and reads its replies.  The child is never sent the expected values."""

from __future__ import annotations

import marshal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .inside import wire
from .result import InfraError, LoadError, Status
from .worker import MAX_FRAME, START_S, Channel, Ending, Hung, TooLarge, Worker

MAX_SOURCE = 64 << 10
"""bytes of one text"""
WALL = 3.0
"""wall-clock seconds allowed per CPU second"""
BUSY = 0.05
MAX_EXTENSIONS = 3
"""a program that used at least the share BUSY of a processor gets its wall time again, at most MAX_EXTENSIONS
times: the machine is overloaded, and the CPU limit still ends the program; a sleeping one gets no more"""
SIGKILL = 9
SPENT = 0.9
"""a program killed after this share of its CPU time counts as timed out: clocks differ a little"""
MAX_TEXT = 200


class KilledFromOutside(InfraError):
    """A child got a SIGKILL that neither we nor its limits sent: the out-of-memory killer, an operator."""


def job_frame(job: dict[str, Any]) -> bytes:
    """A job of trusted plain data as bytes: marshal, since the zygote's children run the same interpreter."""
    body = marshal.dumps(job)
    return wire.HEADER.pack(len(body)) + body


@dataclass(frozen=True)
class Program:
    """Untrusted texts and the names that they must define."""

    main: str
    entry: str
    helpers: tuple[tuple[str, str], ...] = ()
    preamble: str = ""
    """trusted; every text sees its names"""
    stub: tuple[str, str] | None = None
    """(name of a replaced helper, kind of stub): see `inside.stubs`"""

    def frame(self, calls: Sequence[Sequence[Any]], serve: bool, cpu_s: float) -> bytes:
        """The job as the child reads it: no expected value, no test."""
        return job_frame({**vars(self), "calls": calls, "serve": serve, "cpu_s": cpu_s})

    def unfit(self) -> LoadError | None:
        """Why the texts are rejected without parsing (size, NUL, lone surrogates), or None."""
        for part, text in (*self.helpers, ("main", self.main)):
            if "\0" in text:
                return LoadError(part, "ValueError", "source holds a NUL character", 0, 0)
            try:
                size = len(text.encode()) if len(text) <= MAX_SOURCE else len(text)
            except UnicodeEncodeError:
                return LoadError(part, "UnicodeEncodeError", "source holds a lone surrogate", 0, 0)
            if size > MAX_SOURCE:
                return LoadError(part, "ValueError", f"source is longer than {MAX_SOURCE} bytes", 0, 0)
        return None


@dataclass
class Run:
    """The outcome of one child process."""

    status: Status
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    """(verdict, message) of the calls up to the one that stopped the run, if one did"""
    error: LoadError | None = None
    cpu_s: float = 0.0


def clean(claim: str, most: int = MAX_TEXT) -> str:
    """Text from a program made safe to print: at most `most` characters, control characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in claim[:most])


def number(claim: str) -> int:
    """A line or column number reported by a program, 0 if it is not a number."""
    return int(claim) if claim.isascii() and claim.isdigit() and len(claim) < 8 else 0


class Child:
    """A process forked for one job; leaving the context ends the process.

    After an exception the state of the worker is unknown: its owner must kill it.
    """

    def __init__(
        self, worker: Worker, command: bytes, frame: bytes, cpu_s: float, *sockets: socket.socket
    ) -> None:
        """Fork, send the job, wait until the child is locked down; no untrusted code has run yet.

        Raises InfraError.
        """
        self.worker, self.cpu_s = worker, cpu_s
        self._ending: Ending | None = None
        our_end, child_end = socket.socketpair()
        self.channel = Channel(our_end)
        first: list[str] | None = None
        try:
            worker.begin(command, child_end, *sockets)
            child_end.close()
            limit = time.monotonic() + START_S
            self.channel.send(frame, limit)
            first = self.channel.read(limit)
            if first != ["ready"]:
                raise InfraError(f"a child could not lock itself down: {first[1] if first else 'it died'}")
        except (Hung, OSError, wire.BadFrame) as error:
            raise InfraError(f"a child did not come up: {type(error).__name__} {error}") from error
        finally:
            child_end.close()
            if first != ["ready"]:
                our_end.close()
        self._wall_s = WALL * cpu_s
        self.deadline = time.monotonic() + self._wall_s
        self._extensions, self._cpu_seen = 0, 0.0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.channel.sock.close()
        if kind is None:
            self.end()

    def read(self, most: int = MAX_FRAME) -> list[str] | None:
        """The next frame, None if the child closed its end.  Raises Hung at the deadline, or BadFrame."""
        while True:
            try:
                return self.channel.read(self.deadline, most)
            except Hung:
                if not self.starved():
                    raise

    def starved(self) -> bool:
        """True if the child used CPU since the last look: its deadline is then extended.

        At most MAX_EXTENSIONS times.
        """
        if self._extensions == MAX_EXTENSIONS:
            return False
        used = self.worker.cpu_so_far()
        busy = used - self._cpu_seen >= BUSY * self._wall_s
        if busy:
            self._extensions += 1
            self._cpu_seen = used
            self.deadline += self._wall_s
        return busy

    def end(self, grace: bool = False) -> Ending:
        """End the child if it still runs.  With `grace` it first gets a moment to end by itself."""
        if self._ending is None:
            self._ending = self.worker.end(grace)
        return self._ending

    def why_gone(self) -> Status:
        """Why the child closed its end early: "timeout" or "died".  Raises KilledFromOutside."""
        ending = self.end(grace=True)
        if ending.cpu_s >= SPENT * self.cpu_s:
            return "timeout"
        killed = ending.by_itself and ending.status & 0x7F == SIGKILL
        if killed and ending.cpu_s < SPENT / 2 * self.cpu_s and self.worker.features["seccomp"]:
            raise KilledFromOutside("a program's process was killed from outside")  # it cannot do so itself
        return "died"

    def load(self) -> Run | None:
        """Wait until the program is loaded.  Returns None then, else the run that failed."""
        try:
            frame = self.read()
        except Hung:
            return Run("timeout")
        except wire.BadFrame:
            return Run("protocol_error")
        match frame:
            case None:
                return Run(self.why_gone())
            case ["loaded"]:
                return None
            case ["load_error", part, kind, message, line, column]:
                error = LoadError(clean(part), clean(kind, 60), clean(message), number(line), number(column))
                return Run("load_error", error=error)
        return Run("protocol_error")


def read_reply(frame: list[str], i: int, judge: Callable[[int, list[str]], str]) -> tuple[str, str]:
    """(verdict, message) on the reply to call i.  Raises BadFrame if the frame is not that reply."""
    match frame:
        case ["returned", at, *_] if at == str(i):
            return judge(i, frame), ""
        case ["raised", at, name, message] if at == str(i):
            return f"raised:{clean(name, 60)}", clean(message)
        case ["unserialisable", at, name] if at == str(i):
            return "unserialisable", clean(name, 60)
    raise wire.BadFrame("not the reply to this call")


def _answers(child: Child, rooms: Sequence[int], judge: Callable[[int, list[str]], str]) -> Run:
    verdicts: list[tuple[str, str]] = []
    for i, room in enumerate(rooms):
        try:
            frame = child.read(MAX_FRAME + room)
            status = "ok" if frame is not None else child.why_gone()
            if frame is not None:
                verdicts.append(read_reply(frame, i, judge))
        except Hung:
            status = "timeout"
        except TooLarge:
            status = "limit"
        except wire.BadFrame:
            status = "protocol_error"
        if status != "ok":
            verdicts.append(("timeout" if status == "timeout" else "died", ""))
            return Run(status, verdicts)
    return Run("ok", verdicts)


def run(
    worker: Worker,
    program: Program,
    calls: Sequence[Sequence[Any]],
    rooms: Sequence[int],
    cpu_s: float,
    judge: Callable[[int, list[str]], str],
) -> Run:
    """Make the calls in order in one fresh child and judge each reply.

    `judge(i, frame)` returns the verdict on the value of call i.  `rooms[i]`: bytes that the reply to call i
    may take beyond MAX_FRAME.  Raises InfraError.
    """
    with Child(worker, b"p", program.frame(calls, False, cpu_s), cpu_s) as child:
        result = child.load() or _answers(child, rooms, judge)
        result.cpu_s = child.end().cpu_s
    return result
