"""The agents of value decomposition: one recurrent network (DRQN) for all, with the agent's id as input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot, relu

from baselines.games.game import Game, Layout, Sight
from baselines.games.memory import Episode


class RecurrentQ(nn.Module):
    """Q_i(history of i, a) of every agent: own observation, own last action and own id -> GRU -> Q.

    After training only this network is executed; its inputs contain no state and no other agent's data.
    """

    available: Tensor
    """(N, A) bool: which of the A columns are actions of agent i"""

    def __init__(self, layout: Layout, hidden: int):
        super().__init__()
        n, self.width = len(layout.agents), max(layout.n_actions)
        self.inward = nn.Linear(layout.obs_dim + self.width + n, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.outward = nn.Linear(hidden, self.width)
        available = torch.arange(self.width) < torch.tensor(layout.n_actions).unsqueeze(1)
        self.register_buffer("available", available)

    def forward(self, obs: Tensor, last: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(Q, memory of the GRU) after H consecutive turns.

        obs: (B, H, N, D); last: (B, H, N) the action of the turn before, -1 at the first; memory:
        (1, B * N, hidden) or None at the start.  -> (B, H, N, A), (1, B * N, hidden)
        """
        B, H, N, _ = obs.shape
        number = torch.eye(N, device=obs.device).expand(B, H, N, N)
        before = one_hot(last + 1, self.width + 1)[..., 1:].to(obs.dtype)
        x = relu(self.inward(torch.cat([obs, before, number], -1)))
        x, after = self.gru(x.transpose(1, 2).reshape(B * N, H, -1), memory)
        q = self.outward(x).reshape(B, N, H, self.width).transpose(1, 2)
        return q, after

    def greedy(self, q: Tensor) -> Tensor:
        """Each agent's available action of the largest Q: (..., N, A) -> (..., N)."""
        return q.masked_fill(~self.available, -torch.inf).argmax(-1)


@torch.no_grad()
def play_games(
    games: Sequence[Game], agents: RecurrentQ, epsilon: float, rng: np.random.Generator
) -> list[Episode]:
    """One episode in every game, in lockstep; each agent acts at random with probability `epsilon`."""
    views = [[game.reset(int(rng.integers(2**31)))] for game in games]
    logs: list[list[tuple[np.ndarray, float, bool]]] = [[] for _ in games]
    n_actions = np.array(games[0].layout.n_actions)
    actions, memory = np.full((len(games), len(n_actions)), -1), None
    live = set(range(len(games)))
    while live:
        obs = torch.from_numpy(np.stack([game_views[-1].obs for game_views in views])).unsqueeze(1)
        q, memory = agents(obs, torch.from_numpy(actions).unsqueeze(1), memory)
        greedy = agents.greedy(q[:, 0]).numpy()
        explore = rng.random(actions.shape) < epsilon
        actions = np.where(explore, rng.integers(n_actions, size=actions.shape), greedy)
        for k in sorted(live):
            outcome = games[k].step(actions[k])
            views[k].append(outcome.view)
            logs[k].append((actions[k], outcome.reward, outcome.terminated))
            if outcome.terminated or outcome.truncated:
                live.remove(k)
    return [_episode(game_views, log) for game_views, log in zip(views, logs, strict=True)]


def _episode(views: Sequence[Sight], log: Sequence[tuple[np.ndarray, float, bool]]) -> Episode:
    actions, rewards, ends = zip(*log, strict=True)
    return Episode(
        np.stack([view.obs for view in views]),
        np.stack([view.state for view in views]),
        np.stack(actions),
        np.array(rewards, np.float32),
        np.array(ends, np.float32),
    )
