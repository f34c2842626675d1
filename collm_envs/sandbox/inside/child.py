"""One program in one process: read the job, lock the door, run it, say what the calls returned.

The vocabulary: ready | load_error(part, kind, message, line, column) | loaded | returned(i, value) |
raised(i, class, message) | unserialisable(i, class).  Nothing here means "passed", and no expected value is
ever in this process, so there is nothing to forge and nothing to find.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import json
import math
import os
import random
import resource
import struct
import sys
import types
from typing import Any

from . import seccomp, syscalls, wire

JOB = 3
CPU_CLOCK = 2
MAX_MESSAGE = 200
BUILTIN_ERRORS = frozenset(
    kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)
)


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


def say(fd: int, tokens: list[Any]) -> None:
    frame = memoryview(wire.pack(tokens))
    while frame:
        frame = frame[os.write(fd, frame) :]


def _cpu_timer(cpu_s: float) -> None:
    """A kernel timer on this process's CPU time that sends SIGKILL: no handler can catch it."""
    event = ctypes.create_string_buffer(struct.pack("=Qii", 0, 9, 0), 64)
    timer = ctypes.create_string_buffer(8)
    syscalls.call("timer_create", CPU_CLOCK, event, timer)
    fraction, whole = math.modf(cpu_s)
    setting = struct.pack("=qqqq", 0, 0, int(whole), int(fraction * 1e9))
    syscalls.call(
        "timer_settime",
        int.from_bytes(timer.raw[:4], "little"),
        0,
        ctypes.create_string_buffer(setting),
        None,
    )


def lock_down(zygote: int, cpu_s: float, lock: seccomp.Filter | None) -> None:
    """Limits, the watch on the parent, then seccomp.  Raises OSError where any of it fails."""
    net = math.ceil(cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (net, net))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if sys.platform == "linux":
        syscalls.prctl(1, 9)
        if os.getppid() != zygote:
            raise OSError("the zygote is gone")
    with contextlib.suppress(OSError):  # without it the whole seconds of RLIMIT_CPU hold
        _cpu_timer(cpu_s)
    if lock is not None:
        lock.install()


def describe(error: BaseException) -> tuple[str, str]:
    """(class name, message) of an exception, asking no code of the program."""
    kind = type(error)
    name = wire.class_name(kind)
    if kind not in BUILTIN_ERRORS:
        return name, ""
    arguments = BaseException.args.__get__(error)  # type: ignore[attr-defined]
    if len(arguments) == 1 and type(arguments[0]) in (str, int, float, bool, type(None)):
        text = arguments[0] if type(arguments[0]) is str and kind is not KeyError else repr(arguments[0])
        return name, text[:MAX_MESSAGE]
    return name, ""


class LoadFailed(Exception):
    """A text that does not become a function; the arguments are the load_error frame's."""


def _compile(part: str, text: str) -> types.CodeType:
    try:
        return compile(text, f"<{part}>", "exec", dont_inherit=True)
    except SyntaxError as error:
        line, column, message = error.lineno or 0, error.offset or 0, str(error.msg)
        raise LoadFailed(part, type(error).__name__, message, line, column) from None
    except (MemoryError, RecursionError, ValueError, OverflowError) as error:
        raise LoadFailed(part, type(error).__name__, "too deeply nested or too large", 0, 0) from None


def _define(part: str, code: types.CodeType, given: dict[str, Any], name: str) -> Any:
    """Execute one text in a module of its own and return the one function it exports."""
    module = types.ModuleType(part)
    sys.modules[part] = module
    scope = module.__dict__
    scope.update(given)
    try:
        exec(code, scope)
    except BaseException as error:
        raise LoadFailed(part, *describe(error), 0, 0) from None
    own = scope.get(name)
    if name not in scope or (name in given and own is given[name]):
        raise LoadFailed(part, "NameError", f"name {name!r} is not defined", 0, 0)
    if not callable(own):
        raise LoadFailed(part, "TypeError", f"{name!r} is not callable", 0, 0)
    return own


def load(job: dict[str, Any]) -> Any:
    """The entry point of a job's program.  All texts are compiled before any of them runs."""
    codes = [(name, _compile(name, text)) for name, text in job["helpers"]]
    main = _compile("main", job["main"])
    given: dict[str, Any] = {}
    for name, code in codes:
        given[name] = _define(name, code, given, name)
    return _define("solution", main, given, job["entry"])


def answer(function: Any, i: int, arguments: list[Any], named: dict[str, Any]) -> list[Any]:
    """The frame about one call."""
    try:
        value = function(*arguments, **named)
    except BaseException as error:
        return ["raised", i, *describe(error)]
    try:
        return ["returned", i, *wire.encode(value)]
    except wire.Unserialisable as error:
        return ["unserialisable", i, str(error.args[0])]


def _run(job: dict[str, Any]) -> None:
    try:
        function = load(job)
    except LoadFailed as error:
        return say(JOB, ["load_error", *error.args])
    say(JOB, ["loaded"])
    for i, tokens in enumerate(job["calls"]):
        say(JOB, answer(function, i, wire.decode(tokens), {}))
    i = len(job["calls"])
    while job["serve"]:
        arguments, named = wire.decode(wire.unpack(read_body(JOB)))
        say(JOB, answer(function, i, arguments, named))
        i += 1
    return None


def main(zygote: int, lock: seccomp.Filter | None) -> None:
    """Entered in the freshly forked child; does not return."""
    os.closerange(JOB + 1, 16)
    job = json.loads(read_body(JOB))
    random.seed(0)
    try:
        lock_down(zygote, job["cpu_s"], lock)
    except OSError as error:
        say(JOB, ["infra", str(error)])
        os._exit(1)
    say(JOB, ["ready"])
    _run(job)
    os._exit(0)
