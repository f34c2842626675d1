"""Parses one answer of a chat endpoint: text, thinking, and the reason where there is no text.

Servers agree on less than the name "OpenAI-compatible" says.  What was generated is paid for, so every shape
of a generated answer is read, and one without a text is the empty text with its reason; only what was never
generated (an error, a page of HTML, half an answer) is `Unread` and worth another call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from collm_envs.policies.thinking import split

THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""fields of a message in which servers return thinking"""


class Unread(Exception):
    """The body holds no generated answer, or none that can be told from an error."""


class Answer(NamedTuple):
    """The parsed answer of an endpoint, before keys are masked in it."""

    text: str
    thinking: str
    empty: str
    """why there is no text; "" where there is one"""
    finish_reason: Any
    model: Any
    usage: Mapping[str, Any]


def read(body: bytes) -> Answer:
    """The answer in the body of a 200; raises Unread."""
    data = _object(body)
    usage = data["usage"] if isinstance(data.get("usage"), dict) else {}
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict):
        if data.get("error") or not _generated(usage):
            raise Unread
        return Answer("", "", "no choice", None, data.get("model"), usage)
    reason = choice.get("finish_reason")
    message = _message(choice)
    text, thinking, left_out = _parts(message.get("content"))
    text, within = split(text)
    beside = next((message[name] for name in THOUGHTS if isinstance(message.get(name), str)), "")
    thinking = "\n".join(part for part in (beside, thinking, within) if part)
    if not text.strip() and (data.get("error") or choice.get("error") or reason == "error"):
        raise Unread
    empty = "" if text.strip() else _why(message, reason, thinking, left_out)
    return Answer(text, thinking, empty, reason, data.get("model"), usage)


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer; one that was streamed although nobody asked for it is put together."""
    try:
        if body.lstrip()[:6].startswith((b"data:", b"event:", b":")):
            return _streamed(body)
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Unread from None
    if not isinstance(data, dict):
        raise Unread
    return data


def _streamed(body: bytes) -> dict[str, Any]:
    texts: dict[str, str] = {}
    fields: dict[str, Any] = {}
    reason = None
    for chunk in _chunks(body):
        fields.update({name: chunk[name] for name in ("usage", "model", "error") if chunk.get(name)})
        for choice in chunk.get("choices") or ():
            reason = choice.get("finish_reason") or reason
            for name, part in _message(choice).items():
                if isinstance(part, str) and name in ("content", "refusal", *THOUGHTS):
                    texts[name] = texts.get(name, "") + part
    if reason is None and not texts:
        raise Unread
    return {**fields, "choices": [{"message": texts, "finish_reason": reason}]}


def _chunks(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.decode("utf-8", errors="replace").split("\n"):
        field, _, data = line.partition(":")
        if field == "data" and data.strip() not in ("", "[DONE]"):
            chunk = json.loads(data)
            if isinstance(chunk, dict):
                yield chunk


def _generated(usage: Mapping[str, Any]) -> bool:
    """Whether the usage has a positive count, so that the endpoint charges for the answer."""
    return any(type(n) is int and n > 0 for n in usage.values())


def _message(choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message of a choice, where it has one: as it should be, bare, streamed, or of a completion."""
    for name in ("message", "delta"):
        if isinstance(choice.get(name), dict):
            return choice[name]
        if isinstance(choice.get(name), str):
            return {"content": choice[name]}
    return {"content": choice["text"]} if "text" in choice else {}


def _parts(content: Any) -> tuple[str, str, list[str]]:
    """(text, thinking, kinds of parts that are neither) of a content: a text, a part, or a list of both."""
    texts: list[str] = []
    thoughts: list[str] = []
    left_out: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict):
            kind = str(part.get("type", "text"))
            words = _words(part.get(kind, part.get("text")))
            if kind in ("thinking", "reasoning"):
                thoughts.append(words)
            elif kind in ("text", "output_text"):
                texts.append(words)
            else:
                left_out.append(kind)
        elif part is not None:
            left_out.append(type(part).__name__)
    return "".join(texts), "\n".join(thoughts), left_out


def _words(value: Any) -> str:
    """The text of a part: as it stands, under "value" or "text", or in parts of its own."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _words(value.get("value", value.get("text")))
    if isinstance(value, list):
        return "".join(map(_words, value))
    return ""


def _why(message: Mapping[str, Any], reason: Any, thinking: str, left_out: list[str]) -> str:
    """Why an answer has no text, in few words: the same reason must read the same, since it is counted."""
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        return "refusal"
    if message.get("tool_calls") or message.get("function_call"):
        return "tool call"
    if isinstance(reason, str) and reason and reason != "stop":
        return reason
    if thinking:
        return "only thinking"
    if left_out:
        return f"only {left_out[0]}"
    return "no text" if message else "no message"
