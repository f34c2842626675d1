"""Named features of a joint turn: all that a written credit function may know of it.

    ctx[name]     (B,) or (B, N)   known before the turn: of the team, or of each agent
    feat[name]    (B, N)           [:, j] from text j alone: the turn played again with all others silent
    pair[name]    (B, N, N)        [:, i, j] from the texts of i and j, all others silent; mode "mix" only
    silent[name]  (B,)             what feat[name] is for the text of silence: the own row's mask

Everything comes through the task's public verbs on pure states, so a feature is a function of the state
before the turn and of the texts it names, of nothing else; core/gates.py changes texts and looks.  No torch
is needed for rows of plain numbers; `extract` stacks them into tensors for training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from collm_envs import Score, Task

if TYPE_CHECKING:
    from torch import Tensor

    from baselines.core.episode import Node

SILENCE = ""
"""the text of an agent that says nothing"""
CTX = {
    "agents": "number of agents",
    "turn": "turns played before this one",
    "turns": "turns of a whole episode",
    "worst": "smallest reward of a turn",
    "best": "largest reward of a turn",
    "silent": "the team's reward if nobody wrote anything now",
    "last": "the team's reward of the turn before, 0 at the first",
    "last_accepted": "lines of each agent that counted in the turn before, 0 at the first",
    "last_rejected": "lines of each agent that did not count in the turn before, 0 at the first",
}
"""facts known before the turn -> meaning"""
PER_AGENT = ("last_accepted", "last_rejected")
"""those of CTX that are a number for each agent"""
FEAT = {
    "reward": "the team's reward if this agent alone had written",
    "accepted": "lines of its text that count",
    "rejected": "lines of its text that do not",
    "chars": "characters of its text",
}
"""facts of one agent's text -> meaning; the environment's metrics of that turn come after these"""
PAIR = {"reward": "the team's reward if agents i and j alone had written"}
"""facts of two agents' texts -> meaning"""


class Turn(NamedTuple):
    """One joint turn to be described."""

    before: Any
    """the task's state the agents read"""
    texts: Mapping[str, str]
    number: int
    """turns played before it"""
    last: Score | None
    """of the turn before"""


class Row(NamedTuple):
    """The features of one joint turn as plain numbers."""

    ctx: Mapping[str, float | Sequence[float]]
    feat: Mapping[str, Sequence[float]]
    pair: Mapping[str, Sequence[Sequence[float]]]
    silent: Mapping[str, float]


@dataclass(frozen=True)
class Features:
    """The features of B joint turns as float64 tensors; shapes as in the module's docstring."""

    ctx: Mapping[str, Tensor]
    feat: Mapping[str, Tensor]
    pair: Mapping[str, Tensor]
    silent: Mapping[str, Tensor]

    def rows(self) -> list[Row]:
        """One Row for each joint turn."""
        parts = [{k: frozen(x.tolist()) for k, x in part.items()} for part in vars(self).values()]
        count = len(next(iter(parts[0].values())))
        return [Row(*({k: x[b] for k, x in part.items()} for part in parts)) for b in range(count)]


class Replays:
    """Turns of one task played again, each (state, texts) once; it keeps the states it has seen alive."""

    def __init__(self, task: Task):
        self.task = task
        self._known: dict[tuple[Any, ...], tuple[Any, Score]] = {}

    def score(self, before: Any, texts: Mapping[str, str]) -> Score:
        """What these texts earn from there; agents without a text are silent."""
        whole = {agent: texts.get(agent, SILENCE) for agent in self.task.agents}
        key = (id(before), *whole.values())
        if key not in self._known:
            self._known[key] = before, self.task.score(self.task.play(before, whole))
        return self._known[key][1]


def extract(task: Task, nodes: Sequence[Node], pairs: bool = False) -> Features:
    """The features of these joint turns; `pair` is empty without `pairs`."""
    import torch

    found = describe(Replays(task), [turn(node) for node in nodes], pairs)
    stack = [
        {name: torch.tensor([part[name] for part in column], dtype=torch.float64) for name in column[0]}
        for column in zip(*found, strict=True)
    ]
    return Features(*stack)


def frozen(value: Any) -> Any:
    """Nested lists as nested tuples: what is handed to a written function cannot be changed by it."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def turn(node: Node) -> Turn:
    """A joint turn of a rollout, as it is described."""
    texts = {agent: move.text for agent, move in node.moves.items()}
    last = None if node.parent is None else node.parent.score
    return Turn(node.before, texts, len(node.path()) - 1, last)


def describe(replays: Replays, turns: Sequence[Turn], pairs: bool = False) -> list[Row]:
    """The features of each turn."""
    return [_row(replays, one, pairs) for one in turns]


def _row(replays: Replays, one: Turn, pairs: bool) -> Row:
    agents = replays.task.agents

    def alone(*who: str) -> Score:
        return replays.score(one.before, {agent: one.texts[agent] for agent in who})

    nobody = alone()
    each = [_facts(alone(agent), agent, one.texts[agent]) for agent in agents]
    feat = {name: tuple(facts[name] for facts in each) for name in each[0]}
    pair = {}
    if pairs:
        pair["reward"] = tuple(tuple(float(alone(i, j).reward) for j in agents) for i in agents)
    silent = _facts(nobody, agents[0], SILENCE)
    return Row(_context(replays.task, one, nobody.reward), feat, pair, silent)


def _context(task: Task, one: Turn, silent: float) -> dict[str, float | tuple[float, ...]]:
    worst, best = task.reward_range
    accepted, rejected = (one.last.accepted, one.last.rejected) if one.last else ({}, {})
    return {
        "agents": float(len(task.agents)),
        "turn": float(one.number),
        "turns": float(task.max_turns),
        "worst": float(worst),
        "best": float(best),
        "silent": float(silent),
        "last": float(one.last.reward) if one.last else 0.0,
        "last_accepted": tuple(float(len(accepted.get(agent, ()))) for agent in task.agents),
        "last_rejected": tuple(float(len(rejected.get(agent, ()))) for agent in task.agents),
    }


def _facts(score: Score, agent: str, text: str) -> dict[str, float]:
    """What one text earned alone; metrics of the same name as ours would hide them, so ours come last."""
    return {name: float(value) for name, value in score.metrics.items()} | {
        "reward": float(score.reward),
        "accepted": float(len(score.accepted.get(agent, ()))),
        "rejected": float(len(score.rejected.get(agent, ()))),
        "chars": float(len(text)),
    }
