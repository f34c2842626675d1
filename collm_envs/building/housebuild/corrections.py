"""The cells and rectangles that HouseBuild's feedback lists; feedback.py puts them into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from collm_envs.building.commands import Fill
from collm_envs.building.housebuild.plan import Plan, Rectangle


def upward(plan: Plan) -> np.ndarray:
    """Flat indices of all cells, in an array (height, depth, width), ordered by y, x, z."""
    return np.arange(plan.cells.size).reshape(plan.cells.shape).transpose(0, 2, 1).ravel()


def downward(plan: Plan) -> np.ndarray:
    """The flat indices of `upward` with the highest layer first."""
    return upward(plan).reshape(len(plan.cells), -1)[::-1].ravel()


def wrong_cells(plan: Plan, world: np.ndarray, order: np.ndarray) -> np.ndarray:
    """The flat indices in `order` of the cells whose block differs from the plan."""
    return order[(world != plan.cells).ravel()[order]]


def dealt(plan: Plan, cells: np.ndarray, named: Sequence[frozenset[str]], agent: int) -> np.ndarray:
    """The share of `agent` in `cells`: dealt in turn to those who may place the block, to all if none may."""
    everyone = range(len(named))
    holders = [[k for k in everyone if block in named[k]] or list(everyone) for block in plan.names]
    count = np.array([len(group) for group in holders])
    table = np.array([group + [-1] * (len(named) - len(group)) for group in holders])
    blocks = plan.cells.ravel()[cells]
    return cells[table[blocks, np.arange(len(cells)) % count[blocks]] == agent]


def wrong_rectangles(plan: Plan, world: np.ndarray, agent: int, agents: int) -> list[Rectangle]:
    """Rectangles of the plan, of air too, that contain a wrong cell.

    Of several agents the first gets the layers up to y=2, the others those from y=2 up, as published.
    """
    wrong = [plan.covering[k] for k in np.unique(plan.part[world != plan.cells])]
    return [rect for rect in wrong if agents == 1 or (rect.y <= 2 if agent == 0 else rect.y >= 2)]


def left_over(stock: Mapping[str, int], commands: Sequence[Fill]) -> dict[str, int]:
    """{block: cells left} of the stock after these commands."""
    left = dict(stock)
    for fill in commands:
        if fill.block in left:
            left[fill.block] -= fill.volume
    return left


def schedule(plan: Plan, left: Mapping[str, int], allowed: frozenset[str]) -> list[Rectangle]:
    """Rectangles to build next with the stock `left`, the largest first.

    A rectangle is taken while there are enough of its block; then the largest part of a skipped rectangle
    that the remaining blocks allow is added.
    """
    left = {block: count for block, count in left.items() if block in allowed}
    chosen, skipped = [], []
    for area, rect in plan.by_size:
        if left.get(rect.block, 0) >= area:
            left[rect.block] -= area
            chosen.append(rect)
        else:
            skipped.append(rect)
    parts = [part for rect in skipped if (part := _part(rect, left.get(rect.block, 0)))]
    return [*chosen, *sorted(parts, key=lambda part: -part.area)[:1]]


@lru_cache(maxsize=1 << 14)
def _part(rect: Rectangle, most: int) -> Rectangle | None:
    """The largest part of `rect`, from its first corner, of at most `most` blocks; the widest of equals."""
    best = None
    for width in range(rect.x2 - rect.x1 + 1, 0, -1):
        depth = min(rect.z2 - rect.z1 + 1, most // width)
        part = rect._replace(x2=rect.x1 + width - 1, z2=rect.z1 + depth - 1)
        if depth and (best is None or part.area > best.area):
            best = part
    return best
