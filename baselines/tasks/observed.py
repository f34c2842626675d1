"""A wrapper that adds another agent's texts to a task's prompts (for CORY's observer)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from collm_envs import Item, Scene, Score, Task, in_parallel, most_chars, silence, takes_turns, writers


@dataclass(frozen=True)
class Reading:
    """The wrapped task's state, and the texts to show."""

    inner: Any
    texts: tuple[str, ...]
    turn: int = 0


class Observed:
    """A task whose prompts are `template` with {query}, the own prompt, and {text}, another agent's text.

    An item holds the task's own item and the texts, one per turn; after the last text prompts are the task's
    own.  Rewards, ends and randomness are the task's.
    """

    def __init__(self, task: Task, template: str):
        self.task, self.template = task, template
        self.agents, self.max_turns, self.revision = task.agents, task.max_turns, task.revision
        self.reward_range, self.players = task.reward_range, task.players
        self.parallel_play = in_parallel(task)
        if takes_turns(task):  # else everyone always writes, and has no need of the verb
            self.writers = self._writers

    def items(self, split: str) -> Sequence[Item]:
        return [observed(item, ()) for item in self.task.items(split)]

    def start(self, item: Item, seed: int) -> Reading:
        return Reading(self.task.start(item.data["item"], seed), tuple(item.data["texts"]))

    def prompt(self, state: Reading, agent: str) -> str:
        query = self.task.prompt(state.inner, agent)
        if agent not in writers(self.task, state.inner):
            return query
        if state.turn >= len(state.texts):
            return query
        return self.template.format(query=query, text=state.texts[state.turn])

    def play(self, state: Reading, texts: Mapping[str, str]) -> Reading:
        return replace(state, inner=self.task.play(state.inner, texts), turn=state.turn + 1)

    def score(self, state: Reading) -> Score:
        return self.task.score(state.inner)

    def done(self, state: Reading) -> bool:
        return self.task.done(state.inner)

    def default_text(self, state: Reading, agent: str) -> str:
        return silence(self.task, state.inner, agent)

    def most_chars(self, state: Reading) -> int | None:
        return most_chars(self.task, state.inner)

    def _writers(self, state: Reading) -> tuple[str, ...]:
        return writers(self.task, state.inner)

    def scene(self, state: Reading) -> Scene:
        return self.task.scene(state.inner)


def observed(item: Item, texts: Sequence[str]) -> Item:
    """The item of `Observed` with these texts, one per turn."""
    return Item(item.id, {"item": item, "texts": tuple(texts)})
