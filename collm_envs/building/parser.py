"""Text to commands.  Never raises: a line that cannot be used becomes a `Rejected` with its reason.

A text is read line by line.  If it holds a complete ``` fence, only the first fenced part counts (without
a line that just names a language).  Around each line blanks and one list marker (`-`, `*`, `1.`, `2)`) are
dropped.  A line is then checked in a fixed order: the agent's command limit, the command's name, the
number of words, whole-number coordinates, the block, the box, and for /fill the mode and the stock.
A task may also let agents draw: a line `y cells` stands for one /setblock for each cell that is not `.`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from collm_envs.building.world import block_id
from collm_envs.task import Cell, Rejected

MAX_DIGITS = 4300
"""longer coordinates are refused, as Python's own `int` does by default"""
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]+\s*\n")
_MARKER = re.compile(r"(?:[-*]+|\d+[.)])\s*")
_ROW = re.compile(r"([0-9]) ([a-z.-]+)")


class SetBlock(NamedTuple):
    """One block at one cell; `line` is the command as it counts."""

    line: str
    cell: Cell
    block: str


@dataclass(frozen=True, eq=False)
class Rules:
    """What one agent may write."""

    limit: int
    """commands that may count"""
    blocks: frozenset[str]
    """block ids it may name, air among them"""
    low: Cell
    high: Cell
    """first and last cell of the box"""
    letters: Mapping[str, str] = field(default_factory=dict)
    """letter -> block for drawn rows; empty where drawing is not allowed"""


def parse(text: str, rules: Rules) -> tuple[list[SetBlock], list[Rejected]]:
    """The /setblock commands of a text that count, and the lines that do not."""
    commands: list[SetBlock] = []
    rejected: list[Rejected] = []
    for raw in unfenced(text).splitlines():
        for line, found in look_up(raw, rules, read_setblock):
            if len(commands) >= rules.limit:
                rejected.append(Rejected(line, f"exceeds the limit of {rules.limit} commands"))
            elif isinstance(found, str):
                rejected.append(Rejected(line, found))
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


def look_up(raw: str, rules: Rules, read: Callable) -> tuple[tuple[str, Any], ...]:
    """(line, what `read` makes of it) for a raw line: none if it is blank, several if it is a drawn row."""
    if len(raw) > 80:
        return _look_up.__wrapped__(raw, rules, read)
    return _look_up(raw, rules, read)


@lru_cache(maxsize=1 << 16)
def _look_up(raw: str, rules: Rules, read: Callable) -> tuple[tuple[str, Any], ...]:
    line = raw.strip()
    marker = _MARKER.match(line)
    line = line[marker.end() :] if marker else line
    if not line:
        return ()
    row = _ROW.fullmatch(line) if rules.letters else None
    if row and len(row[2]) <= rules.high[0] - rules.low[0] + 1:
        lines = [
            f"/setblock {rules.low[0] + k} {row[1]} {rules.low[2]} {rules.letters.get(mark, mark)}"
            for k, mark in enumerate(row[2])
            if mark != "."
        ]
    else:
        lines = [line]
    return tuple((line, read(line, rules)) for line in lines)


def read_setblock(line: str, rules: Rules) -> SetBlock | str | None:
    """The command of one line, the reason why there is none, or None for a line of nothing but "/"."""
    words = line.removeprefix("/").split()
    if not words:
        return None
    if words[0].lower() != "setblock":
        return f"unsupported command {clip(words[0])!r}"
    if len(words) < 5:
        return "too few words; write /setblock x y z block"
    x, y, z, block = whole(words[1]), whole(words[2]), whole(words[3]), block_id(words[4])
    if x is None or y is None or z is None:
        return "coordinates must be whole numbers"
    if block not in rules.blocks:
        return f"block {clip(block)!r} not allowed"
    if not inside((x, y, z), rules):
        return "outside the box"
    return SetBlock(f"/setblock {x} {y} {z} {block}", (x, y, z), block)


def whole(word: str) -> int | None:
    """An absolute whole number as `int` reads it, or None."""
    if len(word) > MAX_DIGITS:
        return None
    try:
        return int(word)
    except ValueError:
        return None


def inside(cell: Cell, rules: Rules) -> bool:
    """Whether the cell lies in the agent's box."""
    (x, y, z), low, high = cell, rules.low, rules.high
    return low[0] <= x <= high[0] and low[1] <= y <= high[1] and low[2] <= z <= high[2]


def clip(word: str) -> str:
    """The word, shortened so that reasons stay readable."""
    return word if len(word) <= 40 else word[:37] + "..."
