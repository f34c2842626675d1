"""What an agent of HouseBuild-v1 reads: in full sentences, or terse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from collm_envs.building.housebuild_v1.houses import LETTER_OF, LayeredHouse
from collm_envs.building.housebuild_v1.spiders import BITE, Spider
from collm_envs.building.seats import Builder
from collm_envs.task import Cell


@lru_cache(maxsize=4096)
def full_opening(
    house: LayeredHouse, seat: Builder, stock: int, seen: frozenset[int], turns: int, hp: int
) -> str:
    """The whole task in sentences."""
    width, height, depth = house.size
    held = ", ".join(f"{stock} {block} ({LETTER_OF[block]})" for block in seat.blocks)
    lines = [
        f"A house of blocks is to be built, {width} wide (x from 0), {height} high (y from 0, upward), "
        f"{depth} deep (z from 0). {_team(seat)}",
        "",
        f"There are {turns} turns; what is built stays. Your stock: {held}. Blocks that you take away (air) "
        "or replace go back to it. A cell that another builder has filled is lost to you.",
        "",
        "The layers that you see, with a letter for each kind of block and . for air; rows from z = 0, "
        "columns from x = 0:",
        *(f"y={y}\n" + "\n".join(house.layers[y]) for y in sorted(seen)),
        "" if seen else "none",
        "Spiders come to cells (x, z) at the border. A spider of strength s leaves when s builders guard "
        f"its cell in the same turn; else it takes {BITE} health points each turn. The team has {hp}; with "
        "the last one all is over. Only one of you reads of a spider, one turn before it comes. Who guards "
        "builds nothing in that turn.",
        "",
        f"Write commands only, one a line, at most {seat.limit} a turn, with whole numbers:",
        "/fill x1 y1 z1 x2 y2 z2 block",
        "/guard x z",
    ]
    return "\n".join(lines)


def _team(seat: Builder) -> str:
    if seat.team == 1:
        return "You build alone, with the blocks and hands of a whole team."
    return (
        f"You are builder {seat.number} of {seat.team}. All write at the same time. Each has blocks of their "
        "own and sees some of the layers; every layer needs blocks of several."
    )


@lru_cache(maxsize=4096)
def terse_opening(house: LayeredHouse, seat: Builder, stock: int, seen: frozenset[int]) -> str:
    """The same in few characters: `1/2 8 A=oak_planks:13 C=...`, the size, then `y0 AAB/AAB/CCB`."""
    held = " ".join(f"{LETTER_OF[block]}={block}:{stock}" for block in seat.blocks)
    size = "x".join(map(str, house.size))
    layers = [f"y{y} {'/'.join(house.layers[y])}" for y in sorted(seen)]
    return "\n".join([f"{seat.number}/{seat.team} {seat.limit} {held}", size, *layers])


def full_turn(house: LayeredHouse, own: Mapping[Cell, str], turn: int, turns: int, hp: int) -> str:
    """What an agent knows before a later turn, but for the spiders."""
    layers = own_layers(house, own)
    lines = [f"Turn {turn} of {turns}. Health: {hp}. Your own blocks that stand:", *(layers or ["none"])]
    return "\n".join(lines)


def terse_turn(house: LayeredHouse, own: Mapping[Cell, str], turn: int, hp: int) -> str:
    """The same in few characters."""
    return "\n".join([f"{turn} hp={hp}", *own_layers(house, own)])


def own_layers(house: LayeredHouse, own: Mapping[Cell, str]) -> list[str]:
    """`y0 AA./...` for each layer in which the agent has blocks."""
    width, _, depth = house.size
    layers: dict[int, list[list[str]]] = {}
    for (x, y, z), block in own.items():
        if y not in layers:
            layers[y] = [["."] * width for _ in range(depth)]
        layers[y][z][x] = LETTER_OF[block]
    return [f"y{y} {'/'.join(map(''.join, layers[y]))}" for y in sorted(layers)]


def full_spiders(spiders: Sequence[Spider], turn: int) -> str:
    """What a watch reads."""
    return "\n".join(
        f"Only you see: a spider of strength {s.strength} "
        f"{f'comes in turn {s.turn}' if s.turn > turn else 'is here now'}, at x={s.x} z={s.z}."
        for s in spiders
    )


def terse_spiders(spiders: Sequence[Spider]) -> str:
    """`spider 3 2,0 2`: turn, cell, strength."""
    return "\n".join(f"spider {s.turn} {s.x},{s.z} {s.strength}" for s in spiders)
