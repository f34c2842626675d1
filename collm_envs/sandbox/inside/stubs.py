"""Stubs that replace a helper to test whether the program depends on its value.

The real helper runs, and the caller gets another value of the same type.  So a caller that checks the type,
or for None, sees nothing unusual, and a caller that discards the value or computes it again is not affected.
No stub raises, and none returns None where the helper does not.

A stub may leave a value unchanged (a list of equal elements, reversed), so every stub is tried.
"""

from __future__ import annotations

import ast
import collections
import copy
import datetime
import enum
import functools
import numbers
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

DEPTH = 4
"""levels of nested containers and objects that are changed; deeper ones stay"""


class Stub(NamedTuple):
    """How values are changed; k counts the calls, so that two equal values become different ones."""

    number: Callable[[Any, int], Any]
    truth: Callable[[bool], bool]
    sequence: Callable[[Any], Any]
    """of a str, bytes, range or list; of a dict's values or a set's elements as a list"""
    inner: bool = False
    """whether the elements change instead of the sequence"""


STUBS = {
    "other": Stub(lambda n, k: n + k, lambda b: not b, lambda s: s, inner=True),
    "fewer": Stub(lambda n, k: -n - 1, lambda b: not b, lambda s: s[:-1]),
    "turned": Stub(lambda n, k: 3 * n + 7, lambda b: True, lambda s: s[::-1]),
    "empty": Stub(lambda n, k: n * 0, lambda b: False, lambda s: s[:0]),
}
FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial)
ATOMS = (int, float, str, bytes, type(None))
UNDONE = "undone"
"""one more stub: the value stays, but the helper's changes to its arguments are undone"""
KINDS = (*STUBS, UNDONE)


def _list(values: list[Any], stub: Stub, k: int, depth: int) -> list[Any]:
    """A list with other elements, fewer of them, or another order."""
    if not stub.inner and len(values) > 1:
        return stub.sequence(values)
    if stub.inner and not values:
        return [k]
    changed = [change(value, stub, k, depth - 1) for value in values]
    return changed if stub.inner else stub.sequence(changed)


def _dict(value: dict[Any, Any], stub: Stub, k: int, depth: int) -> dict[Any, Any]:
    """A dict with other values under the same keys, or fewer keys."""
    keys, values = [*value], _list([*value.values()], stub, k, depth)
    pairs = dict(zip(keys or [k], values, strict=False))
    if type(value) is dict:
        return pairs
    other = copy.copy(value)  # Counter, defaultdict, OrderedDict
    other.clear()
    other.update(pairs)
    return other


def _object(value: Any, stub: Stub, k: int, depth: int) -> Any:
    """A copy with other attributes; the object itself if it has none."""
    attributes = vars(value) if hasattr(value, "__dict__") else {}
    if not attributes or isinstance(value, (type, types.ModuleType)):  # a class stays what it is
        return value
    other = copy.copy(value)
    other.__dict__.update({name: change(held, stub, k, depth - 1) for name, held in attributes.items()})
    return other


def _iterator(values: Iterator[Any], stub: Stub, k: int, depth: int) -> Iterator[Any]:
    """An iterator over changed elements, without its first, or empty; reads no element ahead."""
    left = stub.sequence("ab")
    if not left:
        return
    if left == "a":
        next(values, None)
    for value in values:
        yield change(value, stub, k, depth - 1)


def _set(value: Any, stub: Stub, k: int, depth: int) -> Any:
    """For the stub that reverses, a set of changed elements; else as for a list."""
    if stub.sequence("ab") == "ba":
        return type(value)(change(element, stub, k, depth - 1) for element in value)
    return type(value)(_list([*value], stub, k, depth))


def _tuple(value: Any, stub: Stub, k: int, depth: int) -> Any:
    if hasattr(value, "_fields"):  # a namedtuple keeps its length
        return type(value)._make(change(element, stub, k, depth - 1) for element in value)
    return type(value)(_list([*value], stub, k, depth))


