"""What an agent of HouseBuild-v1 may write: /fill and /guard."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from collm_envs.building.commands import CommandRules, Fill, read_fill, whole
from collm_envs.building.stacks import Placement


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


def placement(fill: Fill) -> Placement:
    """A fill as the cells of its box."""
    (x1, y1, z1), (x2, y2, z2) = fill.low, fill.high
    box = product(range(x1, x2 + 1), range(y1, y2 + 1), range(z1, z2 + 1))
    return Placement(fill.line, tuple(box), fill.block)
