"""What the feedback of HouseBuild names.  Lists only; the sentences around them live in house_text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from collm_envs.building.commands import Fill
from collm_envs.building.housebuild.plan import Plan, Rectangle


def upward(plan: Plan) -> np.ndarray:
    """All cells in the order y, x, z: positions in the flattened (height, depth, width) array."""
    return np.arange(plan.cells.size).reshape(plan.cells.shape).transpose(0, 2, 1).ravel()


def downward(plan: Plan) -> np.ndarray:
    """The same with the highest cells first."""
    return upward(plan).reshape(len(plan.cells), -1)[::-1].ravel()


def wrong_cells(plan: Plan, world: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Of the cells in `order`, those whose block is not that of the plan."""
    return order[(world != plan.cells).ravel()[order]]


def dealt(plan: Plan, cells: np.ndarray, named: Sequence[frozenset[str]], agent: int) -> np.ndarray:
    """The cells that fall to `agent`: in turn to those that may place the block, to all if nobody may."""
    everyone = range(len(named))
    holders = [[k for k in everyone if block in named[k]] or list(everyone) for block in plan.names]
    count = np.array([len(some) for some in holders])
    table = np.array([some + [-1] * (len(named) - len(some)) for some in holders])
    blocks = plan.cells.ravel()[cells]
    return cells[table[blocks, np.arange(len(cells)) % count[blocks]] == agent]


def wrong_rectangles(plan: Plan, world: np.ndarray, agent: int, agents: int) -> list[Rectangle]:
    """Rectangles, those of air too, that hold a wrong cell; of several agents the first gets the layers up
    to y=2, the others those from y=2 up, as published."""
    wrong = [plan.covering[k] for k in np.unique(plan.part[world != plan.cells])]
    return [rect for rect in wrong if agents == 1 or (rect.y <= 2 if agent == 0 else rect.y >= 2)]


def left_over(stock: Mapping[str, int], commands: Sequence[Fill]) -> dict[str, int]:
    """The stock less what the commands used."""
    left = dict(stock)
    for fill in commands:
        if fill.block in left:
            left[fill.block] -= fill.volume
    return left


def schedule(plan: Plan, left: Mapping[str, int], allowed: frozenset[str]) -> list[Rectangle]:
    """Rectangles to build next with what is left: the largest first while there is enough of the block,
    and at the end the largest part of another one that what then remains allows."""
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
    """The largest part of at most `most` blocks that begins at the first corner; the widest of equals."""
    best = None
    for width in range(rect.x2 - rect.x1 + 1, 0, -1):
        depth = min(rect.z2 - rect.z1 + 1, most // width)
        part = rect._replace(x2=rect.x1 + width - 1, z2=rect.z1 + depth - 1)
        if depth and (best is None or part.area > best.area):
            best = part
    return best
