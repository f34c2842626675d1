"""One program in one process: read the job, lock the door, run it, say what the calls returned.

The vocabulary: ready | load_error(part, kind, message, line, column) | loaded | returned(i, value) |
raised(i, class, message) | unserialisable(i, class).  Nothing here means "passed", and no expected value is
ever in this process, so there is nothing to forge and nothing to find.
"""

from __future__ import annotations

import builtins
import marshal
import os
import random
import sys
import types
from typing import Any

from . import wire
from .lock import Lock

JOB = 3
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


def say(fd: int, tokens: list[str]) -> None:
    frame = memoryview(wire.pack(tokens))
    while frame:
        frame = frame[os.write(fd, frame) :]


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


def answer(function: Any, i: int, arguments: list[Any], named: dict[str, Any]) -> list[str]:
    """The frame about one call."""
    try:
        value = function(*arguments, **named)
    except BaseException as error:
        return ["raised", str(i), *describe(error)]
    try:
        return ["returned", str(i), *wire.encode(value)]
    except wire.Unserialisable as error:
        return ["unserialisable", str(i), str(error.args[0])]


def _run(job: dict[str, Any]) -> None:
    try:
        function = load(job)
    except LoadFailed as error:
        return say(JOB, ["load_error", *map(str, error.args)])
    say(JOB, ["loaded"])
    for i, arguments in enumerate(job["calls"]):
        say(JOB, answer(function, i, arguments, {}))
    i = len(job["calls"])
    while job["serve"]:
        arguments, named = wire.decode(wire.unpack(read_body(JOB)))
        say(JOB, answer(function, i, arguments, named))
        i += 1
    return None


def begin(zygote: int, lock: Lock) -> dict[str, Any]:
    """The job of this freshly forked process, which is locked down when this returns."""
    job = marshal.loads(read_body(JOB))
    random.seed(0)
    try:
        lock.close(zygote, job["cpu_s"])
    except (OSError, ValueError) as error:
        say(JOB, ["infra", str(error)])
        os._exit(1)
    say(JOB, ["ready"])
    return job


def main(zygote: int, lock: Lock) -> None:
    """Entered in the freshly forked child; does not return."""
    os.closerange(JOB + 1, 8)
    _run(begin(zygote, lock))
    os._exit(0)
