"""The state of StrBuild-v1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collm_envs.building.stacks import Blocks, Stacks
from collm_envs.building.strbuild.words import Word
from collm_envs.task import Item, Score


@dataclass(frozen=True)
class State:
    """A word under construction."""

    item: Item
    word: Word = field(compare=False, repr=False)
    stock: tuple[tuple[int, ...], ...]
    """blocks of each kind of each agent, placed or not"""
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
