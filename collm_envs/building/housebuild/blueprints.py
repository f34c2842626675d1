"""Generates houses: floor, walls with corners and a door, eaves, and one of five roofs.

The default settings with each roof are the five houses of OpenMLRL/LLM_Collab_Minecraft (MIT), which its
ten published items consist of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from random import Random
from typing import Any, Literal, get_args

from collm_envs.keywords import whole_number
from collm_envs.task import Item

Roof = Literal["gable", "flat", "steep", "x_slope", "hip"]
BLOCKS = {
    "C": "white_concrete",
    "O": "obsidian",
    "S": "stone_stairs",
    "B": "stone_bricks",
    "D": "planks",
    "A": "air",
}
"""walls and floor, corners, stairs, bricks, door, air"""
CHOICES = {
    "C": ("white_concrete", "sandstone", "bricks", "cobblestone"),
    "O": ("obsidian", "oak_log", "polished_andesite"),
    "S": ("stone_stairs", "oak_stairs", "brick_stairs"),
    "B": ("stone_bricks", "oak_planks", "smooth_stone"),
    "D": ("spruce_planks", "birch_planks"),
    "A": ("air",),
}
"""{letter: blocks that a generated house draws from}"""
PATIENCE = 1000
"""draws in a row without a new house after which generation gives up"""
_VARIANTS: dict[str, tuple[Roof, str | None]] = {
    "house_build_0002": ("gable", None),
    "house_build_0101": ("flat", "flat_north"),
    "house_build_0102": ("flat", "flat_south"),
    "house_build_0103": ("flat", "flat_clear"),
    "house_build_0104": ("steep", "steep_north"),
    "house_build_0105": ("steep", "steep_south"),
    "house_build_0106": ("x_slope", "x_slope_north"),
    "house_build_0107": ("x_slope", "x_slope_south"),
    "house_build_0108": ("hip", "hip_clear"),
    "house_build_0109": ("hip", "hip_north"),
}


@dataclass(frozen=True)
class House:
    """Settings of a house; its walls are one row inside the front and the back of the box."""

    roof: Roof = "gable"
    width: int = 6
    """x, at least 4"""
    depth: int = 7
    """z, at least 5"""
    walls: int = 3
    """layers of wall, at least 2"""
    roof_layers: int = 2
    """layers above the eaves"""
    door: int = 2
    """x of the door's left edge"""
    door_width: int = 2
    blocks: Mapping[str, str] = field(default_factory=lambda: dict(BLOCKS))


def layers(house: House) -> list[list[str]]:
    """Layers from the ground up; each is a list of rows, front to back, in the letters of `BLOCKS`."""
    body = [_walls(house, level) for level in range(1, house.walls + 1)]
    roof = [_roof(house, level) for level in range(1, house.roof_layers + 1)]
    return [_walls(house, 0), *body, _eaves(house), *roof]


def _walls(house: House, level: int) -> list[str]:
    """The floor (level 0) or a layer of wall; the door is 1 block high with an opening above it."""
    right, back, rows = house.width - 1, house.depth - 2, ["A" * house.width]
    for z in range(1, back + 1):
        row = ""
        for x in range(house.width):
            on_x, on_z = x in (0, right), z in (1, back)
            if level and z == 1 and level <= 2 and house.door <= x < house.door + house.door_width:
                row += "D" if level == 1 else "A"
            elif level and on_x and on_z:
                row += "O"
            else:
                row += "C" if on_x or on_z or not level else "A"
        rows.append(row)
    return [*rows, "A" * house.width]


def _eaves(house: House) -> list[str]:
    """A slab of bricks with stairs along the front and the back."""
    edge = "S" * house.width
    return [edge, *["B" * house.width] * (house.depth - 2), edge]


def _roof(house: House, level: int) -> list[str]:
    """Layer `level` (from 1) of the roof: it shrinks with height, stairs at its edges, bricks inside."""
    ends_x = ends_z = 0
    if house.roof in ("gable", "steep", "hip"):
        ends_z = level + (house.roof == "steep")
    if house.roof == "hip":
        ends_x = level
    if house.roof == "x_slope":
        ends_x = level - 1
    return [
        "".join(
            "A"
            if min(x, house.width - 1 - x) < ends_x or min(z, house.depth - 1 - z) < ends_z
            else "S"
            if _is_stairs(house, x, z, ends_x, ends_z)
            else "B"
            for x in range(house.width)
        )
        for z in range(house.depth)
    ]


