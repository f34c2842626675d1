"""The messages of HouseBuild after turn 1: each kind of feedback, in full sentences or terse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from collm_envs.building.commands import Fill
from collm_envs.building.housebuild.corrections import (
    dealt,
    left_over,
    schedule,
    wrong_cells,
    wrong_rectangles,
)
from collm_envs.building.housebuild.plan import Rectangle
from collm_envs.building.housebuild.prompts import full_rectangles, full_stock, letters, terse_rectangles
from collm_envs.building.housebuild.site import Site, State, world_of


def score(state: State, k: int, lim: int, terse: bool) -> str:
    """The last reward, neither scaled nor shifted."""
    raw = state.score.metrics["raw_reward"]
    return f"{raw:.4f}" if terse else f"The last build was worth {raw:.4f} points."


def perfect(state: State, k: int, lim: int, terse: bool) -> str:
    """Agent `k`'s share of the wrong cells, from the top down."""
    site = state.site
    wrong = wrong_cells(site.plan, world_of(state), site.downward)
    listed = _listed(site, dealt(site.plan, wrong, site.named, k))
    return (
        listed if terse else f"Cells for you to mend, with the block that belongs there:\n{listed or 'none'}"
    )


def position(state: State, k: int, lim: int, terse: bool) -> str:
    """All cells of the house, the same for everyone."""
    site, count = state.site, len(state.site.target)
    if terse:
        return site.blueprint
    solid = ~site.plan.is_air[site.plan.cells].ravel()[site.downward]
    return (
        f"The house has these {count} blocks. Choose about {max(1, count // 2)} of them; you may write up to "
        f"{site.seats[k].limit} commands.\n{_listed(site, site.downward[solid])}"
    )


def position_modification(state: State, k: int, lim: int, terse: bool) -> str:
    """The first wrong cells from the ground up, the same for everyone."""
    site = state.site
    wrong = wrong_cells(site.plan, world_of(state), site.upward)
    shown = wrong[:lim] if lim else wrong
    listed = _listed(site, shown)
    if terse:
        return listed
    return (
        f"{len(wrong)} cells were wrong; here are {len(shown)}, with the block that belongs there:\n"
        f"{listed or 'none'}"
    )


def rect_modification(state: State, k: int, lim: int, terse: bool) -> str:
    """The first rectangles of the blueprint, in the agent's layers, that contain a wrong cell."""
    site = state.site
    wrong = wrong_rectangles(site.plan, world_of(state), k, len(site.seats))
    shown = wrong[:lim] if lim else wrong
    if terse:
        return terse_rectangles(site.plan, shown)
    return (
        f"{_counted(state, k)}\nParts of the blueprint that were not right, (x1, y, z1, x2, y, z2 block):\n"
        f"{full_rectangles(shown)}"
    )


def resource_schedule(state: State, k: int, lim: int, terse: bool) -> str:
    """The stock left by the agent's last commands, and what could be built with it."""
    site = state.site
    left = left_over(site.stock, [c for c in state.commands[k] if isinstance(c, Fill)])
    chosen: list[Rectangle] = schedule(site.plan, left, site.named[k])
    if terse:
        names = letters(site.plan)
        stock_left = " ".join(f"{names[block]}:{count}" for block, count in left.items())
        return f"{stock_left}\n{terse_rectangles(site.plan, chosen)}"
    return (
        f"{_counted(state, k)}\nThey left of your stock (it is full again now): {full_stock(left)}.\n"
        f"What could be built with that, (x1, y, z1, x2, y, z2 block):\n{full_rectangles(chosen)}"
    )


def none(state: State, k: int, lim: int, terse: bool) -> str:
    """No message."""
    return ""


MESSAGES: Mapping[str, Callable[[State, int, int, bool], str]] = {
    "score": score,
    "perfect": perfect,
    "position": position,
    "position_modification": position_modification,
    "rect_modification": rect_modification,
    "resource_schedule": resource_schedule,
    "none": none,
}
"""{feedback: message(state, index of the agent, most entries or 0 for all, terse)}"""


def _counted(state: State, k: int) -> str:
    lines = "\n".join(command.line for command in state.commands[k])
    return f"Your commands that counted:\n{lines or 'none'}"


def _listed(site: Site, cells: np.ndarray) -> str:
    return "\n".join([site.labels[k] for k in cells.tolist()])