def _text(value: Any, stub: Stub, k: int, depth: int) -> Any:
    """Another str, bytes or bytearray: with the number of the call appended, cut, or reversed."""
    suffix: Any = str(k) if isinstance(value, str) else str(k).encode()
    return value + suffix if stub.inner else stub.sequence(value)


def _range(value: range, stub: Stub, k: int, depth: int) -> range:
    return range(value.start + k, value.stop + k + 1, value.step) if stub.inner else stub.sequence(value)


def _member(value: enum.Enum, stub: Stub, k: int, depth: int) -> enum.Enum:
    members = [*type(value)]
    return members[(members.index(value) + 1) % len(members)]


CHANGES: tuple[tuple[Any, Callable[[Any, Stub, int, int], Any]], ...] = (
    (bool, lambda value, stub, k, depth: stub.truth(value)),
    (enum.Enum, _member),
    (numbers.Number, lambda value, stub, k, depth: stub.number(value, k)),
    ((str, bytes, bytearray), _text),
    (dict, _dict),
    (tuple, _tuple),
    ((list, collections.deque), lambda value, stub, k, depth: type(value)(_list([*value], stub, k, depth))),
    ((set, frozenset), _set),
    (range, _range),
    (datetime.date, lambda value, stub, k, depth: value + datetime.timedelta(days=stub.number(0, k))),
    (Iterator, _iterator),
    (FUNCTIONS, lambda value, stub, k, depth: replaced(value, stub)),
    (object, _object),
)
"""(class, how its values change); the first class that fits counts"""


def change(value: Any, stub: Stub, k: int, depth: int = DEPTH) -> Any:
    """Another value of the same type, or the value itself if no other can be made."""
    if type(value) is int:  # what most helpers return, and the quickest
        return stub.number(value, k)
    if value is None or depth == 0:
        return value
    how = next(how for kind, how in CHANGES if isinstance(value, kind))
    try:
        return how(value, stub, k, depth)
    except Exception:  # a class of the program's own may refuse to be copied or constructed in any way
        return value


class _Callable:
    """The replacement of a helper that is not a plain function: a class, a partial, a cached function."""

    def __init__(self, own: Any, call: Callable[..., Any]) -> None:
        self._own, self._call = own, call

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._call(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


def _like(own: Any, call: Callable[..., Any]) -> Any:
    """`call` with the name and signature of `own`, and bound as a method if `own` would be."""
    return functools.wraps(own)(call) if isinstance(own, types.FunctionType) else _Callable(own, call)


def replaced(own: Callable[..., Any], stub: Stub) -> Any:
    """A function that runs `own` and returns another value of the same type.

    In place of None it returns the last value that was not None, if any.
    """
    calls, last = 0, None

    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal calls, last
        calls += 1
        value = own(*arguments, **named)
        if value is None:
            return last
        last = value if not isinstance(value, Iterator) else None
        return change(value, stub, calls)

    return _like(own, call)


def undone(own: Callable[..., Any], silent: bool) -> Any:
    """A function that returns what `own` returns and leaves its arguments alone; not run where `silent`."""

    def call(*arguments: Any, **named: Any) -> Any:
        if silent:
            return None
        if not named and all(isinstance(argument, ATOMS) for argument in arguments):
            return own(*arguments)
        try:
            copies = copy.deepcopy((arguments, named))
        except Exception:  # a generator, a lock: what cannot be copied stays
            copies = arguments, named
        return own(*copies[0], **copies[1])

    return _like(own, call)


def is_silent(text: str, name: str) -> bool:
    """Whether the function `name` of a text returns nothing on every path, as one that mutates does.

    A function that ends with `raise` is not silent: raising is its effect.
    """
    definitions = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == name]
    if not definitions or isinstance(definitions[-1].body[-1], ast.Raise):
        return False
    waiting: list[ast.AST] = list(definitions[-1].body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            continue
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return False
        if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
            return False
        waiting += ast.iter_child_nodes(node)
    return True


def stub_for(kind: str, own: Callable[..., Any], text: str, name: str) -> Any:
    """The helper `own`, defined by `text` as `name`, replaced by the stub called `kind`."""
    return undone(own, is_silent(text, name)) if kind == UNDONE else replaced(own, STUBS[kind])
