"""Encodes plain values as flat frames that can be read safely from an untrusted process.

A frame is a 4-byte big-endian length and lines of UTF-8, one token a line.  Nothing nests, so reading
one needs no recursion.  A value is written in pre-order, one token a node:

    n T F        None, True, False                 i5         an int below 2**53 in size, in decimal
    ftext        a float, as float.hex             I0x1f      any other int, in hexadecimal
    stext        a str (backslash and line end     ctext text a complex, as two float.hex
                 are escaped)                      d3         a dict, 3 pairs follow
    y00ff        bytes or bytearray                S3 Z3      a set or frozenset, 3 values follow
    l3 t3        a list or tuple, 3 values follow

Subclasses are sent as their base class, read by the base's methods, so that no code of theirs runs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

CONTAINERS = frozenset("ltSZd")
MAX_TOKENS = 1_000_000
MAX_DEPTH = 200
"""the sender raises Unserialisable for larger and deeper values"""
SMALL = 2**53
HEADER = struct.Struct("!I")
ENDING = struct.Struct("!?id")
"""how a child ended: by itself or killed, wait status (-1: never started), CPU seconds"""


class Unserialisable(Exception):
    """A value that is not plain data; the argument is its class name or the reason."""


class BadFrame(Exception):
    """Bytes that are not a frame, or tokens that are not a value."""


def class_name(kind: type) -> str:
    """The name of a class, without calling its metaclass."""
    return type.__dict__["__name__"].__get__(kind)


def _scalar(value: Any, kind: type) -> str | None:
    """The token of a scalar, or None for anything else."""
    if value is None:
        return "n"
    if kind is bool:
        return "T" if value else "F"
    if issubclass(kind, int):
        plain = int.__index__(value)
        return f"i{plain}" if -SMALL < plain < SMALL else f"I{plain:#x}"
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
    """(token, iterator over the values that follow it) of a container."""
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


def encode(value: Any) -> list[str]:
    """The tokens of a plain value.  Raises Unserialisable for other data, cycles and oversized values."""
    tokens: list[str] = []
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


def _small(text: str) -> int:
    if len(text) > 17:
        raise ValueError("long integer")
    return int(text)


SCALARS = {
    "n": lambda text: None,
    "T": lambda text: True,
    "F": lambda text: False,
    "i": _small,
    "I": lambda text: int(text, 16),
    "s": str,
    "f": float.fromhex,
    "y": bytes.fromhex,
    "c": lambda text: complex(*map(float.fromhex, text.split(" "))),
}


def read_scalar(token: str) -> Any:
    """The value of a scalar's token; BadFrame for any other token."""
    read = SCALARS.get(token[:1])
    if read is None:
        raise BadFrame("not a scalar")
    try:
        return read(token[1:])
    except (ValueError, TypeError, OverflowError) as error:
        raise BadFrame("malformed scalar") from error


def container_size(token: str) -> int:
    """Number of values that follow a container's token (two for a pair); -1 for a scalar's token."""
    if token[:1] not in CONTAINERS:
        return -1
    if len(token) > 9 or not (token[1:].isascii() and token[1:].isdigit()):
        raise BadFrame("malformed container")
    return int(token[1:]) * (2 if token[0] == "d" else 1)


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


def decode(tokens: list[str], start: int = 0) -> Any:
    """The value that begins at `tokens[start]` and ends with the list, made of exact builtins only."""
    open_: list[tuple[str, int, list[Any]]] = []
    for at in range(start, len(tokens)):
        token = tokens[at]
        size = container_size(token)
        if size > 0:
            if len(open_) == MAX_DEPTH:  # hashing, comparing and freeing the value would recurse
                raise BadFrame("nested too deep")
            open_.append((token[0], size, []))
            continue
        value = read_scalar(token) if size < 0 else _build(token[0], [])
        while open_:
            tag, size, values = open_[-1]
            values.append(value)
            if len(values) < size:
                break
            open_.pop()
            value = _build(tag, values)
        else:
            if at + 1 != len(tokens):
                raise BadFrame("more than one value")
            return value
    raise BadFrame("value cut short")


def pack(tokens: list[str]) -> bytes:
    """One frame, ready to send."""
    if any("\n" in token or "\\" in token for token in tokens):
        tokens = [token.replace("\\", "\\\\").replace("\n", "\\n") for token in tokens]
    body = "\n".join(tokens).encode("utf-8", "surrogatepass")
    return HEADER.pack(len(body)) + body


def _unescape(token: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in token.split("\\\\"))


def unpack(body: bytes) -> list[str]:
    """The tokens of a frame's body, or BadFrame.  Safe on any bytes."""
    try:
        text = body.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise BadFrame("not UTF-8") from error
    tokens = text.split("\n")
    return [_unescape(token) for token in tokens] if "\\" in text else tokens
