"""Named features of a joint turn: the only inputs of a written credit function.

    ctx[name]     (B,) or (B, N)   known before the turn: of the team, or of each agent
    feat[name]    (B, N)           [:, j] from text j alone: the turn replayed with all others silent
    pair[name]    (B, N, N)        [:, i, j] from the texts of i and j, all others silent; mode "mix" only
    silent[name]  (B, N)           feat[name] where nobody writes: replaces an agent's own row

A silent agent's text is the task's `default_text(state, agent)`, else "".

Features use the task's public methods only, so each depends on the state before the turn and on the texts it
names.  The gate `blind` (search/gates.py) checks this by changing the other texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.play.episode import Node
from baselines.play.replays import Replays, texts_of
from collm_envs import Score, Task, silence

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
"""names in CTX with one number for each agent"""
FEAT = {
    "reward": "the team's reward if this agent alone had written",
    "accepted": "lines of its text that count",
    "rejected": "lines of its text that do not",
    "chars": "characters of its text",
}
"""facts of one agent's text -> meaning; the environment's metrics of that turn come after these"""
PAIR = {"reward": "the team's reward if agents i and j alone had written"}
"""facts of two agents' texts -> meaning"""


class TurnTexts(NamedTuple):
    """One joint turn to be described."""

    before: Any
    """the task's state the agents read"""
    texts: Mapping[str, str]
    number: int
    """turns played before it"""
    last: Score | None
    """of the turn before"""


class TurnRow(NamedTuple):
    """The features of one joint turn as plain numbers."""

    ctx: Mapping[str, float | Sequence[float]]
    feat: Mapping[str, Sequence[float]]
    pair: Mapping[str, Sequence[Sequence[float]]]
    silent: Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Features:
    """The features of B joint turns as float64 tensors; shapes as in the module's docstring."""

    ctx: Mapping[str, Tensor]
    feat: Mapping[str, Tensor]
    pair: Mapping[str, Tensor]
    silent: Mapping[str, Tensor]

    def rows(self) -> list[TurnRow]:
        """One row for each joint turn."""
        parts = [{k: frozen(x.tolist()) for k, x in part.items()} for part in vars(self).values()]
        count = len(next(iter(parts[0].values())))
        return [TurnRow(*({k: x[b] for k, x in part.items()} for part in parts)) for b in range(count)]


def extract(replays: Replays, nodes: Sequence[Node], pairs: bool = False) -> Features:
    """The features of these joint turns; `pair` is empty without `pairs`."""
    described = describe(replays, [turn(node) for node in nodes], pairs)
    stack = [
        {name: torch.tensor([part[name] for part in column], dtype=torch.float64) for name in column[0]}
        for column in zip(*described, strict=True)
    ]
    return Features(*stack)


def frozen(value: Any) -> Any:
    """Nested lists as nested tuples, so that a written function cannot change its arguments."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def turn(node: Node) -> TurnTexts:
    """A rollout's node as `TurnTexts`."""
    last = None if node.parent is None else node.parent.score
    return TurnTexts(node.before, texts_of(node), len(node.path()) - 1, last)


def describe(replays: Replays, turns: Sequence[TurnTexts], pairs: bool = False) -> list[TurnRow]:
    """The features of each turn: N + 1 replays, and as many more as there are pairs with `pairs`."""
    agents = replays.task.agents
    groups = [(), *((i,) for i in agents), *(combinations(agents, 2) if pairs else ())]
    scores = iter(
        replays.scores(
            [
                (turn_texts.before, {i: turn_texts.texts.get(i, "") for i in who})
                for turn_texts in turns
                for who in groups
            ]
        )
    )
    return [
        _row(replays.task, turn_texts, {frozenset(who): next(scores) for who in groups}, pairs)
        for turn_texts in turns
    ]


def _row(task: Task, turn_texts: TurnTexts, alone: Mapping[frozenset[str], Score], pairs: bool) -> TurnRow:
    nobody = alone[frozenset()]
    each = [_facts(alone[frozenset({i})], i, turn_texts.texts.get(i, "")) for i in task.agents]
    feat = {name: tuple(facts[name] for facts in each) for name in each[0]}
    pair = {}
    if pairs:
        rewards = {who: float(score.reward) for who, score in alone.items()}
        pair["reward"] = tuple(tuple(rewards[frozenset({i, j})] for j in task.agents) for i in task.agents)
    still = [_facts(nobody, i, silence(task, turn_texts.before, i)) for i in task.agents]
    silent = {name: tuple(facts[name] for facts in still) for name in still[0]}
    return TurnRow(_context(task, turn_texts, nobody.reward), feat, pair, silent)


def _context(task: Task, turn_texts: TurnTexts, silent: float) -> dict[str, float | tuple[float, ...]]:
    worst, best = task.reward_range
    accepted, rejected = (turn_texts.last.accepted, turn_texts.last.rejected) if turn_texts.last else ({}, {})
    return {
        "agents": float(len(task.agents)),
        "turn": float(turn_texts.number),
        "turns": float(task.max_turns),
        "worst": float(worst),
        "best": float(best),
        "silent": float(silent),
        "last": float(turn_texts.last.reward) if turn_texts.last else 0.0,
        "last_accepted": tuple(float(len(accepted.get(agent, ()))) for agent in task.agents),
        "last_rejected": tuple(float(len(rejected.get(agent, ()))) for agent in task.agents),
    }


def _facts(score: Score, agent: str, text: str) -> dict[str, float]:
    """Features of one text alone; ours overwrite an environment's metric of the same name."""
    return {name: float(value) for name, value in score.metrics.items()} | {
        "reward": float(score.reward),
        "accepted": float(len(score.accepted.get(agent, ()))),
        "rejected": float(len(score.rejected.get(agent, ()))),
        "chars": float(len(text)),
    }
