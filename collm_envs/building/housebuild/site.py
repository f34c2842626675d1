"""A house under construction: `Site` is fixed for an item, `State` changes during an episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np

from collm_envs.building.commands import CommandRules, Fill, Kill, read_fill, unfold_rectangle
from collm_envs.building.housebuild.corrections import downward, upward
from collm_envs.building.housebuild.plan import Plan, read_plan
from collm_envs.building.housebuild.prompts import LETTERS, full_layers, labels, letters, terse_rectangles
from collm_envs.building.seats import Builder
from collm_envs.building.world import AIR, check_blocks
from collm_envs.keywords import choice, whole_number
from collm_envs.task import Cell, Item, Score


@dataclass(frozen=True, eq=False)
class Site:
    """Everything that is the same in all episodes of an item."""

    item: Item
    plan: Plan
    seats: tuple[Builder, ...]
    rules: tuple[CommandRules, ...]
    named: tuple[frozenset[str], ...]
    """by agent: block ids of the inventory or of `allowed_blocks`; air only if it is among them"""
    stock: Mapping[str, int]
    """{block: cells each agent may fill}; empty without limits"""
    target: Mapping[Cell, str]
    """{cell: block} of the finished house, for the scene"""
    upward: np.ndarray = field(repr=False)
    downward: np.ndarray = field(repr=False)
    """flat indices of the cells in the two orders of corrections.py"""
    labels: tuple[str, ...] = field(repr=False)
    """the text of each cell in prompts"""
    blueprint: str = field(repr=False)
    """the house as listed in prompts at turn 1"""


@dataclass(frozen=True)
class State:
    """A house under construction."""

    item: Item
    site: Site = field(compare=False, repr=False)
    attacks: tuple[int, ...]
    """health points that each spider takes from the player"""
    turn: int = 0
    """turns played"""
    world: bytes = b""
    """uint16 (height, depth, width) indices into the plan's names, after the last turn"""
    commands: tuple[tuple[Fill | Kill, ...], ...] = ()
    """by agent: the commands of the last turn that counted"""
    score: Score = field(default_factory=lambda: Score(0.0))
    """the score of the last turn"""
    texts: Mapping[str, str] = field(default_factory=dict)
    """{agent: text} of the last turn"""


def read_site(
    item: Item,
    allowed_blocks: Sequence[tuple[str, ...]],
    limits: Sequence[int],
    limited: bool,
    terse: bool,
) -> Site:
    """The site of an item; `allowed_blocks` (by agent) and `limits` (commands by agent) must be valid.

    Raises ValueError for a malformed blueprint, and for one with more blocks than terse prompts have
    letters.
    """
    n = len(limits)
    plan = read_plan(item.id, item.data, [block for agent_blocks in allowed_blocks for block in agent_blocks])
    short = {letter: block for block, letter in letters(plan).items()} | {"-": "air"}
    solid = int(np.count_nonzero(~plan.is_air))
    if terse and solid > len(LETTERS):
        raise ValueError(f"{item.id}: terse prompts have letters for {len(LETTERS)} blocks, got {solid}")
    named = [allowed_blocks[k] if allowed_blocks else plan.inventory for k in range(n)]
    stock = plan.stock(n) if limited else {}
    rules = [
        CommandRules(
            limit=limits[k],
            blocks=frozenset(named[k]) | {"air"},
            low=plan.low,
            high=plan.high,
            read=read_fill,
            stock=stock,
            unfold=unfold_rectangle if terse else None,
            marks=short,
        )
        for k in range(n)
    ]
    seats = [Builder(k + 1, n, tuple(b for b in named[k] if b not in AIR), limits[k]) for k in range(n)]
    return Site(
        item,
        plan,
        tuple(seats),
        tuple(rules),
        tuple(map(frozenset, named)),
        stock,
        target=standing(plan, plan.cells),
        upward=upward(plan),
        downward=downward(plan),
        labels=labels(plan, terse),
        blueprint=(terse_rectangles if terse else full_layers)(plan, plan.rectangles),
    )


def check_allowed(blocks: Any, n: int) -> tuple[tuple[str, ...], ...]:
    """By agent: the blocks it may place, from one list for all or one for each; empty for None."""
    if blocks is None:
        return ()
    if isinstance(blocks, Sequence) and blocks and all(isinstance(b, str) for b in blocks):
        return (check_blocks("allowed_blocks", blocks),) * n
    if not isinstance(blocks, Sequence) or isinstance(blocks, str) or len(blocks) != n:
        expected = f"block ids, or a list of them for each of {n} agents"
        raise ValueError(f"allowed_blocks: need {expected}, got {blocks!r}")
    return tuple(check_blocks(f"allowed_blocks[{k}]", agent_blocks) for k, agent_blocks in enumerate(blocks))


def check_threat(threat: Any, spiders: int, seed: int) -> tuple[int, ...] | None:
    """The attacks of every episode, or None if each episode draws its own."""
    if isinstance(threat, str):
        if choice("threat", threat, ("episode", "run")) == "episode":
            return None
        rng = Random(whole_number("threat_seed", seed))
        return tuple(rng.randint(1, 3) for _ in range(spiders))
    if not isinstance(threat, Sequence):
        raise ValueError(f'threat: need "episode", "run" or a list of attacks, got {threat!r}')
    return tuple(whole_number("threat", attack, least=0) for attack in threat)


def raised(plan: Plan, commands: Sequence[Sequence[Fill | Kill]]) -> np.ndarray:
    """The world (height, depth, width; indices into `plan.names`) after all commands, agent by agent."""
    world = np.zeros(plan.cells.shape, np.uint16)
    index = {block: k for k, block in enumerate(plan.names)}
    x, y, z = plan.low
    for agent_commands in commands:
        for fill in agent_commands:
            if isinstance(fill, Fill):
                (x1, y1, z1), (x2, y2, z2) = fill.low, fill.high
                box = slice(y1 - y, y2 - y + 1), slice(z1 - z, z2 - z + 1), slice(x1 - x, x2 - x + 1)
                world[box] = index[fill.block]
    return world


def world_of(state: State) -> np.ndarray:
    """The world of a state after turn 1: (height, depth, width) uint16, see `raised`."""
    return np.frombuffer(state.world, np.uint16).reshape(state.site.plan.cells.shape)


def standing(plan: Plan, world: np.ndarray) -> dict[Cell, str]:
    """{cell: block} of the cells that are not air; cells count from the lowest corner of the box."""
    return {(x, y, z): plan.names[world[y, z, x]] for y, z, x in np.argwhere(~plan.is_air[world]).tolist()}
