"""Whether JSON values from strangers have the shape that is wanted.

A shape is a type (`str`, `dict`, `int`, `float`, `bool`), None, a function from a value to whether it fits, a
list of one shape (`[str]`: any number of them), a dict of one shape for the keys and one for the values
(`{str: float}`), a dict by field (`{"mean": float}`: these fields and no other), or a tuple of shapes, one of
which must fit.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, get_args

MAX_DEPTH = 32
"""of objects and lists inside one another"""


def too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a JSON value nests deeper than that; what does can end whatever walks it."""
    if not isinstance(value, (dict, list)):
        return False
    return levels == 0 or any(too_deep(part, levels - 1) for part in _parts(value))


def fits(value: Any, schema: Any, most: int | None = None) -> bool:
    """Whether a JSON value has the shape `schema`; lists and dicts of one shape have at most `most` entries.

    Numbers are finite; True and False are no numbers, and an int is a float.
    """
    if isinstance(schema, tuple):
        return any(fits(value, shape, most) for shape in schema)
    if isinstance(schema, dict) and all(isinstance(name, str) for name in schema):
        same = isinstance(value, dict) and value.keys() == schema.keys()
        return same and all(fits(value[name], shape, most) for name, shape in schema.items())
    if isinstance(schema, (dict, list)):
        few = isinstance(value, type(schema)) and (most is None or len(value) <= most)
        (shape,) = _parts(schema)
        keys = [(key, name) for name in schema for key in value] if few and isinstance(schema, dict) else []
        return few and all(fits(*pair) for pair in keys) and all(fits(p, shape, most) for p in _parts(value))
    if schema is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if schema is int:
        return type(value) is int
    if schema is None:
        return value is None
    return isinstance(value, schema) if isinstance(schema, type) else schema(value)


def shape_of(hint: Any) -> Any:
    """The shape of a type hint made of str, int, float, list and dict; `dict[str, Any]` is any dict."""
    if not (args := get_args(hint)):
        return hint
    if hint.__origin__ is list:
        return [shape_of(args[0])]
    return dict if args[1] is Any else {args[0]: shape_of(args[1])}


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
