"""Counterfactual rewards of a turn with some agents silent, by replay, and the credits computed from them.

A task is pure, so a turn can be replayed from the state before it with other texts; all other turns of the
episode stay unchanged.  A silent agent's text is the task's `default_text(state, agent)`, else "".

Shapes: B joint turns, N agents, in the order of `task.agents`; float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from math import factorial

import torch
from torch import Tensor

from baselines.play.episode import Node
from baselines.play.replays import Replays, Turn, texts_of

MOST_AGENTS = 10
"""largest team for `shapley`, which plays all 2^N coalitions of a turn"""

Coalition = frozenset[str]
"""the agents that are not silent"""


def worth(
    replays: Replays, nodes: Sequence[Node], coalitions: Iterable[Iterable[str]]
) -> dict[Coalition, Tensor]:
    """v(S): a turn's reward with the texts of the agents in S and silence from the others.   -> (B,) each"""
    unique = [frozenset(coalition) for coalition in coalitions]
    turns = [
        (node.before, {agent: text for agent, text in texts_of(node).items() if agent in S})
        for node in nodes
        for S in unique
    ]
    table = rewards(replays, turns).reshape(len(nodes), len(unique))
    return dict(zip(unique, table.unbind(1), strict=True))


def difference_rewards(replays: Replays, nodes: Sequence[Node]) -> Tensor:
    """D_i = r(a) - r(a_{-i}, silence_i): the difference reward (Wolpert & Tumer 2001).   -> (B, N)"""
    agents = frozenset(replays.task.agents)
    v = worth(replays, nodes, [agents, *(agents - {agent} for agent in agents)])
    return torch.stack([v[agents] - v[agents - {agent}] for agent in replays.task.agents], dim=1)


def shapley_values(replays: Replays, nodes: Sequence[Node]) -> Tensor:
    """phi_i = sum over S without i of |S|! (N - |S| - 1)! / N! (v(S + i) - v(S)) (Shapley 1953).   -> (B, N)

    The phi_i of a turn sum to its reward minus that of the all-silent team.  Plays up to 2^N turns for each.
    """
    agents = replays.task.agents
    n = len(agents)
    v = worth(replays, nodes, (S for size in range(n + 1) for S in combinations(agents, size)))
    phi = torch.zeros(len(nodes), n, dtype=torch.float64)
    for k, agent in enumerate(agents):
        for S in v:
            if agent not in S:
                share = factorial(len(S)) * factorial(n - len(S) - 1) / factorial(n)
                phi[:, k] += share * (v[S | {agent}] - v[S])
    return phi


def counterfactual_rewards(replays: Replays, nodes: Sequence[Node]) -> Tensor:
    """b_i = mean_k r(a_{-i}, a'_{i,k}) over alternatives to the agent's text at its history.   -> (B, N)

    COMA's baseline (Foerster et al. 2018) from samples in place of a critic, as in C3 (arXiv:2603.06859).
    """
    agents = replays.task.agents
    turns = [
        (node.before, {**texts_of(node), agent: other.text})
        for node in nodes
        for agent in agents
        for other in node.alternatives[agent]
    ]
    sizes = [len(node.alternatives[agent]) for node in nodes for agent in agents]
    parts = rewards(replays, turns).split(sizes)
    return torch.stack([part.mean() for part in parts]).reshape(len(nodes), len(agents))


def rewards(replays: Replays, turns: Sequence[Turn]) -> Tensor:
    """The reward of each turn.   -> (len(turns),)"""
    return torch.tensor([score.reward for score in replays.scores(turns)], dtype=torch.float64)
