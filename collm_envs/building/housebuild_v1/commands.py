"""What an agent of HouseBuild-v1 may write: /fill and /guard."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

from collm_envs.building.commands import CommandRules, Fill, read_fill, whole
from collm_envs.building.world import AIR
from collm_envs.task import Cell


class Guard(NamedTuple):
    """An agent stands guard at (x, z) this turn."""

    line: str
    x: int
    z: int


def read_command(line: str, rules: CommandRules) -> Fill | Guard | str | None:
    """/guard x z, else what `read_fill` reads; there is no /kill here."""
    words = line.removeprefix("/").split()
    if not words or words[0].lower() not in ("guard", "kill"):
        return read_fill(line, rules)  # type: ignore[return-value]
    if words[0].lower() == "kill":
        return "unsupported command 'kill'"
    numbers = [whole(word) for word in words[1:3]]
    if len(numbers) < 2:
        return "too few words; write /guard x z"
    x, z = numbers
    if x is None or z is None:
        return "coordinates must be whole numbers"
    if not (rules.low[0] <= x <= rules.high[0] and rules.low[2] <= z <= rules.high[2]):
        return "outside the box"
    return Guard(f"/guard {x} {z}", x, z)


def fill_cells(fill: Fill) -> list[Cell]:
    """All cells of a box."""
    (x1, y1, z1), (x2, y2, z2) = fill.low, fill.high
    return list(product(range(x1, x2 + 1), range(y1, y2 + 1), range(z1, z2 + 1)))


def shortage(fill: Fill, own: Mapping[Cell, str], left: Mapping[str, int]) -> str:
    """Why an agent with these blocks standing and `left` in stock cannot do this; "" if it can."""
    cells = fill_cells(fill)
    if fill.block in AIR:
        return "" if any(cell in own for cell in cells) else "no block of yours stands there"
    needed = sum(own.get(cell) != fill.block for cell in cells)
    if not needed:
        return "it stands there already"
    if needed > left[fill.block]:
        return f"exceeds the stock of {fill.block}: {needed} > {left[fill.block]}"
    return ""
