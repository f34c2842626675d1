"""Parses a text into commands.  Never raises: a line that cannot be used becomes a `Rejected`.

A text is read line by line.  If it contains a complete ``` fence, only the first fenced part counts (without
a line that just names a language).  Blanks around a line and one list marker (`-`, `*`, `1.`, `2)`) are
dropped.  A line is then checked in a fixed order: the agent's command limit, the command's name, the
number of words, whole-number coordinates, the block, the box, and for /fill the mode and the stock.
A task may also have short forms, one line for one or more commands, each of which is then checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from collm_envs.building.world import block_id
from collm_envs.task import Cell, Rejected

MAX_DIGITS = 4300
"""longer coordinates are refused, as Python's own `int` does by default"""
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]+\s*\n")
_MARKER = re.compile(r"(?:[-*]+|\d+[.)])\s*")
_ROW = re.compile(r"([0-9]) ([0-9a-z.-]+)")
_RECTANGLE = re.compile(r"([0-9])([0-9])([0-9])([0-9])([0-9])([A-Z-])|" + r"(-?[0-9]+) " * 5 + "([A-Z-])")


class SetBlock(NamedTuple):
    """One block at one cell; `line` is the command in its normal form."""

    line: str
    cell: Cell
    block: str


class Fill(NamedTuple):
    """One block in every cell from `low` to `high`."""

    line: str
    low: Cell
    high: Cell
    block: str
    volume: int
    """number of cells it sets"""


class Kill(NamedTuple):
    """Stops the spiders."""

    line: str


@dataclass(frozen=True, eq=False)
class CommandRules:
    """The limits on one agent's commands."""

    limit: int
    """most commands that count"""
    blocks: frozenset[str]
    """block ids the agent may name, including air"""
    low: Cell
    high: Cell
    """first and last cell of the box"""
    read: Callable[[str, CommandRules], Any]
    """`read_setblock` or `read_fill`: returns a command, a reason for rejection, or None for an empty line"""
    stock: Mapping[str, int] = field(default_factory=dict)
    """{block: cells that may be filled with it}; other blocks are unlimited"""
    unfold: Callable[[str, CommandRules], list[str] | None] | None = None
    """commands for a line in short form, None for any other line"""
    marks: Mapping[str, str] = field(default_factory=dict)
    """{character of the short form: block}"""


def parse(text: str, rules: CommandRules) -> tuple[list[Any], list[Rejected]]:
    """(commands that count, rejected lines with the reason) of a text."""
    commands: list[Any] = []
    rejected: list[Rejected] = []
    used: dict[str, int] = {}
    for raw in unfenced(text).splitlines():
        for line, reading in look_up(raw, rules):
            if len(commands) >= rules.limit:
                rejected.append(Rejected(line, f"exceeds the limit of {rules.limit} commands"))
            elif isinstance(reading, str):
                rejected.append(Rejected(line, reading))
            elif isinstance(reading, Fill) and reading.block in rules.stock:
                volume, most = used.get(reading.block, 0) + reading.volume, rules.stock[reading.block]
                if volume > most:
                    rejected.append(
                        Rejected(line, f"exceeds the stock of {reading.block}: {volume} > {most}")
                    )
                else:
                    used[reading.block] = volume
                    commands.append(reading)
            elif reading is not None:
                commands.append(reading)
    return commands, rejected


def unfenced(text: str) -> str:
    """The body of the first ``` fence that is closed, else the whole text."""
    parts = text.split("```", 2)
    if len(parts) < 3:
        return text
    body = parts[1].strip()
    language = _LANGUAGE.match(body)
    return body[language.end() :] if language else body


def look_up(raw: str, rules: CommandRules) -> tuple[tuple[str, Any], ...]:
    """((line, result of `rules.read`), ...) for a raw line: none if blank, several for a short form."""
    return _remembered(raw, rules) if len(raw) <= 80 else _look_up(raw, rules)


def _look_up(raw: str, rules: CommandRules) -> tuple[tuple[str, Any], ...]:
    line = raw.strip()
    marker = _MARKER.match(line)
    line = line[marker.end() :] if marker else line
    if not line:
        return ()
    lines = rules.unfold(line, rules) if rules.unfold else None
    return tuple((line, rules.read(line, rules)) for line in ([line] if lines is None else lines))


