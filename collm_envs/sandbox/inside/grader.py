"""Trusted tests in a process of their own, with the program behind a wire: `candidate` is a remote proxy.

The tests and the prompt come from a data set, not from a model.  They run locked down all the same, since
hostile values can make honest tests explode (`10**out`, `range(out)`).  The program's process is on the
other end of a socket and can only ever return plain values of a bounded size.
"""

from __future__ import annotations

import builtins
import os
from typing import Any, NoReturn

from . import child, program, wire
from .lock import Lock

CANDIDATE = 4
MAX_REPLY = 4 << 20
ERRORS = {wire.class_name(kind): kind for kind in program.BUILTIN_ERRORS if issubclass(kind, Exception)}


class CandidateError(Exception):
    """The program raised a class that is not a builtin; the argument is its name."""


class Lost(BaseException):
    """The program's process is gone or talks nonsense.  No test can catch this by mistake."""


class Proxy:
    """Calls the program over the socket.  Raises what it raised, by name; never returns anything but data."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self._calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        i = str(self._calls)
        self._calls += 1
        try:
            child.say(CANDIDATE, wire.encode((list(arguments), named)))
            reply = wire.unpack(child.read_body(CANDIDATE, MAX_REPLY))
            match reply:
                case ["returned", at, *_] if at == i:
                    return wire.decode(reply, 2)
                case ["raised", at, name, message] if at == i:
                    raise _raised(name, message)
                case ["unserialisable", at, name] if at == i:
                    raise CandidateError(f"unserialisable {name}")
        except (OSError, child.Gone):
            raise Lost("died") from None
        except wire.BadFrame:
            raise Lost("protocol_error") from None
        raise Lost("protocol_error")


def _raised(name: str, message: str) -> Exception:
    kind = ERRORS.get(name)
    if kind is None:
        return CandidateError(name)
    try:
        return kind(message)
    except TypeError:  # UnicodeDecodeError and its like want five arguments
        return CandidateError(name)


def _verdict(error: BaseException) -> list[str]:
    """What one test came to, as [verdict, class, message]."""
    if isinstance(error, Lost):
        return [str(error), "", ""]
    if isinstance(error, CandidateError):
        name = str(error.args[0])
        if name.startswith("unserialisable "):
            return ["unserialisable", name.removeprefix("unserialisable "), ""]
        return ["raised", name, ""]
    if type(error) is AssertionError:
        return ["wrong", "AssertionError", str(error)[: program.MAX_MESSAGE]]
    return ["raised", *program.describe(error)]


def _scope(job: dict[str, Any], proxy: Proxy) -> dict[str, Any]:
    """The tests' namespace: the prompt's helpers, then the program under both its names."""
    scope: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    exec(compile(job["prompt"], "<prompt>", "exec", dont_inherit=True), scope)
    scope[job["entry"]] = proxy
    scope["candidate"] = proxy
    return scope


def _unusable(error: BaseException) -> NoReturn:
    child.say(child.JOB, ["unusable", type(error).__name__, str(error)[: program.MAX_MESSAGE]])
    os._exit(0)


def main(zygote: int, lock: Lock) -> None:
    """Entered in the freshly forked grader; does not return."""
    job = child.begin(zygote, lock)
    proxy = Proxy(job["entry"])
    try:
        scope = _scope(job, proxy)
        codes = [compile(text, "<test>", "exec", dont_inherit=True) for text in job["tests"]]
        exec(compile(job["check"], "<check>", "exec", dont_inherit=True), scope)
        if job["check"] and not callable(scope.get("check")):
            raise NameError("no function check in them")
    except Exception as error:
        _unusable(error)
    for i, code in enumerate(codes):
        try:
            exec(code, scope)
            verdict = ["ok", "", ""]
        except BaseException as error:
            verdict = _verdict(error)
        child.say(child.JOB, ["verdict", str(i), *verdict])
        if verdict[0] in ("died", "protocol_error"):
            break
    os._exit(0)
