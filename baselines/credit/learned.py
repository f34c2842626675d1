"""Learned state-dependent weights for `--credit learned`: the learned twin of a written function of weights.

One linear head over the agents, as in Qatten (Yang et al. 2020, arXiv:2002.03939), that predicts each agent's
share.  x(s) is what is known before the turn (credit/features.py), D_i the difference reward of the turn
as it was played (credit/coalitions.py):

    w(s) = f/N + (1 - f) softmax(W x(s))              f = FLOOR: N w_i >= f, and w sums to 1
    L(W) = -mean sum_i q_i log softmax_i(W x(s))      q_i = |D_i| / sum_j |D_j|, equal where all are 0

so w_i(s) estimates agent i's expected share of the difference rewards in state s.  The weights of a
step come from the steps before it and from states before the turn, never from the texts they weigh; then W
takes PASSES Adam steps on this step's turns.  It begins at zero, which is uniform weights, and nothing is
random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.credit.coalitions import difference_rewards
from baselines.credit.features import CTX, PER_AGENT, Features, extract
from baselines.credit.pinned import FLOOR
from baselines.play.episode import Node
from baselines.play.replays import Replays

PASSES = 20
"""Adam steps on the turns of one step of the trainer"""
LR = 0.02
"""learning rate of these steps"""


class Learned:
    """The weights of a team of `n` agents: W (N, X), where X numbers describe a state."""

    def __init__(self, n: int):
        size = 1 + sum(n if name in PER_AGENT else 1 for name in CTX)
        self.W = torch.zeros(n, size, dtype=torch.float64, requires_grad=True)
        self.adam = torch.optim.Adam([self.W], LR)

    def __call__(self, replays: Replays, nodes: Sequence[Node]) -> Tensor:
        """w of these turns; W is then updated on them.   -> (B, N), rows sum to 1"""
        x, D = described(extract(replays, nodes)), difference_rewards(replays, nodes).abs()
        with torch.no_grad():
            w = self.weights(x)
        total = D.sum(dim=1, keepdim=True)
        self._fit(x, torch.where(total > 0, D / total.clamp(min=1e-300), 1 / D.shape[1]))
        return w

    def weights(self, x: Tensor) -> Tensor:
        """(B, X) -> (B, N)"""
        share = (x @ self.W.T).softmax(dim=1)
        return FLOOR / share.shape[1] + (1 - FLOOR) * share

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"W": self.W.detach().clone(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.W.copy_(state["W"])
        self.adam.load_state_dict(state["adam"])

    def _fit(self, x: Tensor, q: Tensor) -> None:
        for _ in range(PASSES):
            self.adam.zero_grad()
            (-(q * (x @ self.W.T).log_softmax(dim=1)).sum(dim=1).mean()).backward()
            self.adam.step()


def described(features: Features) -> Tensor:
    """A constant 1 and the numbers of `features.ctx`, scaled by sign(z) log(1 + |z|).   -> (B, X)"""
    columns = [z[:, None] if z.dim() == 1 else z for z in features.ctx.values()]
    z = torch.cat(columns, dim=1)
    return torch.cat([torch.ones_like(z[:, :1]), z.sign() * z.abs().log1p()], dim=1)
