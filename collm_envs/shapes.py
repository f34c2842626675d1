"""Whether JSON values from strangers have the shape that is wanted.

A shape is a type (`str`, `dict`, `int`, `float`, `bool`), None, a function from a value to whether it fits, a
list of one shape (`[str]`: any number of them), a dict of one shape for the keys and one for the values
(`{str: float}`), a dict by field (`{"mean": float}`: these fields and no other), or a tuple of shapes, one of
which must fit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 32
"""of objects and lists inside one another"""


def too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a JSON value nests deeper than that; what does can end whatever walks it."""
    if not isinstance(value, (dict, list)):
        return False
    return levels == 0 or any(too_deep(part, levels - 1) for part in _parts(value))


def fits(value: Any, want: Any, most: int | None = None) -> bool:
    """Whether a JSON value has the shape `want`; lists and dicts of one shape have at most `most` entries.

    Numbers are finite; True and False are no numbers, and an int is a float.
    """
    if isinstance(want, tuple):
        return any(fits(value, shape, most) for shape in want)
    if isinstance(want, dict) and all(isinstance(name, str) for name in want):
        same = isinstance(value, dict) and value.keys() == want.keys()
        return same and all(fits(value[name], shape, most) for name, shape in want.items())
    if isinstance(want, (dict, list)):
        few = isinstance(value, type(want)) and (most is None or len(value) <= most)
        (shape,) = _parts(want)
        keys = [(key, name) for name in want for key in value] if few and isinstance(want, dict) else []
        return few and all(fits(*pair) for pair in keys) and all(fits(p, shape, most) for p in _parts(value))
    if want is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if want is int:
        return type(value) is int
    if want is None:
        return value is None
    return isinstance(value, want) if isinstance(want, type) else want(value)


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
