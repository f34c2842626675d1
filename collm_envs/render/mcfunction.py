"""A world as a Minecraft function: commands that build it where the player stands.

Save the text as `data/<namespace>/function/<name>.mcfunction` in a data pack (`functions` before 1.21) and
run `/function <namespace>:<name>`.  x runs east, y up and z south of the player.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from collm_envs.task import Cell, Scene

LIMIT = 32_768
"""blocks that one /fill may change (the game's default)"""
MODERN = {
    "planks": "oak_planks",
    "log": "oak_log",
    "wood": "oak_wood",
    "leaves": "oak_leaves",
    "slab": "stone_slab",
    "stairs": "oak_stairs",
    "wooden_door": "oak_door",
    "fence": "oak_fence",
    "wool": "white_wool",
    "concrete": "white_concrete",
    "stained_glass": "white_stained_glass",
    "brick_block": "bricks",
    "stonebrick": "stone_bricks",
    "grass": "grass_block",
    "bed": "white_bed",
}
"""{name before 1.13: block id of today}; all other names stay"""
_ID = re.compile(r"(?:[a-z0-9_.-]+:)?[a-z0-9_./-]+")


def text(scene: Scene) -> str:
    """The commands, one a line: /fill with air, then boxes of equal blocks from the ground up (greedy).

    Raises ValueError for a scene without a world and for names that cannot be block ids.
    """
    if not all(scene.size):
        raise ValueError(f"mcfunction: need a scene with blocks, got one of size {scene.size}")
    width, height, depth = scene.size
    lines = [_fill(box, "air") for box in _split((0, 0, 0), (width - 1, height - 1, depth - 1))]
    for low, high, block in _boxes(scene.blocks):
        lines += [_fill(box, modern(block)) for box in _split(low, high)]
    return "\n".join([f"# {width} x {height} x {depth}, {len(scene.blocks)} blocks", *lines]) + "\n"


def modern(block: str) -> str:
    """The block id of today's game, without `minecraft:`.  Raises ValueError for an impossible id."""
    if not _ID.fullmatch(block):
        raise ValueError(f"mcfunction: {block!r} cannot be a block id (a to z, 0 to 9, _ . - /)")
    return MODERN.get(block, block)


def _fill(box: tuple[Cell, Cell], block: str) -> str:
    low, high = box
    name = block if ":" in block else f"minecraft:{block}"
    start, end = (" ".join(f"~{k or ''}" for k in cell) for cell in (low, high))
    return f"setblock {start} {name}" if low == high else f"fill {start} {end} {name}"


def _boxes(blocks: Mapping[Cell, str]) -> Iterator[tuple[Cell, Cell, str]]:
    """Boxes of equal blocks that cover `blocks`; each is grown along x, then z, then y."""
    left = dict(sorted(blocks.items(), key=lambda entry: (entry[0][1], entry[0][2], entry[0][0])))
    while left:
        (x, y, z), block = next(iter(left.items()))
        high = [x, y, z]
        for axis in (0, 2, 1):
            while all(left.get(cell) == block for cell in _next_slice((x, y, z), high, axis)):
                high[axis] += 1
        low, top = (x, y, z), (high[0], high[1], high[2])
        for cell in _cells(low, top):
            del left[cell]
        yield low, top, block


def _next_slice(low: Cell, high: list[int], axis: int) -> Iterator[Cell]:
    """The cells added to a box when it grows by one along an axis."""
    begin, end = list(low), list(high)
    begin[axis] = end[axis] = high[axis] + 1
    return _cells((begin[0], begin[1], begin[2]), (end[0], end[1], end[2]))


def _cells(low: Cell, high: Cell) -> Iterator[Cell]:
    for y in range(low[1], high[1] + 1):
        for z in range(low[2], high[2] + 1):
            for x in range(low[0], high[0] + 1):
                yield x, y, z


def _split(low: Cell, high: Cell) -> Iterator[tuple[Cell, Cell]]:
    """The box in parts of at most LIMIT blocks."""
    sides = [b - a + 1 for a, b in zip(low, high, strict=True)]
    if sides[0] * sides[1] * sides[2] <= LIMIT:
        yield low, high
        return
    axis = sides.index(max(sides))
    middle = low[axis] + sides[axis] // 2
    upper, lower = list(low), list(high)
    upper[axis], lower[axis] = middle, middle - 1
    yield from _split(low, (lower[0], lower[1], lower[2]))
    yield from _split((upper[0], upper[1], upper[2]), high)
