"""The prompts of HouseBuild at turn 1: in full sentences, or terse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby

import numpy as np

from collm_envs.building.housebuild.plan import Plan, Rectangle
from collm_envs.building.seats import Builder, team_sentence

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def full_opening(
    plan: Plan,
    blueprint: str,
    seat: Builder,
    stock: Mapping[str, int],
    attacks: Sequence[int],
    player_hp: int,
) -> str:
    """The task in sentences; an empty `stock` means no limits, empty `attacks` no spiders."""
    (x1, y1, z1), (x2, y2, z2) = plan.low, plan.high
    lines = [
        f"A house is to be built of blocks. {team_sentence(seat)}",
        "",
        f"x runs from {x1} to {x2}, y from {y1} (ground) to {y2} (top), z from {z1} to {z2}. Nothing can be "
        f"placed outside. The world starts as air.",
        "",
        "Blueprint, layer by layer, as (x1, y, z1, x2, y, z2 block); all other cells stay air:",
        blueprint,
        "",
        f"Your blocks: {', '.join(seat.blocks)} (and air, which clears cells).",
    ]
    if stock:
        lines.append(
            f"You may place at most {full_stock(stock)}, counting every cell that you fill; air is unlimited."
        )
    if attacks:
        lines += ["", full_threat(attacks, player_hp)]
    lines += [
        "",
        f"Write commands only, one a line, at most {seat.limit}, with absolute whole numbers:",
        "/fill x1 y1 z1 x2 y2 z2 block",
    ]
    return "\n".join([*lines, "/kill"] if attacks else lines)


def full_layers(plan: Plan, rectangles: Iterable[Rectangle]) -> str:
    """One line per layer: its rectangles."""
    layers = groupby(rectangles, key=lambda rect: rect.y)
    return "\n".join(f"y={y}: {', '.join(map(full_rectangle, layer))}" for y, layer in layers)


def full_threat(attacks: Sequence[int], player_hp: int) -> str:
    """The sentences on the spiders' attacks and /kill."""
    blows = ", ".join(map(str, attacks))
    return (
        f"{len(attacks)} spiders attack the player, who has {player_hp} health points; they take {blows}, "
        f"{sum(attacks)} in all. One line /kill from any builder stops all of them."
    )


@lru_cache(maxsize=1 << 14)
def full_rectangle(rect: Rectangle) -> str:
    """(x1, y, z1, x2, y, z2 block)"""
    y, x1, z1, x2, z2, block = rect
    return f"({x1}, {y}, {z1}, {x2}, {y}, {z2} {block})"


def full_stock(stock: Mapping[str, int]) -> str:
    """white_concrete 51, obsidian 9"""
    return ", ".join(f"{block} {count}" for block, count in stock.items())


def full_rectangles(rectangles: Iterable[Rectangle]) -> str:
    """One rectangle a line."""
    return "\n".join(map(full_rectangle, rectangles)) or "none"


def terse_opening(
    plan: Plan,
    blueprint: str,
    seat: Builder,
    stock: Mapping[str, int],
    attacks: Sequence[int],
    player_hp: int,
) -> str:
    """`full_opening` in few characters."""
    head = f"{seat.number}/{seat.team} {seat.limit}"
    if attacks:
        head += f" hp={player_hp} spiders={','.join(map(str, attacks))}"
    box = "x".join(map(str, plan.size))
    if plan.low != (0, 0, 0):
        box += f" from {','.join(map(str, plan.low))}"
    blocks = " ".join(f"{letter}={block}{_count(block, stock)}" for block, letter in letters(plan).items())
    return "\n".join([head, box, blocks, blueprint])


def _count(block: str, stock: Mapping[str, int]) -> str:
    return f":{stock[block]}" if block in stock else ""


def letters(plan: Plan) -> dict[str, str]:
    """{block: letter} of the blocks that are not air."""
    solid = [block for block, air in zip(plan.names, plan.is_air, strict=True) if not air]
    return dict(zip(solid, LETTERS, strict=False))


def terse_rectangles(plan: Plan, rectangles: Iterable[Rectangle]) -> str:
    """One rectangle a line: y x1 z1 x2 z2 letter (`-` for air); no blanks if all numbers have one digit."""
    names = letters(plan)
    gap = "" if min(plan.low) >= 0 and max(plan.high) <= 9 else " "
    return "\n".join(gap.join([*map(str, rect[:5]), names.get(rect.block, "-")]) for rect in rectangles)


def labels(plan: Plan, terse: bool) -> tuple[str, ...]:
    """A label for each cell with its planned block, in the order of the flattened plan.

    "(x, y, z) block", or a terse rectangle.
    """
    (x0, y0, z0), texts = plan.low, []
    for (y, z, x), k in np.ndenumerate(plan.cells):
        block, x, y, z = plan.names[k], x + x0, y + y0, z + z0
        single = Rectangle(y, x, z, x, z, block)
        texts.append(terse_rectangles(plan, [single]) if terse else f"({x}, {y}, {z}) {block}")
    return tuple(texts)
