"""Text to commands.  Never raises: a line that cannot be used becomes a `Rejected` with its reason.

A text is read line by line.  If it holds a complete ``` fence, only the first fenced part counts (without
a line that just names a language).  Around each line blanks and one list marker (`-`, `*`, `1.`, `2)`) are
dropped.  A line is then checked in a fixed order: the agent's command limit, the command's name, the
number of words, whole-number coordinates, the block, the box, and for /fill the mode and the stock.
A task may also know short forms, one line for one or more commands, each of which is then checked.
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
    """One block at one cell; `line` is the command as it counts."""

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
    """cells that it sets"""


class Kill(NamedTuple):
    """The spiders are fought."""

    line: str


@dataclass(frozen=True, eq=False)
class CommandRules:
    """What one agent may write."""

    limit: int
    """commands that may count"""
    blocks: frozenset[str]
    """block ids it may name, air among them"""
    low: Cell
    high: Cell
    """first and last cell of the box"""
    read: Callable[[str, CommandRules], Any]
    """`read_setblock` or `read_fill`: the command of a line, the reason why there is none, or None"""
    stock: Mapping[str, int] = field(default_factory=dict)
    """how many cells may be filled with a block; blocks that are not named are unlimited"""
    unfold: Callable[[str, CommandRules], list[str] | None] | None = None
    """lines for a line in short form, None for any other line"""
    marks: Mapping[str, str] = field(default_factory=dict)
    """character -> block of the short form"""


def parse(text: str, rules: CommandRules) -> tuple[list[Any], list[Rejected]]:
    """The commands of a text that count, and the lines that do not."""
    commands: list[Any] = []
    rejected: list[Rejected] = []
    used: dict[str, int] = {}
    for raw in unfenced(text).splitlines():
        for line, found in look_up(raw, rules):
            if len(commands) >= rules.limit:
                rejected.append(Rejected(line, f"exceeds the limit of {rules.limit} commands"))
            elif isinstance(found, str):
                rejected.append(Rejected(line, found))
            elif isinstance(found, Fill) and found.block in rules.stock:
                volume, most = used.get(found.block, 0) + found.volume, rules.stock[found.block]
                if volume > most:
                    rejected.append(Rejected(line, f"exceeds the stock of {found.block}: {volume} > {most}"))
                else:
                    used[found.block] = volume
                    commands.append(found)
            elif found is not None:
                commands.append(found)
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
    """(line, what the rules read in it) for a raw line: none if it is blank, several for a short form."""
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
    """/setblock x y z block; more words are ignored."""
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
    """/fill x1 y1 z1 x2 y2 z2 block, corners in any order and no mode; or /kill with any words after it."""
    words = line.removeprefix("/").split()
    if not words:
        return None
    if words[0].lower() == "kill":
        return Kill(" ".join(["/kill", *words[1:]]))
    if words[0].lower() != "fill":
        return f"unsupported command {clip(words[0])!r}"
    if len(words) < 8:
        return "too few words; write /fill x1 y1 z1 x2 y2 z2 block"
    one, other, block = cell_of(words[1:4]), cell_of(words[4:7]), block_id(words[7])
    if one is None or other is None:
        return "coordinates must be whole numbers"
    if block not in rules.blocks:
        return f"block {clip(block)!r} not allowed"
    if not inside(one, rules) or not inside(other, rules):
        return "outside the box"
    if len(words) > 8:
        return f"fill mode {clip(words[8])!r} not allowed"
    (a, b, c), (x, y, z) = one, other
    low, high = (min(a, x), min(b, y), min(c, z)), (max(a, x), max(b, y), max(c, z))
    volume = (abs(a - x) + 1) * (abs(b - y) + 1) * (abs(c - z) + 1)
    return Fill(f"/fill {a} {b} {c} {x} {y} {z} {block}", low, high, block, volume)


def unfold_row(line: str, rules: CommandRules) -> list[str] | None:
    """`4 1.2` as one /setblock for each cell of row y=4 that is not `.`, if the row is not too long."""
    row = _ROW.fullmatch(line)
    if not row or len(row[2]) > rules.high[0] - rules.low[0] + 1:
        return None
    return [
        f"/setblock {rules.low[0] + k} {row[1]} {rules.low[2]} {rules.marks.get(mark, mark)}"
        for k, mark in enumerate(row[2])
        if mark != "."
    ]


def unfold_rectangle(line: str, rules: CommandRules) -> list[str] | None:
    """`40050A` or `4 0 0 5 0 A`, that is y x1 z1 x2 z2 and a letter, as a /fill of one layer."""
    match = _RECTANGLE.fullmatch(line)
    if not match:
        return None
    y, x1, z1, x2, z2, letter = (part for part in match.groups() if part is not None)
    return [f"/fill {x1} {y} {z1} {x2} {y} {z2} {rules.marks.get(letter, letter)}"]


def cell_of(words: Sequence[str]) -> Cell | None:
    """The cell that three words name, or None."""
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
