"""Plain values as flat frames, for a reader that trusts nothing.

A frame is a 4-byte big-endian length and an ASCII JSON array that holds only strings and small integers:
`[` occurs once and `{` never, so no depth of nesting can reach the JSON parser.  A value is its pre-order
walk; one token a node:

    5            an int below 2**53 in size          "I-0x1f.."   any other int
    "n" "T" "F"  None, True, False                   "f0x1.8p+1"  a float, "c<hex> <hex>" a complex
    "stext"      a str                               "y00ff"      bytes or bytearray
    "l3" "t3"    a list or tuple, 3 values follow    "S3" "Z3"    a set or frozenset, 3 values follow
    "d3"         a dict, 3 pairs follow

Subclasses travel as their base and by the base's own methods, so nothing of theirs is ever asked.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

CONTAINERS = ("l", "t", "S", "Z", "d")
MAX_TOKENS = 1_000_000
MAX_DEPTH = 200
"""larger and deeper values are refused by the sender"""
SMALL = 2**53
HEADER = struct.Struct("!I")
ENDING = struct.Struct("!?id")
"""how a child went: by itself or killed, its wait status (-1: never started), its CPU seconds"""


class Unserialisable(Exception):
    """A value that is not plain data; the argument says what it is: a class name, or what is wrong."""


class BadFrame(Exception):
    """Bytes that are not a frame, or tokens that are not a value."""


def class_name(kind: type) -> str:
    """The name of a class, without asking its metaclass."""
    return type.__dict__["__name__"].__get__(kind)


def _scalar(value: Any, kind: type) -> str | int | None:
    """The token of a scalar, or None for anything else."""
    if value is None:
        return "n"
    if kind is bool:
        return "T" if value else "F"
    if issubclass(kind, int):
        plain = int.__index__(value)
        return plain if -SMALL < plain < SMALL else "I" + hex(plain)
    if issubclass(kind, str):
        return "s" + str.__str__(value)
    if issubclass(kind, float):
        return "f" + float.hex(value)
    if issubclass(kind, (bytes, bytearray)):
        base = bytes if issubclass(kind, bytes) else bytearray
        return "y" + base.hex(value)
    if issubclass(kind, complex):
        real, imag = complex.real.__get__(value), complex.imag.__get__(value)
        return f"c{real.hex()} {imag.hex()}"
    return None


def _pairs(value: dict[Any, Any]) -> Iterator[Any]:
    for key, item in dict.items(value):
        yield key
        yield item


def _container(value: Any, kind: type) -> tuple[str, Iterator[Any]]:
    """The token of a container and an iterator over what follows it."""
    if issubclass(kind, list):
        return f"l{list.__len__(value)}", list.__iter__(value)
    if issubclass(kind, tuple):
        return f"t{tuple.__len__(value)}", tuple.__iter__(value)
    if issubclass(kind, dict):
        return f"d{dict.__len__(value)}", _pairs(value)
    if issubclass(kind, set):
        return f"S{set.__len__(value)}", set.__iter__(value)
    if issubclass(kind, frozenset):
        return f"Z{frozenset.__len__(value)}", frozenset.__iter__(value)
    raise Unserialisable(class_name(kind))


def encode(value: Any) -> list[str | int]:
    """The tokens of a plain value; Unserialisable for anything else, for cycles and for giants."""
    tokens: list[str | int] = []
    stack = [iter((value,))]
    while stack:
        for node in stack[-1]:
            if len(tokens) >= MAX_TOKENS:
                raise Unserialisable("too large")
            if len(stack) > MAX_DEPTH:
                raise Unserialisable("nested too deep")
            kind = type(node)
            token = _scalar(node, kind)
            if token is None:
                token, inner = _container(node, kind)
                tokens.append(token)
                stack.append(inner)
                break
            tokens.append(token)
        else:
            stack.pop()
    return tokens


SCALARS = {
    "n": lambda text: None,
    "T": lambda text: True,
    "F": lambda text: False,
    "I": lambda text: int(text, 16),
    "s": str,
    "f": float.fromhex,
    "y": bytes.fromhex,
    "c": lambda text: complex(*map(float.fromhex, text.split(" "))),
}


def read_scalar(token: Any) -> Any:
    """The value of a scalar's token; BadFrame for any other token."""
    if type(token) is int:
        return token
    if type(token) is not str or token[:1] not in SCALARS:
        raise BadFrame("not a scalar")
    try:
        return SCALARS[token[0]](token[1:])
    except (ValueError, TypeError, OverflowError) as error:
        raise BadFrame("malformed scalar") from error


def container_size(token: Any) -> tuple[str, int] | None:
    """(tag, number of elements) of a container's token, None for a scalar's."""
    if type(token) is not str or token[:1] not in CONTAINERS:
        return None
    if not token[1:].isdecimal() or len(token) > 9:
        raise BadFrame("malformed container")
    return token[0], int(token[1:])


def _build(tag: str, values: list[Any]) -> Any:
    try:
        if tag == "l":
            return values
        if tag == "t":
            return tuple(values)
        if tag == "S":
            return set(values)
        if tag == "Z":
            return frozenset(values)
        return dict(zip(values[::2], values[1::2], strict=True))
    except TypeError as error:
        raise BadFrame("unhashable key") from error


def decode(tokens: list[Any], start: int = 0) -> Any:
    """The value that begins at `tokens[start]` and ends with the list, made of exact builtins only."""
    stack: list[tuple[str, int, list[Any]]] = []
    at = start
    while True:
        if at >= len(tokens):
            raise BadFrame("value cut short")
        size = container_size(tokens[at])
        if size is None:
            value = read_scalar(tokens[at])
        else:
            tag, count = size
            stack.append((tag, count * 2 if tag == "d" else count, []))
        at += 1
        if size is not None and stack[-1][1]:
            continue
        if size is not None:
            value = _build(stack.pop()[0], [])
        while stack:
            tag, count, values = stack[-1]
            values.append(value)
            if len(values) < count:
                break
            stack.pop()
            value = _build(tag, values)
        else:
            break
    if at != len(tokens):
        raise BadFrame("more than one value")
    return value


def pack(tokens: list[Any]) -> bytes:
    """One frame, ready to send.  `[` and `{` inside strings are escaped."""
    text = json.dumps(tokens, separators=(",", ":"))
    body = "[" + text[1:].replace("[", "\\u005b").replace("{", "\\u007b")
    return HEADER.pack(len(body)) + body.encode("ascii")


def _small_int(text: str) -> int:
    if len(text) > 17:
        raise BadFrame("long integer")
    return int(text)


def _refuse(text: str) -> Any:
    raise BadFrame(f"no {text[:20]} in a frame")


_DECODER = json.JSONDecoder(parse_int=_small_int, parse_float=_refuse, parse_constant=_refuse)


def unpack(body: bytes) -> list[Any]:
    """The tokens of a frame's body, or BadFrame.  Safe on any bytes."""
    if not body.startswith(b"[") or body.count(b"[") != 1 or b"{" in body:
        raise BadFrame("not a flat array")
    try:
        return _DECODER.decode(body.decode("ascii"))
    except ValueError as error:
        raise BadFrame("not JSON") from error
