"""Learned state-dependent weights for `--credit learned`: the learned twin of a written function of weights.

One head of Qatten (Yang et al. 2020, arXiv:2002.03939) on rewards in place of values.  With x(s) what is
known before the turn, u_i = v({i}) - v({}) what agent i's text earns with all others silent (replays,
core/coalitions.py) and W, c, k learned by least squares:

    w(s)  = f/N + (1 - f) softmax(W x(s))                    f = FLOOR: N w_i >= f, and w sums to 1
    r     ~ c . x(s) + e^k sum_i N w_i(s) u_i                 weight goes to whose part carries the reward

The weights of a step come from the steps before it and from states before the turn, never from the texts
they weigh; then W, c and k take PASSES Adam steps on this step's turns.  They begin at zero, which is uniform
weights, and nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from baselines.core.coalitions import Replays
from baselines.core.episode import Node
from baselines.core.features import CTX, PER_AGENT, Features, extract
from baselines.core.pinned import FLOOR

PASSES = 20
LR = 0.02


class Learned:
    """The weights of a team of `n` agents: W (N, X), c (X,) and k (), where X numbers describe a state."""

    def __init__(self, n: int):
        size = 1 + sum(n if name in PER_AGENT else 1 for name in CTX)
        shapes = ((n, size), (size,), ())
        self.parameters = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        self.adam = torch.optim.Adam(self.parameters, LR)

    def __call__(self, replays: Replays, nodes: Sequence[Node]) -> Tensor:
        """w of these turns, and then a lesson from them.   -> (B, N), rows sum to 1"""
        features = extract(replays, nodes)
        x, u = described(features), features.feat["reward"] - features.ctx["silent"][:, None]
        with torch.no_grad():
            w = self.weights(x)
        self._fit(x, u, torch.tensor([node.reward for node in nodes], dtype=torch.float64))
        return w

    def weights(self, x: Tensor) -> Tensor:
        """(B, X) -> (B, N)"""
        share = (x @ self.parameters[0].T).softmax(dim=1)
        return FLOOR / share.shape[1] + (1 - FLOOR) * share

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"parameters": [p.detach().clone() for p in self.parameters], "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for own, value in zip(self.parameters, state["parameters"], strict=True):
                own.copy_(value)
        self.adam.load_state_dict(state["adam"])

    def _fit(self, x: Tensor, u: Tensor, r: Tensor) -> None:
        _, c, k = self.parameters
        for _ in range(PASSES):
            self.adam.zero_grad()
            parts = (self.weights(x) * u).sum(dim=1) * u.shape[1]
            (x @ c + k.exp() * parts - r).square().mean().backward()
            self.adam.step()


def described(features: Features) -> Tensor:
    """A one and the numbers of `features.ctx`, drawn in by sign(z) log(1 + |z|).   -> (B, X)"""
    columns = [z[:, None] if z.dim() == 1 else z for z in features.ctx.values()]
    z = torch.cat(columns, dim=1)
    return torch.cat([torch.ones_like(z[:, :1]), z.sign() * z.abs().log1p()], dim=1)
