"""The state of HouseBuild-v1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collm_envs.building.housebuild_v1.houses import LayeredHouse
from collm_envs.building.housebuild_v1.spiders import Spider
from collm_envs.building.stacks import Blocks, Stacks
from collm_envs.task import Item, Score


@dataclass(frozen=True)
class State:
    """A house under construction."""

    item: Item
    house: LayeredHouse = field(compare=False, repr=False)
    stock: int
    """blocks of each kind that there are, placed or not"""
    spiders: tuple[Spider, ...]
    hp: int
    """health points left"""
    met: frozenset[int] = frozenset()
    """numbers of the spiders that have left"""
    turn: int = 0
    """turns played"""
    stacks: Stacks = field(default_factory=dict)
    """what has been placed, and so what stands"""
    own: tuple[Blocks, ...] = ()
    """of `stacks`, what each agent has placed"""
    worth: float = 0.0
    """S of what stands"""
    score: Score = field(default_factory=lambda: Score(0.0))
    """of the last turn"""
    texts: Mapping[str, str] = field(default_factory=dict)
    """what the agents wrote last"""
