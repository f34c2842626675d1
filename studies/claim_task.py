"""A task with a sparse reward: the same return, paid on the last turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collm_envs.task import Item, Scene, Score, Task


@dataclass(frozen=True)
class Due:
    """A task's state, and what its turns have earned so far."""

    inner: Any
    earned: float = 0.0


class PaidAtTheEnd:
    """`task`, whose turns earn 0 but for an episode's last one, which earns the sum of all.

    For tasks in which all agents write at every turn and silence is "".  Scripted players are left out, and
    metrics are as they were: they tell what turns earn before it is paid.
    """

    players: Mapping[str, Any] = {}

    def __init__(self, task: Task):
        self.task, self.agents = task, task.agents
        self.max_turns, self.revision = task.max_turns, task.revision
        low, high = (bound * task.max_turns for bound in task.reward_range)
        self.reward_range = (min(low, 0.0), max(high, 0.0))

    def items(self, split: str) -> Sequence[Item]:
        return self.task.items(split)

    def start(self, item: Item, seed: int) -> Due:
        return Due(self.task.start(item, seed))

    def prompt(self, state: Due, agent: str) -> str:
        return self.task.prompt(state.inner, agent)

    def play(self, state: Due, texts: Mapping[str, str]) -> Due:
        inner = self.task.play(state.inner, texts)
        return Due(inner, state.earned + self.task.score(inner).reward)

    def score(self, state: Due) -> Score:
        reward = state.earned if self.done(state) else 0.0
        return replace(self.task.score(state.inner), reward=reward, parts={"paid": reward})

    def done(self, state: Due) -> bool:
        return self.task.done(state.inner)

    def scene(self, state: Due) -> Scene:
        return self.task.scene(state.inner)
