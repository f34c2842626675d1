"""Agents that write one after the other: each reads what those before it wrote this turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from collm_envs.task import Item, Player, Scene, Score, Task, in_parallel, most_chars, silence, writers


@dataclass(frozen=True)
class State:
    """A task's state, and what was written in the turn that is under way."""

    inner: Any
    written: Mapping[str, str] = field(default_factory=dict)
    """in the order of writing; empty between turns"""
    score: Score = field(default_factory=lambda: Score(0.0))
    """of the last step"""


class Sequential:
    """`task` with one writer a step: a turn of n writers takes n steps, and the last one plays and earns it.

    Whoever does not write reads "" and writes "".  What has been written this turn stands below the prompt
    of the next writer; with `terse` on one line, after the writer's number (from 1) and a colon.
    """

    def __init__(self, task: Task, *, terse: bool = False):
        self.task, self.terse = task, terse
        self.agents, self.revision = task.agents, task.revision
        self.max_turns = task.max_turns * len(task.agents)
        low, high = task.reward_range
        self.reward_range = (min(low, 0.0), max(high, 0.0))
        self.parallel_play = in_parallel(task)
        self.players: Mapping[str, Player] = {name: partial(_play_as, name) for name in task.players}

    def items(self, split: str) -> Sequence[Item]:
        """The items of the task."""
        return self.task.items(split)

    def start(self, item: Item, seed: int) -> State:
        """The task's own start; nothing written yet."""
        return State(self.task.start(item, seed))

    def writers(self, state: State) -> tuple[str, ...]:
        """The next of the task's writers that has not written this turn."""
        return writers(self.task, state.inner)[len(state.written) :][:1]

    def most_chars(self, state: State) -> int | None:
        """The task's own limit."""
        return most_chars(self.task, state.inner)

    def default_text(self, state: State, agent: str) -> str:
        """What the task calls silence."""
        return silence(self.task, state.inner, agent)

    def prompt(self, state: State, agent: str) -> str:
        """The task's prompt, and what was written before; "" for whoever does not write."""
        if agent not in self.writers(state):
            return ""
        lines = [self._line(name, text) for name, text in state.written.items()]
        if lines and not self.terse:
            lines.insert(0, "Written before you this turn:")
        return "\n".join([self.task.prompt(state.inner, agent), *lines])

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The writer's text kept; with the last one of a turn, the turn played."""
        written = {**state.written, **{agent: texts[agent] for agent in self.writers(state)}}
        if len(written) < len(writers(self.task, state.inner)):
            return replace(state, written=written, score=Score(0.0))
        inner = self.task.play(state.inner, {agent: written.get(agent, "") for agent in self.agents})
        return State(inner, score=self.task.score(inner))

    def score(self, state: State) -> Score:
        """What the turn earned, 0 before its last writer."""
        return state.score

    def done(self, state: State) -> bool:
        """After the task's last turn."""
        return not state.written and self.task.done(state.inner)

    def scene(self, state: State) -> Scene:
        """What may be drawn of the task; a turn under way is no part of it."""
        return self.task.scene(state.inner)

    def _line(self, name: str, text: str) -> str:
        """What one agent wrote.  Its lines are drawn in, so that no text can pass for somebody else's."""
        if self.terse:
            return f"{self.agents.index(name) + 1}: {' '.join(text.split())}"
        return "\n  ".join([f"{name}:", *(text.strip().splitlines() or ["(nothing)"])])


def _play_as(name: str, order: Sequential, state: State, agent: str, rng: Random) -> str:
    """What the task's player of that name writes, if it is its turn."""
    if agent not in order.writers(state):
        return ""
    return order.task.players[name](order.task, state.inner, agent, rng)
