"""Parses the caller's tests into calls to make and values to compare the replies with.  Trusted text only."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import compare
from .inside import wire

NUMBER_ROOM = 64
"""bytes: the longest token of a float or a complex number, and its line end"""
ATOMS = frozenset((type(None), bool, int, float, complex, str, bytes))
FORMS = (
    {"input", "expected"},
    {"input", "expected", "tolerance"},
    {"input", "truth"},
    {"assert"},
)


@dataclass(frozen=True)
class Case:
    """One test: a call and its expected value, or (`text`) a statement for the grader process."""

    call: tuple[Any, ...] = ()
    """the arguments: a copy made of exact builtins"""
    expected: Any = None
    """exact builtins only"""
    tolerance: float | None = None
    truth: bool | None = None
    text: str = ""
    room: int = 0
    """bytes that a reply equal to `expected` may take"""

    def judge(self, reply: list[str]) -> str:
        """ "ok" or "wrong" for a `returned` frame.  Raises BadFrame for tokens that are not a value."""
        if self.truth is not None:
            return "ok" if compare.truth(reply, 2) is self.truth else "wrong"
        return "ok" if compare.equal(self.expected, reply, 2, self.tolerance) else "wrong"


def _room(atom: Any) -> int:
    """Most bytes that a value equal to `atom` takes in a frame, in whatever numeric type it is sent."""
    if type(atom) in (str, bytes):
        return NUMBER_ROOM + 4 * len(atom)
    return NUMBER_ROOM + (atom.bit_length() // 4 if type(atom) is int else 0)


def _plain(what: str, value: Any) -> tuple[int, Any]:
    """(most bytes an equal value takes in a frame, copy in exact builtins).

    Raises ValueError for other data.
    """
    if type(value) in ATOMS:
        return _room(value), value
    if type(value) is list and ATOMS.issuperset(map(type, value)):
        return NUMBER_ROOM + sum(map(_room, value)), value.copy()
    try:
        tokens = wire.encode(value)
    except wire.Unserialisable as error:
        raise ValueError(f"{what}: need plain data, got something {error}") from None
    return sum(NUMBER_ROOM + 4 * len(token) for token in tokens), wire.decode(tokens)


def read_test(test: Mapping[str, Any], name: str, entry_point: str) -> Case:
    """One test mapping as a Case; `name` is for error messages.  Raises TypeError or ValueError."""
    if not isinstance(test, Mapping):
        raise TypeError(f"{name}: need a mapping, got {type(test).__name__}")
    if set(test) not in FORMS:
        raise ValueError(f"{name}: need the keys of one of {[sorted(f) for f in FORMS]}, got {sorted(test)}")
    if "assert" in test:
        return read_assert(test["assert"], name, entry_point)
    if isinstance(test["input"], (str, bytes)) or not isinstance(test["input"], Sequence):
        raise TypeError(f"{name}: input is the list of arguments, got {type(test['input']).__name__}")
    _, call = _plain(f"{name}: input", list(test["input"]))
    if "truth" in test:
        return Case(call=tuple(call), truth=bool(test["truth"]))
    room, expected = _plain(f"{name}: expected", test["expected"])
    tolerance = test.get("tolerance")
    if tolerance is not None and not (isinstance(tolerance, (int, float)) and 0 <= tolerance < math.inf):
        raise ValueError(f"{name}: tolerance: need a number of at least 0, got {tolerance!r}")
    return Case(call=tuple(call), expected=expected, tolerance=tolerance, room=room)


def read_assert(text: str, name: str, entry_point: str) -> Case:
    """An assert statement as a call if it has one of the shapes of `_simple`, else as text for the grader."""
    try:
        (statement,) = ast.parse(text.strip()).body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{name}: need one assert statement, got {text!r} ({error})") from None
    if not isinstance(statement, ast.Assert):
        raise ValueError(f"{name}: need one assert statement, got {text!r}")
    mapping = _simple(statement.test, {"candidate", entry_point})
    if mapping is None:
        return Case(text=text.strip())
    return read_test(mapping, name, entry_point)


def _literal(node: ast.expr) -> tuple[bool, Any]:
    try:
        return True, ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False, None


def _arguments(node: ast.expr, names: set[str]) -> list[Any] | None:
    """The arguments of `candidate(literals)`, or None for any other expression."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names):
        return None
    literals = [_literal(argument) for argument in node.args]
    return [value for _, value in literals] if all(ok for ok, _ in literals) and not node.keywords else None


def _simple(node: ast.expr, names: set[str]) -> dict[str, Any] | None:
    """The test mapping of an asserted expression, or None if it is not a call compared with a literal."""
    if (arguments := _arguments(node, names)) is not None:
        return {"input": arguments, "truth": True}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        arguments = _arguments(node.operand, names)
        return None if arguments is None else {"input": arguments, "truth": False}
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return None
    left, operator, right = node.left, node.ops[0], node.comparators[0]
    if isinstance(operator, (ast.Lt, ast.LtE)):
        return _within(left, operator, right, names)
    is_none = isinstance(operator, ast.Is) and isinstance(right, ast.Constant) and right.value is None
    if not (isinstance(operator, ast.Eq) or is_none):
        return None
    if _arguments(left, names) is None:
        left, right = right, left
    arguments, (ok, expected) = _arguments(left, names), _literal(right)
    return {"input": arguments, "expected": expected} if arguments is not None and ok else None


def _within(left: ast.expr, operator: ast.cmpop, right: ast.expr, names: set[str]) -> dict[str, Any] | None:
    """The test mapping of abs(candidate(literals) - number) < tolerance; either order of the difference."""
    ok, tolerance = _literal(right)
    if not ok or type(tolerance) not in (int, float) or not 0 <= tolerance < math.inf:
        return None
    if not (isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id == "abs"):
        return None
    if len(left.args) != 1 or not (
        isinstance(left.args[0], ast.BinOp) and isinstance(left.args[0].op, ast.Sub)
    ):
        return None
    call, number = left.args[0].left, left.args[0].right
    if _arguments(call, names) is None:
        call, number = number, call
    arguments, (ok, expected) = _arguments(call, names), _literal(number)
    if arguments is None or not ok or type(expected) not in (int, float):
        return None
    if isinstance(operator, ast.Lt):
        if tolerance == 0:
            return None
        tolerance = math.nextafter(tolerance, 0.0)  # |a - b| < t is |a - b| <= the number before t
    return {"input": arguments, "expected": expected, "tolerance": tolerance}
