"""Worked examples in a prompt, for models that do not know what to make of the instructions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from random import Random
from typing import Any

from collm_envs.task import (
    Item,
    Player,
    Scene,
    Score,
    Task,
    Voice,
    in_parallel,
    most_chars,
    silence,
    takes_turns,
    writers,
)

EXPERT = "expert"
"""the player whose texts are the examples"""


@dataclass(frozen=True)
class State:
    """A task's state, and how many turns were played."""

    inner: Any
    turns: int = 0


class Shots:
    """`task` whose first prompt begins with `shots` examples: another item's prompt, and the expert's text.

    The examples are the train items with the shortest prompts; they are no items of either split any more.
    With `self_contained` every prompt begins so.  Raises ValueError for a task without an expert, and where
    no item would be left.
    """

    def __init__(self, task: Task, shots: int, *, terse: bool = False, self_contained: bool = False):
        if EXPERT not in task.players:
            raise ValueError(f"shots={shots} needs the texts of a player {EXPERT!r}, which the task has not")
        self.task, self.shots = task, shots
        self.terse, self.self_contained = terse, self_contained
        self.agents, self.revision = task.agents, task.revision
        self.max_turns, self.reward_range = task.max_turns, task.reward_range
        self.parallel_play = in_parallel(task)
        self.players: Mapping[str, Player] = {name: partial(_play_as, name) for name in task.players}
        voices = task.voices if hasattr(task, "voices") else {}  # type: ignore[attr-defined]
        self.voices: Mapping[str, Voice] = {name: partial(_speak_as, voice) for name, voice in voices.items()}
        self.examples: tuple[Item, ...] = tuple(sorted(task.items("train"), key=self._length)[:shots])
        """the train items with the shortest first prompts"""
        shown = [item.data for item in self.examples]
        self._items = {
            split: tuple(item for item in task.items(split) if item.data not in shown)
            for split in ("train", "eval")
        }
        if not all(self._items.values()):
            raise ValueError(f"shots={shots}: no item is left to play beside the examples")
        if takes_turns(task):
            self.writers = self._writers

    def _length(self, item: Item) -> int:
        return len(self.task.prompt(self.task.start(item, 0), self.agents[0]))

    def items(self, split: str) -> Sequence[Item]:
        """The task's, without the examples."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        return State(self.task.start(item, seed))

    def most_chars(self, state: State) -> int | None:
        """The task's own limit."""
        return most_chars(self.task, state.inner)

    def default_text(self, state: State, agent: str) -> str:
        """What the task calls silence."""
        return silence(self.task, state.inner, agent)

    def prompt(self, state: State, agent: str) -> str:
        """The task's prompt, behind the examples where it is the first one."""
        own = self.task.prompt(state.inner, agent)
        if not own or (state.turns and not self.self_contained):
            return own
        return self._shown[agent] + own

    @cached_property
    def _shown(self) -> Mapping[str, str]:
        """agent -> the examples as they stand before its first prompt."""
        return {agent: "".join(self._example(item, agent) for item in self.examples) for agent in self.agents}

    def _example(self, item: Item, agent: str) -> str:
        state = self.task.start(item, 0)
        prompt = self.task.prompt(state, agent)
        text = self.task.players[EXPERT](self.task, state, agent, Random(0))
        if self.terse:
            return f"{prompt}\n{text}\n\n"
        return f"An example.\n\n{prompt}\n\nA good answer to it:\n\n{text}\n\nNow your own task.\n\n"

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        return State(self.task.play(state.inner, texts), state.turns + 1)

    def score(self, state: State) -> Score:
        return self.task.score(state.inner)

    def done(self, state: State) -> bool:
        return self.task.done(state.inner)

    def scene(self, state: State) -> Scene:
        return self.task.scene(state.inner)

    def _writers(self, state: State) -> tuple[str, ...]:
        """The task's own writers."""
        return writers(self.task, state.inner)


def _play_as(name: str, shots: Shots, state: State, agent: str, rng: Random) -> str:
    """What the task's player of that name writes."""
    return shots.task.players[name](shots.task, state.inner, agent, rng)


def _speak_as(voice: Voice, shots: Shots, state: Any, agent: str, rng: Random, heard: Any) -> str:
    """What the task's voice says or plays."""
    return voice(shots.task, state.inner, agent, rng, heard)
