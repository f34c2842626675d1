"""Reads blueprints of the published schema strictly, into a `Plan` of the finished house.

A blueprint has layers (y, from the ground up) of rows (z) of characters (x); its inventory maps each
character to a block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from collm_envs.building.world import AIR, block_id
from collm_envs.task import Cell


class Rectangle(NamedTuple):
    """Equal blocks of one layer, from (x1, z1) to (x2, z2), both included."""

    y: int
    x1: int
    z1: int
    x2: int
    z2: int
    block: str

    @property
    def area(self) -> int:
        """Number of blocks."""
        return (self.x2 - self.x1 + 1) * (self.z2 - self.z1 + 1)

    def box(self, low: Cell) -> tuple[int, slice, slice]:
        """The rectangle's index into an array (height, depth, width) whose first cell is `low`."""
        x, y, z = low
        return self.y - y, slice(self.z1 - z, self.z2 - z + 1), slice(self.x1 - x, self.x2 - x + 1)


@dataclass(frozen=True)
class Plan:
    """A house as it should be built."""

    id: str
    low: Cell
    """lowest corner of the box"""
    size: Cell
    """width (x), height (y), depth (z)"""
    inventory: tuple[str, ...]
    """block ids of the blueprint"""
    names: tuple[str, ...]
    """block ids: air, the inventory, and other blocks that agents may use"""
    rectangles: tuple[Rectangle, ...]
    """rectangles that are not air, layer by layer"""
    by_size: tuple[tuple[int, Rectangle], ...] = field(compare=False, repr=False)
    """(area, rectangle) of `rectangles`, the largest first, ties in the order of their coordinates"""
    covering: tuple[Rectangle, ...]
    """rectangles of every block, air too, that cover the box; sorted"""
    part: np.ndarray = field(compare=False, repr=False)
    """(height, depth, width) indices into `covering`"""
    cells: np.ndarray = field(compare=False, repr=False)
    """(height, depth, width) indices into `names`"""
    is_air: np.ndarray = field(compare=False, repr=False)
    """(len(names),) bool"""
    counts: Mapping[str, int] = field(compare=False, repr=False)
    """{block: cells that should hold it}; 0 for unused blocks of the inventory; without air"""

    @property
    def high(self) -> Cell:
        """Highest corner of the box."""
        (x, y, z), (width, height, depth) = self.low, self.size
        return x + width - 1, y + height - 1, z + depth - 1

    def stock(self, n: int) -> dict[str, int]:
        """{block: cells each of `n` agents may fill}: its share, rounded up, and half a share more."""
        return {block: -(-count // n) + count // (2 * n) for block, count in sorted(self.counts.items())}


def read_plan(name: str, row: Mapping[str, Any], others: Sequence[str] = ()) -> Plan:
    """The plan of a row {"inventory", "target_spec": {"layers": [...]}, "bbox"}; `name` is the item's id.

    `others` are blocks outside the inventory that agents may use.  Raises ValueError that names the item
    and, for a fault in a layer, the layer and row.
    """
    inventory = _inventory(name, row.get("inventory"))
    spec = row.get("target_spec")
    if not isinstance(spec, Mapping) or spec.get("type", "y_layers") != "y_layers":
        raise ValueError(f'{name}: target_spec must be a mapping of type "y_layers", got {spec!r}')
    layers = _layers(name, spec.get("layers"), inventory)
    ys = sorted(layers)
    grid = [layers[y] for y in ys]
    size = (len(grid[0][0]), len(grid), len(grid[0]))
    low = _low_corner(name, row.get("bbox"), size, ys)
    if "size" in spec and spec["size"] is not None and list(spec["size"]) != list(size):
        raise ValueError(f"{name}: target_spec.size says {spec['size']}, the layers are {list(size)}")
    blocks = tuple(dict.fromkeys(inventory.values()))
    names = tuple(dict.fromkeys(["air", *blocks, *others]))
    cells = np.array([[[names.index(inventory[c]) for c in r] for r in rows] for rows in grid], np.uint16)
    listed = [
        Rectangle(low[1] + k, low[0] + x1, low[2] + z1, low[0] + x2, low[2] + z2, block)
        for k, rows in enumerate(grid)
        for x1, z1, x2, z2, block in _rectangles(rows, inventory)
    ]
    rectangles = tuple(rect for rect in listed if rect.block not in AIR)
    if not rectangles:
        raise ValueError(f"{name}: the blueprint holds nothing but air")
    counts = {block: 0 for block in blocks if block not in AIR}
    for rectangle in rectangles:
        counts[rectangle.block] += rectangle.area
    is_air = np.array([block in AIR for block in names])
    by_size = tuple(sorted(((rect.area, rect) for rect in rectangles), key=lambda pair: (-pair[0], pair[1])))
    covering = tuple(sorted(listed))
    part = np.zeros(cells.shape, np.intp)
    for k, rect in enumerate(covering):
        part[rect.box(low)] = k
    return Plan(name, low, size, blocks, names, rectangles, by_size, covering, part, cells, is_air, counts)


def _inventory(name: str, mapping: Any) -> dict[str, str]:
    if not isinstance(mapping, Mapping) or not mapping:
        raise ValueError(f"{name}: inventory must map characters to block ids, got {mapping!r}")
    for key, block in mapping.items():
        if not isinstance(key, str) or len(key) != 1:
            raise ValueError(f"{name}: inventory: need single characters as keys, got {key!r}")
        if not isinstance(block, str) or len(block.split()) != 1:
            raise ValueError(f"{name}: inventory[{key!r}]: a block id is one word, got {block!r}")
    return {key: block_id(block) for key, block in mapping.items()}


def _layers(name: str, entries: Any, inventory: Mapping[str, str]) -> dict[int, list[str]]:
    """{y: rows}; all layers have one shape and no y is missing.  Raises ValueError otherwise."""
    if isinstance(entries, Mapping):
        entries = [{"y": y, "rows": rows} for y, rows in entries.items()]
    if not isinstance(entries, Sequence) or isinstance(entries, str) or not entries:
        raise ValueError(f"{name}: target_spec.layers must be a list of layers, got {entries!r}")
    layers: dict[int, list[str]] = {}
    for k, layer in enumerate(entries):
        if not isinstance(layer, Mapping) or not {"y", "rows"} <= set(layer):
            raise ValueError(
                f'{name}: layer number {k} must be like {{"y": 0, "rows": [...]}}, got {layer!r}'
            )
        y = _whole(f"{name}: layer number {k}: y", layer["y"])
        if y in layers:
            raise ValueError(f"{name}: layer y={y} is there twice")
        layers[y] = _rows(f"{name}: layer y={y}", layer["rows"], inventory)
    first = layers[min(layers)]
    for y in range(min(layers), max(layers) + 1):
        if y not in layers:
            raise ValueError(f"{name}: layer y={y} is missing")
        if len(layers[y]) != len(first):
            raise ValueError(f"{name}: layer y={y}: need {len(first)} rows, got {len(layers[y])}")
        for z, row in enumerate(layers[y]):
            if len(row) != len(first[0]):
                raise ValueError(
                    f"{name}: layer y={y}, row {z}: need {len(first[0])} characters, got {len(row)}: {row!r}"
                )
    return layers


def _rows(where: str, rows: Any, inventory: Mapping[str, str]) -> list[str]:
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ValueError(f"{where}: rows must be a list of strings, got {rows!r}")
    for z, row in enumerate(rows):
        if not isinstance(row, str) or not row:
            raise ValueError(f"{where}, row {z}: need a string of inventory characters, got {row!r}")
        unknown = sorted(set(row) - set(inventory))
        if unknown:
            raise ValueError(f"{where}, row {z}: {unknown[0]!r} is not in the inventory: {row!r}")
    return list(rows)


def _low_corner(name: str, bbox: Any, size: Cell, ys: Sequence[int]) -> Cell:
    """The lowest corner of `bbox`, which must fit the layers; without one x and z begin at 0."""
    if bbox is None:
        return 0, ys[0], 0
    try:
        corners = [[_whole(f"{name}: bbox.{end}", k) for k in bbox[end]] for end in ("from", "to")]
        (a, b, c), (x, y, z) = corners
    except (TypeError, KeyError, ValueError) as fault:
        raise ValueError(
            f'{name}: bbox must be like {{"from": [0, 0, 0], "to": [5, 6, 6]}}, got {bbox!r}'
        ) from fault
    low, extent = (min(a, x), min(b, y), min(c, z)), (abs(x - a) + 1, abs(y - b) + 1, abs(z - c) + 1)
    if extent != size or low[1] != ys[0]:
        raise ValueError(
            f"{name}: bbox {bbox} is {extent} large from y={low[1]}; the layers are {size} from y={ys[0]}"
        )
    return low


def _whole(where: str, value: Any) -> int:
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{where}: need a whole number, got {value!r}")
    return value


def _rectangles(rows: Sequence[str], inventory: Mapping[str, str]) -> list[tuple[int, int, int, int, str]]:
    """[(x1, z1, x2, z2, block)] that cover a layer: runs of one character, joined with equal runs below.

    A rectangle is listed when the row after its last one is read, which gives the published order.
    """
    done: list[tuple[int, int, int, int, str]] = []
    growing: dict[tuple[int, int, str], int] = {}
    for z, row in enumerate(rows):
        starts = [x for x in range(len(row)) if x == 0 or row[x] != row[x - 1]]
        runs = [
            (x1, x2 - 1, inventory[row[x1]]) for x1, x2 in zip(starts, [*starts[1:], len(row)], strict=True)
        ]
        done += [(x1, z1, x2, z - 1, b) for (x1, x2, b), z1 in growing.items() if (x1, x2, b) not in runs]
        growing = {run: growing.get(run, z) for run in runs}
    return done + [(x1, z1, x2, len(rows) - 1, b) for (x1, x2, b), z1 in growing.items()]
