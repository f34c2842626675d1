"""CORY's pair of models: their state, and the rewards they share.

Everything is kept by model ("llm_0", "llm_1") and nothing by role, so exchanging roles moves no weight:
optimizer, critic, KL weight and log lines stay with the model they belong to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from baselines.lm.history import Move
from baselines.lm.policy import LM
from baselines.play.episode import Node
from baselines.train.team import Team


@dataclass
class Pair(Team):
    """One or two language models, each able to play alone."""

    eta: dict[str, float] = field(default_factory=dict)
    """by model: weight of its KL to the untrained model"""
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """count, sum and sum of squares of all returns so far, for `scaled`"""

    def lineups(self, agents: Sequence[str]) -> dict[str, dict[str, LM]]:
        """Line-ups in which each model answers alone, without seeing the other's answer."""
        return {name: dict.fromkeys(agents, lm) for name, lm in self.policies.items()}

    def scaled(self, rewards: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, list[list[float]]]:
        """The rewards of a step divided by the standard deviation of all returns so far, these included."""
        returns = [sum(episode) for episode in next(iter(rewards.values()))]  # the same for both models
        new = (len(returns), sum(returns), sum(r * r for r in returns))
        self.sums = [old + more for old, more in zip(self.sums, new, strict=True)]
        n, total, squares = self.sums
        variance = squares / n - (total / n) ** 2
        scale = variance**0.5 if variance > 1e-12 else 1.0
        return {name: [[r / scale for r in turns] for turns in paid] for name, paid in rewards.items()}

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "eta": dict(self.eta), "sums": list(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.eta, self.sums = dict(state["eta"]), list(state["sums"])


def payments(paths: Mapping[str, Sequence[Sequence[Node]]]) -> dict[str, list[list[float]]]:
    """Rewards of each model for the turns of its episodes: the sum of both answers' rewards, without KL.

    paths: for one or two models as many episodes, the k-th of both on the same query.
    """
    both = list(paths.values())
    if len(both) == 1:
        return {name: [[node.reward for node in path] for path in own] for name, own in paths.items()}
    return {
        name: [_sums(path, beside) for path, beside in zip(own, other, strict=True)]
        for (name, own), other in zip(paths.items(), both[::-1], strict=True)
    }


def _sums(own: Sequence[Node], other: Sequence[Node]) -> list[float]:
    """r_t(own) + r_t(other) for every turn t of `own`; later rewards of `other` are added to its last."""
    out = [node.reward for node in own]
    for t, node in enumerate(other):
        out[min(t, len(own) - 1)] += node.reward
    return out


def texts(path: Sequence[Node]) -> list[Move]:
    """The moves of one model in an episode."""
    return [move for node in path for move in node.moves.values()]


def by_episode(flat: Sequence[Tensor], moves: Sequence[Sequence[Move]]) -> list[list[Tensor]]:
    """A tensor for every move, laid end to end, as lists of the episodes they belong to."""
    remaining = iter(flat)
    return [[next(remaining) for _ in episode] for episode in moves]
