"""Houses whose parts are of kinds drawn by lot, so that no layer tells of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from collm_envs.building.rows import read_rows
from collm_envs.task import Cell, Item

LETTERS = "ABCDEFGHIJKLMNOP"
"""names of the kinds in blueprints; kind i belongs to builder i mod n"""
KINDS: tuple[str, ...] = (
    "oak_planks",
    "stone",
    "white_concrete",
    "obsidian",
    "bricks",
    "glass",
    "sandstone",
    "gold_block",
    "iron_block",
    "clay",
    "quartz_block",
    "prismarine",
    "coal_block",
    "hay_block",
    "snow_block",
    "emerald_block",
)
"""the blocks behind the letters, each of a texture of its own"""
LETTER_OF: dict[str, str] = dict(zip(KINDS, LETTERS, strict=True))
"""block -> its letter in blueprints"""
KINDS_EACH = 2
"""kinds that belong to each builder"""
LARGEST = 16
"""sides of a house of your own"""
PATIENCE = 2000
"""draws in a row without a new house, after which there are taken to be no more"""
Layers = tuple[tuple[str, ...], ...]
"""layers from the ground up, of rows from z = 0, a letter for a block and '.' for air"""


@dataclass(frozen=True)
class LayeredHouse:
    """A blueprint as data."""

    layers: Layers
    cells: Mapping[Cell, str] = field(compare=False, repr=False)
    """non-air cells -> block"""

    @property
    def size(self) -> Cell:
        """width, height, depth"""
        return len(self.layers[0][0]), len(self.layers), len(self.layers[0])


def house_of(item: Item) -> LayeredHouse:
    """The house of an item."""
    layers = tuple(tuple(rows) for rows in item.data["layers"])
    cells = {
        (x, y, z): KINDS[LETTERS.index(letter)]
        for y, rows in enumerate(layers)
        for z, row in enumerate(rows)
        for x, letter in enumerate(row)
        if letter != "."
    }
    return LayeredHouse(layers, cells)


def ration(house: LayeredHouse, builders: int, slack: float) -> int:
    """Blocks of each kind that there are: slack times the house's cells for each builder."""
    return max(1, int(slack * len(house.cells) / builders))


def most_needed(house: LayeredHouse) -> int:
    """Cells of the commonest kind."""
    return max(Counter(house.cells.values()).values())


def read_items(rows: Any, builders: int) -> dict[str, tuple[Item, ...]]:
    """The items of rows {"layers": [["AB", "BA"], ...]}."""

    letters = LETTERS[: KINDS_EACH * builders]

    def read(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
        if not _is_house(row.get("layers"), letters):
            raise ValueError(
                f'items: {name} must be like {{"layers": [["AB", "BA"], ...]}}: layers from the ground up, '
                f"all of one size up to {LARGEST}, with the letters {letters} for blocks and . for air, not "
                f"all of them air; got {row!r:.200}"
            )
        return {**row, "layers": [list(layer) for layer in row["layers"]]}

    return read_rows(rows, "house_build_v1_", read)


def _is_house(layers: Any, letters: str) -> bool:
    def is_list(value: Any) -> bool:
        return isinstance(value, Sequence) and not isinstance(value, str) and 0 < len(value) <= LARGEST

    if not is_list(layers) or not all(map(is_list, layers)):
        return False
    rows = [row for layer in layers for row in layer]
    if not all(isinstance(row, str) and 0 < len(row) <= LARGEST for row in rows):
        return False
    sizes = {(len(layer), len(row)) for layer in layers for row in layer}
    return len(sizes) == 1 and set("".join(rows)) <= {*letters, "."} and set("".join(rows)) != {"."}


def generate(
    n: int, n_eval: int, side: int, builders: int, slack: float, seed: int
) -> dict[str, tuple[Item, ...]]:
    """`n` houses to train on and `n_eval` others, all different, whose kinds the rations suffice for."""
    taken: set[Layers] = set()
    items = {}
    for split, many in (("eval", n_eval), ("train", n)):
        rng = Random(f"collm/HouseBuild-v1/{split}/{seed}/{builders}/{side}")
        chosen: list[Item] = []
        idle = 0
        while len(chosen) < many:
            layers = tuple(_layer(y, side, builders, rng) for y in range(side))
            item = Item(f"{split}_house_{len(chosen)}", {"layers": [list(rows) for rows in layers]})
            house = house_of(item)
            if layers not in taken and most_needed(house) <= ration(house, builders, slack):
                taken.add(layers)
                chosen.append(item)
                idle = 0
            elif (idle := idle + 1) == PATIENCE:
                raise ValueError(
                    f"n, n_eval, slack: found {len(chosen)} of {many} different houses for {split!r} that a "
                    f"slack of {slack:g} suffices for; want fewer or give more slack"
                )
        items[split] = tuple(chosen)
    return items


def _layer(y: int, side: int, builders: int, rng: Random) -> tuple[str, ...]:
    """Floor and roof are rings around each other; between them stand four walls and four corners.

    Every part is of a kind drawn by lot, again until the layer needs blocks of two builders.
    """
    solid = y in (0, side - 1)
    part = _ring if solid else _wall
    names = {(x, z): part(x, z, side) for z in range(side) for x in range(side)}
    parts = sorted({name for name in names.values() if name})
    while True:
        kinds = {name: rng.randrange(KINDS_EACH * builders) for name in parts}
        if len({kind % builders for kind in kinds.values()}) > 1:
            break
    return tuple(
        "".join(LETTERS[kinds[names[x, z]]] if names[x, z] else "." for x in range(side)) for z in range(side)
    )


def _ring(x: int, z: int, side: int) -> str:
    return f"ring {min(x, z, side - 1 - x, side - 1 - z)}"


def _wall(x: int, z: int, side: int) -> str:
    """The part of a layer of wall at (x, z); "" inside."""
    ends = {0: "low", side - 1: "high"}
    if x in ends and z in ends:
        return f"corner {ends[x]} {ends[z]}"
    if x in ends:
        return f"x wall {ends[x]}"
    return f"z wall {ends[z]}" if z in ends else ""
