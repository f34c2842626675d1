"""Scripted players of HouseBuild.  They read the full state: baselines and warm starts, not agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from collm_envs.building.housebuild.plan import Plan, Rectangle
from collm_envs.building.housebuild.prompts import terse_rectangles
from collm_envs.task import Cell, Player


@lru_cache(maxsize=4096)
def division(
    plan: Plan, blocks: tuple[tuple[str, ...], ...], limited: bool
) -> tuple[tuple[Rectangle, ...], ...]:
    """The rectangles of a plan split among the agents: one tuple per agent, ordered by coordinates.

    The largest is assigned first, to the agent with most of its block left (without limits: with least to
    do); a rectangle that no agent has enough blocks for is cut in two.
    """
    everyone = range(len(blocks))
    stock = plan.stock(len(blocks)) if limited else plan.counts
    left = [{block: stock[block] for block in stock if block in allowed} for allowed in blocks]
    shares: list[list[Rectangle]] = [[] for _ in everyone]
    waiting = sorted(plan.rectangles, key=lambda rect: -rect.area)
    while waiting:
        rect = waiting.pop(0)
        k = max(everyone, key=lambda k: left[k].get(rect.block, 0))
        most = left[k].get(rect.block, 0)
        if most >= rect.area:
            left[k][rect.block] -= rect.area
            shares[k].append(rect)
        elif most > 0:
            waiting = [*_cut(rect), *waiting]
    return tuple(tuple(sorted(share, key=lambda rect: rect[:5])) for share in shares)


def _cut(rect: Rectangle) -> tuple[Rectangle, Rectangle]:
    """The two halves of a rectangle of at least two blocks."""
    if rect.x2 - rect.x1 >= rect.z2 - rect.z1:
        middle = (rect.x1 + rect.x2) // 2
        return rect._replace(x2=middle), rect._replace(x1=middle + 1)
    middle = (rect.z1 + rect.z2) // 2
    return rect._replace(z2=middle), rect._replace(z1=middle + 1)


def expert(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The agent's share of the house; the first agent also stops the spiders."""
    k = task.agents.index(agent)
    return _write(task, state, k, _share(task, state, k), kill=k == 0 and sum(state.attacks) > 0)


def noisy(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The expert's share with mistakes: missing rectangles, others' rectangles, wrong blocks or positions."""
    k = task.agents.index(agent)
    plan, blocks = state.site.plan, state.site.seats[k].blocks
    share, skill = set(_share(task, state, k)), rng.uniform(0.1, 0.9)
    chosen: list[Rectangle] = []
    for rect in plan.rectangles:
        if rng.random() < skill:
            chosen += [rect] if rect in share else []
        elif rng.random() < 0.3:
            chosen.append(_blunder(rect, blocks, plan, rng) if rng.random() < 0.3 else rect)
    kill = sum(state.attacks) > 0 and rng.random() < 0.5
    return _write(task, state, k, chosen, kill)


def random(task: Any, state: Any, agent: str, rng: Random) -> str:
    """Random rectangles of allowed blocks, and sometimes /kill."""
    k, plan = task.agents.index(agent), state.site.plan
    chosen = []
    for _ in range(rng.randint(0, len(plan.rectangles))):
        xs, ys, zs = zip(_corner(plan, rng), _corner(plan, rng), strict=True)
        block = rng.choice(state.site.seats[k].blocks)
        chosen.append(Rectangle(ys[0], min(xs), min(zs), max(xs), max(zs), block))
    return _write(task, state, k, chosen, kill=rng.random() < 0.3)


PLAYERS: Mapping[str, Player] = {"random": random, "expert": expert, "noisy": noisy}


def _share(task: Any, state: Any, k: int) -> tuple[Rectangle, ...]:
    blocks = tuple(seat.blocks for seat in state.site.seats)
    return division(state.site.plan, blocks, task.limited_resource)[k]


def _blunder(rect: Rectangle, blocks: Sequence[str], plan: Plan, rng: Random) -> Rectangle:
    """The rectangle with another block, or moved by one cell within the box."""
    if rng.random() < 0.5:
        return rect._replace(block=rng.choice(blocks))
    move = rng.choice((-1, 1))
    if rng.random() < 0.5:
        return rect._replace(y=min(max(rect.y + move, plan.low[1]), plan.high[1]))
    x1, x2 = (min(max(x + move, plan.low[0]), plan.high[0]) for x in (rect.x1, rect.x2))
    return rect._replace(x1=x1, x2=x2)


def _corner(plan: Plan, rng: Random) -> Cell:
    (x1, y1, z1), (x2, y2, z2) = plan.low, plan.high
    return rng.randint(x1, x2), rng.randint(y1, y2), rng.randint(z1, z2)


def _write(task: Any, state: Any, k: int, chosen: Sequence[Rectangle], kill: bool) -> str:
    """The rectangles as commands, in the form that the task's prompts ask for, at most the agent's limit."""
    lines = ["/kill"] if kill else []
    if task.prompts == "terse":
        lines += terse_rectangles(state.site.plan, chosen).splitlines()
    else:
        lines += [f"/fill {x1} {y} {z1} {x2} {y} {z2} {block}" for y, x1, z1, x2, z2, block in chosen]
    return "\n".join(lines[: task.limits[k]])