def _is_stairs(house: House, x: int, z: int, ends_x: int, ends_z: int) -> bool:
    """Whether a roof cell is part of a slope.  A ridge of one or two rows is made of bricks."""
    if house.roof == "flat":
        return False
    if house.roof == "x_slope":
        return x not in ((house.width - 1) // 2, house.width // 2)
    last_x, last_z = house.width - 1 - ends_x, house.depth - 1 - ends_z
    slopes_z = z in (ends_z, last_z) and last_z - ends_z >= 2
    slopes_x = house.roof == "hip" and x in (ends_x, last_x) and last_x - ends_x >= 2
    return slopes_z or slopes_x


def row(house: House, **names: Any) -> dict[str, Any]:
    """The house as a row of the published schema; `names` are further entries, such as task_id."""
    grid = layers(house)
    text = "".join("".join(rows) for rows in grid)
    return {
        **names,
        "inventory": dict(house.blocks),
        "count": {letter: text.count(letter) for letter in house.blocks},
        "target_spec": {
            "type": "y_layers",
            "size": [house.width, len(grid), house.depth],
            "layers": [{"y": y, "rows": rows} for y, rows in enumerate(grid)],
        },
    }


def published() -> dict[str, list[dict[str, Any]]]:
    """The ten published rows: eight to train on, two to evaluate on."""
    rows = []
    for name, (roof, variant) in _VARIANTS.items():
        data_row = row(House(roof), task_id=name, bbox=None)
        if variant is None:
            data_row["bbox"] = {"from": [0, 0, 0], "to": [5, 6, 6]}
        else:
            data_row["variant"] = variant
        rows.append(data_row)
    return {"train": rows[:8], "eval": rows[8:]}


def generate(n: int, n_eval: int, size: Any, seed: int) -> dict[str, tuple[Item, ...]]:
    """`n` houses to train on and `n_eval` others, all different, as items `house_<split>_<number>`.

    `size` is (width, height, depth), each a number or (smallest, largest); a house fills its box.  The
    evaluation houses depend on `n_eval`, `size` and `seed` only.  Raises ValueError if the sizes allow too
    few different houses.
    """
    ranges = _ranges(size)
    if whole_number("n", n, 1) + whole_number("n_eval", n_eval, 1) > (most := _at_most(ranges)):
        raise ValueError(f"n, n_eval: at most {most} different houses of size {size}, need {n + n_eval}")
    looks: set[str] = set()
    items: dict[str, tuple[Item, ...]] = {}
    for split, count in (("eval", n_eval), ("train", n)):
        rng = Random(f"collm/HouseBuild/houses/{seed}/{split}")
        rows: list[dict[str, Any]] = []
        misses = 0
        while len(rows) < count and misses < PATIENCE:
            house = _draw(ranges, rng)
            look = repr((layers(house), house.blocks))
            misses = misses + 1 if look in looks else 0
            if not misses:
                looks.add(look)
                name = f"house_{split}_{len(rows) + 1:04d}"
                rows.append(row(house, task_id=name, bbox=None, variant=house.roof))
        if len(rows) < count:
            raise ValueError(
                f"n, n_eval: found {len(looks)} different houses of size {size}, need {n + n_eval}"
            )
        items[split] = tuple(Item(row["task_id"], row) for row in rows)
    return {"train": items["train"], "eval": items["eval"]}


def _at_most(ranges: Sequence[tuple[int, int]]) -> int:
    """An upper bound on the number of different houses of these sizes."""
    shapes = 0
    for width, height, depth in product(*(range(low, high + 1) for low, high in ranges)):
        roofs = sum(min(height - 4, _highest(roof, width, depth)) for roof in get_args(Roof))
        shapes += roofs * ((width - 2) + (width - 3))  # doors of one and of two blocks
    return shapes * prod(len(blocks) for blocks in CHOICES.values())


def _draw(ranges: Sequence[tuple[int, int]], rng: Random) -> House:
    width, height, depth = (rng.randint(*ends) for ends in ranges)
    roof: Roof = rng.choice(get_args(Roof))
    roof_layers = rng.randint(1, min(height - 4, _highest(roof, width, depth)))
    door_width = rng.randint(1, 2)
    return House(
        roof=roof,
        width=width,
        depth=depth,
        walls=height - 2 - roof_layers,
        roof_layers=roof_layers,
        door=rng.randint(1, width - 1 - door_width),
        door_width=door_width,
        blocks={letter: rng.choice(choices) for letter, choices in CHOICES.items()},
    )


def _highest(roof: Roof, width: int, depth: int) -> int:
    """The largest number of layers of this roof that are not empty; two for a flat one."""
    across, along = (width - 1) // 2, (depth - 1) // 2
    return {"gable": along, "steep": along - 1, "hip": min(across, along), "x_slope": across + 1, "flat": 2}[
        roof
    ]


def _ranges(size: Any) -> list[tuple[int, int]]:
    """[(smallest, largest)] of width, height and depth.  Raises ValueError for a malformed `size`."""
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 3:
        raise ValueError(f"size: need (width, height, depth), got {size!r}")
    ranges = []
    for name, least, entry in zip(("width", "height", "depth"), (4, 5, 5), size, strict=True):
        ends = tuple(entry) if isinstance(entry, Sequence) and not isinstance(entry, str) else (entry, entry)
        if len(ends) != 2:
            raise ValueError(f"size: the {name} must be a number or (smallest, largest), got {entry!r}")
        low, high = (whole_number(f"size: {name}", end, least) for end in ends)
        if low > high:
            raise ValueError(f"size: the {name} must be (smallest, largest), got {entry!r}")
        ranges.append((low, high))
    return ranges
