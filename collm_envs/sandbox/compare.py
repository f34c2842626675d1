"""Compares the value a program returned with the expected one, by walking the expected value.

The reply is a list of tokens written by the program (see `inside.wire`).  It is not decoded as a whole: the
walk stops at the first difference, takes time bounded by the size of the expected value, and puts none of the
program's keys into a container.  The meaning is Python's == on plain data: a list is no tuple, 1 == 1.0 ==
True, NaN equals nothing.
"""

from __future__ import annotations

from typing import Any

from .inside import wire

TAGS = {list: "l", tuple: "t", dict: "d", set: "SZ", frozenset: "SZ"}
"""class of the expected container -> the token tags that may match it"""


class _Differs(Exception):
    """The reply differs from the expected value."""


def equal(expected: Any, tokens: list[str], start: int, tolerance: float | None = None) -> bool:
    """Whether the value at `tokens[start:]` equals `expected`, which is made of exact builtins.

    With a tolerance, numbers may differ by at most that, inside containers too (but not as keys); NaN and
    infinity are never within tolerance.  Raises BadFrame for tokens that are not a value.
    """
    try:
        return _walk(expected, tokens, start, tolerance) == len(tokens)
    except _Differs:
        return False


def truth(tokens: list[str], start: int) -> bool:
    """bool() of the value at `tokens[start:]`, computed here and not by the program."""
    if start >= len(tokens):
        raise wire.BadFrame("no value")
    size = wire.container_size(tokens[start])
    return bool(wire.read_scalar(tokens[start])) if size < 0 else size > 0


def _close(expected: Any, value: Any, tolerance: float) -> bool:
    numbers = (int, float, complex, bool)
    if type(expected) not in numbers or type(value) not in numbers:
        return expected == value
    try:
        return abs(expected - value) <= tolerance
    except OverflowError:  # an int beyond every float against a float
        return False


def _walk(expected: Any, tokens: list[str], at: int, tolerance: float | None) -> int:
    """Index of the token after the value at `at`.  Raises _Differs where it is not `expected`."""
    if at >= len(tokens):
        raise wire.BadFrame("value cut short")
    token = tokens[at]
    tags = TAGS.get(type(expected))
    if tags is None:
        if token[:1] in wire.CONTAINERS:
            raise _Differs
        value = wire.read_scalar(token)
        same = expected == value if tolerance is None else _close(expected, value, tolerance)
        if not same:
            raise _Differs
        return at + 1
    pairs = 2 if type(expected) is dict else 1
    if wire.container_size(token) != len(expected) * pairs or token[0] not in tags:
        raise _Differs
    at += 1
    if tags in ("l", "t"):
        for item in expected:
            at = _walk(item, tokens, at, tolerance)
        return at
    return _walk_hashed(expected, tokens, at, tolerance)


def _walk_hashed(expected: Any, tokens: list[str], at: int, tolerance: float | None) -> int:
    """A dict or set of the right size: every key of the reply is looked up among the expected ones."""
    index_of = {key: index for index, key in enumerate(expected)}
    matched = bytearray(len(index_of))
    longest = max((len(wire.encode(key)) for key in expected), default=0)
    for _ in index_of:
        end = _span(tokens, at, longest)
        key = wire.decode(tokens[at:end])
        at = end
        try:
            index = index_of.get(key)
        except TypeError:
            raise wire.BadFrame("unhashable key") from None
        if index is None or matched[index]:
            raise _Differs
        matched[index] = 1
        if type(expected) is dict:
            at = _walk(expected[key], tokens, at, tolerance)
    return at


def _span(tokens: list[str], at: int, most: int) -> int:
    """Index of the token after the value at `at`.

    Raises _Differs if the value has more than `most` nodes.
    """
    missing, end = 1, at
    while missing:
        if end >= len(tokens):
            raise wire.BadFrame("value cut short")
        if end - at >= most:
            raise _Differs
        missing += max(wire.container_size(tokens[end]), 0) - 1
        end += 1
    return end
