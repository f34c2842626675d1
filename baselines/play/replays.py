"""Single turns played again from the state before them, with other texts.

A task is pure, so a turn can be played again; the other turns, their texts and their rewards stay as they
were played.  An agent that takes no part is silent: its text is the task's `default_text(state, agent)`,
else "".
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from baselines.play.episode import Node
from collm_envs import Score, Task, in_parallel, silence

Turn = tuple[Any, Mapping[str, str]]
"""a state, and what is written there; agents without a text are silent"""


def play_turns(task: Task, turns: Sequence[Turn]) -> list[Any]:
    """The states these turns lead to; side by side where turns wait for a sandbox (`in_parallel`)."""
    if not in_parallel(task) or len(turns) < 2:
        return [task.play(state, texts) for state, texts in turns]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda turn: task.play(*turn), turns))


class Replays:
    """Turns of one task, each played once.  `played` counts those that had to be.

    States are told apart by identity (and kept alive for that): siblings share the state before them, so
    they share the turn in which nobody writes.  What was played already is not played again.
    """

    def __init__(self, task: Task, nodes: Sequence[Node] = ()):
        self.task, self.played = task, 0
        self._known: dict[tuple[Any, ...], tuple[Any, Score]] = {}
        for node in nodes:
            self._known[self._key(node.before, texts_of(node))] = node.before, node.score

    def score(self, state: Any, texts: Mapping[str, str]) -> Score:
        """What these texts earn there."""
        return self.scores([(state, texts)])[0]

    def scores(self, turns: Sequence[Turn]) -> list[Score]:
        """What each of these turns earns."""
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
        return id(state), *(texts[agent] for agent in self.task.agents)


def texts_of(node: Node) -> dict[str, str]:
    """agent -> the text it wrote at this turn."""
    return {agent: move.text for agent, move in node.moves.items()}