_remembered = lru_cache(maxsize=1 << 16)(_look_up)


def read_setblock(line: str, rules: CommandRules) -> SetBlock | str | None:
    """Read /setblock x y z block; further words are ignored."""
    words = line.removeprefix("/").split()
    if not words:
        return None
    if words[0].lower() != "setblock":
        return f"unsupported command {clip(words[0])!r}"
    if len(words) < 5:
        return "too few words; write /setblock x y z block"
    cell, block = cell_of(words[1:4]), block_id(words[4])
    if cell is None:
        return "coordinates must be whole numbers"
    if block not in rules.blocks:
        return f"block {clip(block)!r} not allowed"
    if not inside(cell, rules):
        return "outside the box"
    x, y, z = cell
    return SetBlock(f"/setblock {x} {y} {z} {block}", cell, block)


def read_fill(line: str, rules: CommandRules) -> Fill | Kill | str | None:
    """Read /fill x1 y1 z1 x2 y2 z2 block, corners in any order, no mode; or /kill and any words."""
    words = line.removeprefix("/").split()
    if not words:
        return None
    if words[0].lower() == "kill":
        return Kill(" ".join(["/kill", *words[1:]]))
    if words[0].lower() != "fill":
        return f"unsupported command {clip(words[0])!r}"
    if len(words) < 8:
        return "too few words; write /fill x1 y1 z1 x2 y2 z2 block"
    first, second, block = cell_of(words[1:4]), cell_of(words[4:7]), block_id(words[7])
    if first is None or second is None:
        return "coordinates must be whole numbers"
    if block not in rules.blocks:
        return f"block {clip(block)!r} not allowed"
    if not inside(first, rules) or not inside(second, rules):
        return "outside the box"
    if len(words) > 8:
        return f"fill mode {clip(words[8])!r} not allowed"
    (a, b, c), (x, y, z) = first, second
    low, high = (min(a, x), min(b, y), min(c, z)), (max(a, x), max(b, y), max(c, z))
    volume = (abs(a - x) + 1) * (abs(b - y) + 1) * (abs(c - z) + 1)
    return Fill(f"/fill {a} {b} {c} {x} {y} {z} {block}", low, high, block, volume)


def unfold_row(line: str, rules: CommandRules) -> list[str] | None:
    """Commands for `4 1.2`: a /setblock for each cell of row y=4 that is not `.`; None for other lines."""
    row = _ROW.fullmatch(line)
    if not row or len(row[2]) > rules.high[0] - rules.low[0] + 1:
        return None
    return [
        f"/setblock {rules.low[0] + k} {row[1]} {rules.low[2]} {rules.marks.get(mark, mark)}"
        for k, mark in enumerate(row[2])
        if mark != "."
    ]


def unfold_rectangle(line: str, rules: CommandRules) -> list[str] | None:
    """The /fill of one layer for `40050A` or `4 0 0 5 0 A`: y x1 z1 x2 z2 and a letter."""
    match = _RECTANGLE.fullmatch(line)
    if not match:
        return None
    y, x1, z1, x2, z2, letter = (part for part in match.groups() if part is not None)
    return [f"/fill {x1} {y} {z1} {x2} {y} {z2} {rules.marks.get(letter, letter)}"]


def cell_of(words: Sequence[str]) -> Cell | None:
    """The cell of three coordinate words, or None if one is not a whole number."""
    x, y, z = map(whole, words)
    return None if x is None or y is None or z is None else (x, y, z)


def whole(word: str) -> int | None:
    """An absolute whole number as `int` reads it, or None."""
    if len(word) > MAX_DIGITS:
        return None
    try:
        return int(word)
    except ValueError:
        return None


def inside(cell: Cell, rules: CommandRules) -> bool:
    """Whether the cell lies in the agent's box."""
    return all(low <= k <= high for low, k, high in zip(rules.low, cell, rules.high, strict=True))


def clip(word: str) -> str:
    """The word, shortened so that reasons stay readable."""
    return word if len(word) <= 40 else word[:37] + "..."
