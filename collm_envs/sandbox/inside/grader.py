"""Trusted tests in a process of their own; `candidate` is a proxy that calls the program over a socket.

The tests and the prompt come from a data set, not from a model.  They run locked down all the same, since
a hostile value can make a test use endless time or memory (`10**out`, `range(out)`).  The program's process
can only return plain values of a bounded size.
"""

from __future__ import annotations

import builtins
import os
import random
import types
from typing import Any, NoReturn

from . import child, program, wire
from .lock import Lock

CANDIDATE = 4
MAX_REPLY = 32 << 20
QUIET = (StopIteration, StopAsyncIteration)
"""exceptions that end a loop silently: with one, `all(map(candidate, inputs))` would pass"""


def _is_error(kind: Any) -> bool:
    """Whether `kind` is an exception class that a test may catch by its name."""
    return isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, QUIET)


ERRORS = {wire.class_name(kind): kind for kind in vars(builtins).values() if _is_error(kind)}


class CandidateError(Exception):
    """The program raised a class unknown to the tests; the argument is the name of the class."""


class Lost(BaseException):
    """The program's process ended or broke the protocol.

    A BaseException, so that no test catches it by mistake.
    """


class Unusable(BaseException):
    """The tests pass an argument that is not plain data."""


class Proxy:
    """Calls the program over the socket.

    Returns plain data, or raises the exception class that the program named.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.calls = 0
        self.lost: Lost | None = None
        self.errors = ERRORS
        """exceptions that a test may catch by name"""

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        i = str(self.calls)
        self.calls += 1
        try:
            request = wire.encode((list(arguments), named))
        except wire.Unserialisable as error:
            raise Unusable(f"candidate takes plain data only, got something {error}") from None
        reply = self._ask(request)
        match reply:
            case ["returned", at, *_] if at == i:
                return self._decoded(reply)
            case ["raised", at, name, message] if at == i:
                raise self._raised(name, message)
            case ["unserialisable", at, name] if at == i:
                raise CandidateError(f"unserialisable {name}")
        raise self._lose("protocol_error")

    def _ask(self, request: list[str]) -> list[str]:
        try:
            child.say(CANDIDATE, request)
            return wire.unpack(child.read_body(CANDIDATE, MAX_REPLY))
        except (OSError, child.Gone):
            raise self._lose("died") from None
        except wire.BadFrame:
            raise self._lose("protocol_error") from None

    def _decoded(self, reply: list[str]) -> Any:
        try:
            return wire.decode(reply, 2)
        except wire.BadFrame:
            raise self._lose("protocol_error") from None

    def _lose(self, how: str) -> Lost:
        self.lost = Lost(how)
        return self.lost

    def _raised(self, name: str, message: str) -> Exception:
        kind = self.errors.get(name)
        if kind is None:
            return CandidateError(name)
        try:
            return kind(message)
        except TypeError:  # UnicodeDecodeError and its like want five arguments
            return CandidateError(name)


def _verdict(error: BaseException) -> list[str]:
    """The outcome of one failed test, as [verdict, class, message]."""
    if isinstance(error, Lost):
        return [str(error), "", ""]
    if isinstance(error, CandidateError):
        name = str(error.args[0])
        if name.startswith("unserialisable "):
            return ["unserialisable", name.removeprefix("unserialisable "), ""]
        return ["raised", name, ""]
    name, message = program.describe(error)
    return ["wrong" if type(error) is AssertionError else "raised", name, message]


def _scope(job: dict[str, Any], proxy: Proxy) -> dict[str, Any]:
    """The tests' namespace: the prompt's helpers, then the program under both its names."""
    scope: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    exec(compile(job["prompt"], "<prompt>", "exec", dont_inherit=True), scope)
    proxy.errors = {**{name: kind for name, kind in scope.items() if _is_error(kind)}, **ERRORS}
    scope[job["entry"]] = proxy
    scope["candidate"] = proxy
    return scope


def _report(i: int, error: BaseException | None) -> None:
    """Send the verdict on test i.  Does not return if the program is lost or the tests are unusable."""
    if isinstance(error, Unusable):
        _unusable(error)
    verdict = ["ok", "", ""] if error is None else _verdict(error)
    child.say(child.JOB, ["verdict", str(i), *verdict])
    if isinstance(error, Lost):
        os._exit(0)


def _unusable(error: BaseException) -> NoReturn:
    child.say(child.JOB, ["unusable", type(error).__name__, str(error)[: program.MAX_MESSAGE]])
    os._exit(0)


def _outcome(code: types.CodeType, scope: dict[str, Any], proxy: Proxy) -> BaseException | None:
    try:
        exec(code, scope)
    except BaseException as error:
        return proxy.lost or error
    return proxy.lost  # a bare except in the tests may have swallowed it


def main(zygote: int, lock: Lock) -> None:
    """Entered in the freshly forked grader; does not return."""
    job = child.begin(zygote, lock)
    random.seed(0)
    proxy = Proxy(job["entry"])
    try:
        scope = _scope(job, proxy)
        codes = [compile(text, "<test>", "exec", dont_inherit=True) for text in job["tests"]]
        exec(compile(job["check"], "<check>", "exec", dont_inherit=True), scope)
        if job["check"] and not callable(scope.get("check")):
            raise NameError("no function check in them")
    except BaseException as error:
        if proxy.calls == 0:
            _unusable(error)
        _report(0, error)  # the tests call the program while they are defined: its failure
        os._exit(0)
    for i, code in enumerate(codes):
        _report(i, _outcome(code, scope, proxy))
    os._exit(0)
