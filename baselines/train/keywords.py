"""`Json`: keywords of an environment, or settings, that are written as JSON on a command line."""

from __future__ import annotations

import json
from typing import Annotated, Any

import tyro


def read_object(flag: str, text: str | None) -> dict[str, Any]:
    """The JSON object in `text`.  Raises ValueError that names the flag where it is none."""
    try:
        value = json.loads(text or "")
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{flag} must be a JSON object, got {text!r} ({error})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{flag} must be a JSON object, got {text!r}")
    return value


Json = Annotated[
    dict[str, Any],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=lambda args: read_object("it", args[0]),
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
"""a dict that is a JSON object on the command line"""
