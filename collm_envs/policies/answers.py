"""Parses one answer of a chat endpoint: text, thinking, and the reason where there is no text.

Servers agree on less than the name "OpenAI-compatible" says.  What was generated is paid for, so every shape
of a generated answer is read, and one without a text is the empty text with its reason; only what was never
generated (an error, a page of HTML, half an answer) is `Unread` and worth another call.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from collm_envs.policies.thinking import split

THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""fields of a message in which servers return thinking"""
STREAM_FIELDS = (b"data:", b"event:", b"id:", b"retry:")
"""what a stream of server-sent events begins with"""
GZIP, MAX_UNPACKED = b"\x1f\x8b", 64 * 2**20
BLANK_LINE = re.compile(r"\r?\n\r?\n")


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
        if body.startswith(GZIP):  # some proxies compress whatever was asked for
            body = zlib.decompressobj(31).decompress(body, MAX_UNPACKED)
        body = body.lstrip()
        while body.startswith(b":"):  # comments by which a slow server keeps the connection open
            body = body.partition(b"\n")[2].lstrip()
        data = _streamed(body) if body.startswith(STREAM_FIELDS) else json.loads(body)
    except (ValueError, RecursionError, zlib.error):
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
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):  # the first of several answers
                reason = choice.get("finish_reason") or reason
                for name, part in _delta(_message(choice)).items():
                    texts[name] = texts.get(name, "") + part
    if reason is None and not texts:
        raise Unread
    return {**fields, "choices": [{"message": texts, "finish_reason": reason}]}


def _delta(message: Mapping[str, Any]) -> dict[str, str]:
    """{field: text to append} of a streamed piece of a message."""
    text, thinking, _ = _parts(message.get("content"))
    pieces = {
        "content": text,
        THOUGHTS[0]: thinking,
        "tool_calls": "called" * bool(message.get("tool_calls")),
    }
    beside = {name: message[name] for name in ("refusal", *THOUGHTS) if isinstance(message.get(name), str)}
    return {name: piece for name, piece in {**pieces, **beside}.items() if piece}


def _chunks(body: bytes) -> Iterator[dict[str, Any]]:
    """The JSON objects of a stream: one an event, over one `data` field or several; or one a line."""
    for event in BLANK_LINE.split(body.decode("utf-8", errors="replace")):
        fields = [line.partition(":") for line in event.split("\n")]
        lines = [value for name, _, value in fields if name == "data" and value.strip() not in ("", "[DONE]")]
        if not lines:
            continue
        try:
            values = [json.loads("\n".join(lines))]
        except ValueError:
            values = [json.loads(line) for line in lines]
        yield from (value for value in values if isinstance(value, dict))


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
            kind = str(part.get("type") or "text")
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
