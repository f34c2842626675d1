"""Compares what a program returned with what was expected, by walking the expected value.

The reply is tokens written by the program (see `inside.wire`).  It is never rebuilt: the walk stops at the
first difference, its work is bounded by the size of the expected value, and no container ever holds the
program's keys.  The meaning is Python's == on plain data: a list is no tuple, 1 == 1.0 == True, NaN equals
nothing.
"""

from __future__ import annotations

from typing import Any

from .inside import wire

TAGS = {list: "l", tuple: "t", dict: "d", set: "SZ", frozenset: "SZ"}
"""tags that a container of this class may have come with"""


class _Differs(Exception):
    """The reply is not what was expected from here on."""


def equal(expected: Any, tokens: list[str], start: int, tolerance: float | None = None) -> bool:
    """Whether the value at `tokens[start:]` equals `expected`, which is made of exact builtins.

    With a tolerance, numbers may differ by at most that, inside containers too (but not as keys); NaN and
    infinity are never within it.  Raises BadFrame for tokens that are not a value.
    """
    try:
        return _walk(expected, tokens, start, tolerance) == len(tokens)
    except _Differs:
        return False


def truth(tokens: list[str], start: int) -> bool:
    """bool() of the value at `tokens[start:]`, without asking the program."""
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
    """The place after the value at `at`, or _Differs."""
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
    places = {key: place for place, key in enumerate(expected)}
    seen = bytearray(len(places))
    longest = max((len(wire.encode(key)) for key in expected), default=0)
    for _ in places:
        end = _span(tokens, at, longest)
        key = wire.decode(tokens[at:end])
        at = end
        try:
            place = places.get(key)
        except TypeError:
            raise wire.BadFrame("unhashable key") from None
        if place is None or seen[place]:
            raise _Differs
        seen[place] = 1
        if type(expected) is dict:
            at = _walk(expected[key], tokens, at, tolerance)
    return at


def _span(tokens: list[str], at: int, most: int) -> int:
    """The place after the value at `at`; _Differs where it has more than `most` nodes."""
    missing, end = 1, at
    while missing:
        if end >= len(tokens):
            raise wire.BadFrame("value cut short")
        if end - at >= most:
            raise _Differs
        missing += max(wire.container_size(tokens[end]), 0) - 1
        end += 1
    return end
