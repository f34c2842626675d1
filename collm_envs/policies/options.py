"""Settings that stand after a policy's name: "temperature=0.7&stop=["END"]&body={"top_a": 0.2}&seed=off"."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

SECRET = re.compile(
    r"api[-_]?key|authori[sz]ation|passw|secret|credential|bearer|cookie|\A(\w+[-_])?token\Z", re.I
)
"""names of what must not stand in records"""
KEY = re.compile(r"\b(sk|hf|gsk|xai|ghp|pk|rk)[-_][A-Za-z0-9_-]{16,}|\bAIza[\w-]{30,}|\bBearer\s+\S{8,}")
"""what keys look like"""
OURS = ("model", "messages", "prompt", "stream", "stream_options", "n", "seed")
"""of a request: set by us, or nothing that we could read the answer of"""
EXAMPLE = 'body={"chat_template_kwargs": {"enable_thinking": false}}'


def _json(text: str) -> Any:
    """A JSON value; a text that is none stands for itself (reasoning_effort=low)."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError:
        if text[:1] in ("{", "[", '"'):
            raise ValueError(f"need JSON, got {text[:80]!r} (write & as %26)") from None
        return text


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


def _object(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise ValueError(f"need a JSON object such as {EXAMPLE.removeprefix('body=')}, got {text[:80]!r}")
    return value


def _on(text: str) -> bool:
    if text not in ("on", "off"):
        raise ValueError(f"need on or off (off: none is sent), got {text!r}")
    return text == "on"


SENT: Mapping[str, Callable[[str], Any]] = {
    "stop": _json,
    "reasoning_effort": _json,
    "chat_template_kwargs": _json,
    "thinking": _json,
    "reasoning": _json,
    "response_format": _json,
    "min_p": float,
    "repetition_penalty": float,
    "presence_penalty": float,
    "frequency_penalty": float,
    "body": _object,
    "seed": _on,
}
"""further settings of a request, as JSON; `body` holds whatever has no name here"""


def check(body: Mapping[str, Any], key: str) -> None:
    """Raise ValueError for what we set ourselves and, without showing it, for what looks like a key."""
    for name in body:
        if name in OURS:
            hint = "?seed=off leaves it out" if name == "seed" else "it is set for each call"
            raise ValueError(f"openai: {name} cannot stand in the body; {hint}")
    if where := _secret(body, key):
        raise ValueError(
            f"openai: {where} looks like a key or password; what stands here is written into records, "
            "keys go into the environment (OPENAI_API_KEY)"
        )


def _secret(value: Any, key: str, where: str = "body") -> str:
    """Where a key stands in a JSON value; "" where none does."""
    if isinstance(value, Mapping):
        inside = [(str(name), part) for name, part in value.items()]
        named = [name for name, part in inside if SECRET.search(name) and isinstance(part, str)]
        return (
            named[0] if named else next(filter(None, (_secret(part, key, name) for name, part in inside)), "")
        )
    if isinstance(value, (list, tuple)):
        return next(filter(None, (_secret(part, key, where) for part in value)), "")
    if isinstance(value, str) and (KEY.search(value) or (len(key) >= 8 and key in value)):
        return where
    return ""


def write(body: Mapping[str, Any], named: Collection[str], seeded: bool) -> str:
    """The query that gives this body again."""
    parts = [f"{name}={_text(value)}" for name, value in body.items() if name in named]
    if others := {name: value for name, value in body.items() if name not in named}:
        parts.append(f"body={_text(others)}")
    return "&".join([*parts, *([] if seeded else ["seed=off"])])


def _text(value: Any) -> str:
    """A value as it is read again: numbers as they are, a plain word bare, everything else as JSON."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w. -]*", value) and _json(value) == value:
        return value
    text = (
        str(value)
        if type(value) in (int, float)
        else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )
    return text.replace("%", "%25").replace("&", "%26")
