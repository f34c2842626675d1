"""Text to commands.  Never raises: a line that cannot be used becomes a `Rejected` with its reason.

A text is read line by line.  If it holds a complete ``` fence, only the first fenced part counts (without
a line that just names a language).  Around each line blanks and one list marker (`-`, `*`, `1.`, `2)`) are
dropped.  A line is then checked in a fixed order: the agent's command limit, the command's name, the
number of words, whole-number coordinates, the block, the box, and for /fill the mode and the stock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from collm_envs.building.world import block_id
from collm_envs.task import Cell, Rejected

MAX_DIGITS = 4300
"""longer coordinates are refused, as Python's own `int` does by default"""
_LANGUAGE = re.compile(r"[A-Za-z0-9_-]+\s*\n")
_MARKER = re.compile(r"(?:[-*]+|\d+[.)])\s*")
_SHORT = re.compile(r"([0-9]+) *([0-9]) *([a-z-])")


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
    """letter -> block of the short form; empty where there is none"""


def parse(text: str, rules: Rules) -> tuple[list[SetBlock], list[Rejected]]:
    """The /setblock commands of a text that count, and the lines that do not."""
    commands: list[SetBlock] = []
    rejected: list[Rejected] = []
    for raw in unfenced(text).splitlines():
        line, found = look_up(raw, rules, read_setblock)
        if not line:
            continue
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


def look_up(raw: str, rules: Rules, read: Callable) -> tuple:
    """(the line without its marker, what `read` makes of it); short lines are remembered."""
    if len(raw) > 80:
        return _look_up.__wrapped__(raw, rules, read)
    return _look_up(raw, rules, read)


@lru_cache(maxsize=1 << 16)
def _look_up(raw: str, rules: Rules, read: Callable) -> tuple:
    line = raw.strip()
    marker = _MARKER.match(line)
    line = line[marker.end() :] if marker else line
    return line, read(line, rules) if line else None


def read_setblock(line: str, rules: Rules) -> SetBlock | str | None:
    """The command of one line, the reason why there is none, or None for a line of nothing but "/"."""
    short = _SHORT.fullmatch(line) if rules.letters else None
    if short:
        x, y, z, block = whole(short[1]), int(short[2]), rules.low[2], rules.letters.get(short[3], short[3])
    else:
        words = line.removeprefix("/").split()
        if not words:
            return None
        if words[0].lower() != "setblock":
            return unsupported(words[0])
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


def unsupported(word: str) -> str:
    """The reason for a line whose first word is no command of this task."""
    return f"unsupported command {clip(word)!r}"


def clip(word: str) -> str:
    """The word, shortened so that reasons stay readable."""
    return word if len(word) <= 40 else word[:37] + "..."
