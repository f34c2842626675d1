"""Replays single turns from the state before them, with other texts.

A task is pure, so a turn can be replayed from its state; all other turns of the episode stay unchanged.  An
agent without a text is silent: its text is the task's `default_text(state, agent)`, or "" where the task has
no such method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from baselines.play.episode import Node
from baselines.play.rollout import Turn, play_turns
from collm_envs import Score, Task, silence


class Replays:
    """Replayed turns of one task, cached: no turn is played twice.  `played` counts those played.

    The cache key is the identity of the state (states are kept alive for that) and the texts: siblings share
    the state before them, so they share the turn in which nobody writes.
    """

    def __init__(self, task: Task, nodes: Sequence[Node] = ()):
        self.task, self.played = task, 0
        self._known: dict[tuple[Any, ...], tuple[Any, Score]] = {}
        for node in nodes:
            self._known[self._key(node.before, texts_of(node))] = node.before, node.score

    def score(self, state: Any, texts: Mapping[str, str]) -> Score:
        """The task's score after these texts in this state."""
        return self.scores([(state, texts)])[0]

    def scores(self, turns: Sequence[Turn]) -> list[Score]:
        """The task's score after each of these turns."""
        full_turns = [
            (state, {a: texts[a] if a in texts else silence(self.task, state, a) for a in self.task.agents})
            for state, texts in turns
        ]
        missing = {key: turn for turn in full_turns if (key := self._key(*turn)) not in self._known}
        afters = play_turns(self.task, list(missing.values()))
        for (key, (state, _)), after in zip(missing.items(), afters, strict=True):
            self._known[key] = state, self.task.score(after)
        self.played += len(missing)
        return [self._known[self._key(*turn)][1] for turn in full_turns]

    def _key(self, state: Any, texts: Mapping[str, str]) -> tuple[Any, ...]:
        return id(state), *(texts.get(agent, "") for agent in self.task.agents)


def silenced(task: Task, node: Node, agent: str) -> dict[str, str]:
    """The texts of a turn of all agents, with one of them silent."""
    texts = {**dict.fromkeys(task.agents, ""), **texts_of(node)}
    return {**texts, agent: silence(task, node.before, agent)}


def texts_of(node: Node) -> dict[str, str]:
    """agent -> the text it wrote at this turn; agents that did not write are left out."""
    return {agent: move.text for agent, move in node.moves.items()}
