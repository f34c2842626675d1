"""Defines a program's function from its texts, and calls it.  Uses no system calls: the same file runs in a
child and inside a WebAssembly build."""

from __future__ import annotations
import __future__

import ast
import random
import sys
import types
from typing import Any

from . import stubs, wire

MAX_MESSAGE = 200
LOADED = wire.pack(["loaded"])
PREAMBLE = "the preamble"
FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names[2:])
"""compiler flags of `from __future__ import`; the first two features are always on today"""


def describe(error: BaseException) -> tuple[str, str]:
    """(class name, message) of an exception, without running code of the program."""
    kind = type(error)
    name = wire.class_name(kind)
    arguments = BaseException.args.__get__(error)  # type: ignore[attr-defined]
    if len(arguments) != 1:
        return name, ""
    (why,) = arguments
    if type(why) is str:
        return name, (repr(why[:MAX_MESSAGE]) if kind is KeyError else why[:MAX_MESSAGE])
    plain = type(why) in (bool, float, type(None)) or (type(why) is int and -wire.SMALL < why < wire.SMALL)
    return name, repr(why) if plain else ""


class LoadFailed(Exception):
    """A text that does not define its function; the arguments are those of the frame load_error."""


def _compile(part: str, text: str, flags: int) -> types.CodeType:
    try:
        return compile(text, f"<{part}>", "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        line, column, message = error.lineno or 0, error.offset or 0, str(error.msg)
        raise LoadFailed(part, type(error).__name__, message, line, column) from None
    except (MemoryError, RecursionError, ValueError, OverflowError) as error:
        raise LoadFailed(part, type(error).__name__, "too deeply nested or too large", 0, 0) from None


def _names(code: types.CodeType) -> set[str]:
    """The global names that a text uses, also in its functions."""
    inner = (const for const in code.co_consts if isinstance(const, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _define(part: str, code: types.CodeType, visible: dict[str, Any], name: str) -> Any:
    """Execute one text in a module of its own, with the names `visible`, and return its function `name`."""
    module = types.ModuleType(part)
    module.__file__ = f"/{part}.py"
    sys.modules[part] = module
    scope = module.__dict__
    scope.update(visible)
    try:
        exec(code, scope)
    except BaseException as error:
        raise LoadFailed(part, *describe(error), 0, 0) from None
    function = scope.get(name)
    if name not in scope or (name in visible and function is visible[name]):
        raise LoadFailed(part, "NameError", f"name {name!r} is not defined", 0, 0)
    if not callable(function):
        raise LoadFailed(part, "TypeError", f"{name!r} is not callable", 0, 0)
    return function


def _preamble(text: str) -> tuple[dict[str, Any], int]:
    """(names, compiler flags) of a trusted preamble.  A statement that raises is skipped."""
    module = types.ModuleType(PREAMBLE)
    sys.modules[PREAMBLE] = module
    try:
        flags = compile(text, f"<{PREAMBLE}>", "exec", dont_inherit=True).co_flags & FUTURES
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):
        return module.__dict__, 0
    for statement in statements:
        code = compile(ast.Module([statement], []), f"<{PREAMBLE}>", "exec", flags, dont_inherit=True)
        try:
            exec(code, module.__dict__)
        except Exception:  # a missing package, for example: a text that uses the name gets the NameError
            continue
    return module.__dict__, flags


def _stubbed(name: str, own: Any, text: str, kind: str) -> Any:
    """The stub of a helper, put into the helper's module too, for texts that import it."""
    stub = stubs.stub_for(kind, own, text, name)
    module = types.ModuleType(name)
    module.__dict__.update(sys.modules[name].__dict__)
    module.__dict__[name] = stub
    sys.modules[name] = module
    return stub


def _load(job: dict[str, Any]) -> Any:
    """The entry point of a job's program.  All texts are compiled before any of them runs."""
    scope, flags = _preamble(job["preamble"])
    codes = [(name, text, _compile(name, text, flags)) for name, text in job["helpers"]]
    main = _compile("main", job["main"], flags)
    if codes and job["entry"] not in _names(main):  # without this check an earlier helper could define it
        raise LoadFailed("main", "NameError", f"name {job['entry']!r} is not defined", 0, 0)
    visible = {name: value for name, value in scope.items() if name[:2] != "__" and name != job["entry"]}
    for name, text, code in codes:
        visible[name] = _define(name, code, visible, name)
        if job["stub"] and job["stub"][0] == name:
            visible[name] = _stubbed(name, visible[name], text, job["stub"][1])
    scope[job["entry"]] = _define("solution", main, visible, job["entry"])
    return scope[job["entry"]]


def _answer(function: Any, i: int, arguments: list[Any], named: dict[str, Any]) -> list[str]:
    """The frame that reports one call."""
    try:
        value = function(*arguments, **named)
    except BaseException as error:
        return ["raised", str(i), *describe(error)]
    try:
        return ["returned", str(i), *wire.encode(value)]
    except wire.Unserialisable as error:
        return ["unserialisable", str(i), str(error.args[0])]


class Program:
    """The program that runs in this very interpreter.  Every method returns a frame."""

    def load(self, job: dict[str, Any]) -> bytes:
        """Define the texts; LOADED where that works."""
        random.seed(0)
        try:
            self._function = _load(job)
        except LoadFailed as error:
            return wire.pack(["load_error", *map(str, error.args)])
        return LOADED

    def call(self, i: int, arguments: list[Any], named: dict[str, Any]) -> bytes:
        """Call the entry point for the i-th time."""
        return wire.pack(_answer(self._function, i, arguments, named))
