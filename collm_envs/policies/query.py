"""Settings that stand after a name and "?": "temperature=0.7&label=JOY"."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote


def read_query(
    kind: str, query: str, readers: Mapping[str, Callable[[str], Any]], hint: str = ""
) -> dict[str, Any]:
    """{name: value} of "name=value&..."; `readers` has for each name the parser of its value.

    Values may be percent-encoded (%26 for &); an & that no "name=" follows is part of the value.  Raises
    ValueError, which begins with `kind`, for an unknown name (and ends with `hint`), for a value that cannot
    be read or is not finite, and for a name that stands twice.
    """
    values: dict[str, Any] = {}
    for part in re.split(r"&(?=[\w.-]+=)", query) if query else []:
        name, _, text = part.partition("=")
        if name not in readers:
            near = difflib.get_close_matches(name, readers, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            names = ", ".join(readers)
            raise ValueError(f"{kind}: no setting {name!r}; there are {names}{meant}{hint}")
        if name in values:
            raise ValueError(f"{kind}: {name} is given twice")
        values[name] = _value(f"{kind}: {name}", unquote(text), readers[name])
    return values


def _value(setting: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        value = read(text)
    except ValueError as error:
        if read in (int, float):
            raise ValueError(f"{setting} must be {read.__name__}, got {text!r}") from None
        raise ValueError(f"{setting}: {error}") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{setting} must be a finite number, got {text!r}")
    return value
