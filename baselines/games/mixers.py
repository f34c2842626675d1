"""Mixers: the team's value Q_tot from the agents' values Q_i.  Formulas first, then modules.

    VDN      Q_tot = sum_i Q_i                                         Sunehag et al. 2017, arXiv:1706.05296
    QMIX     Q_tot = |w2(s)|' elu(|W1(s)|' Q + b1(s)) + b2(s)          Rashid et al. 2018, arXiv:1803.11485
    QLLM     Q_tot = N sum_i w_i(s) Q_i + b(s), w and b written down   QLLM 2025, arXiv:2504.12961
    learned  Q_tot = N sum_i w_i(s) Q_i + b(s), w and b learned        after Qatten 2020, arXiv:2002.03939

All are monotone in every Q_i (w > 0), so the agents' own argmaxes are the team's.  VDN, QLLM and learned are
linear in Q at a given state: at a state that the agents observe they can represent the same tables.

Where we differ: QLLM's weights must be at least a floor (credit/pinned.py); the published ones need not be.
`learned` is Qatten with a single head, learned keys for the agents' ids instead of their features, and
without its query and key projections: QLLM's form with a network in place of the function.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from baselines.credit.pinned import Pinned, Refused, check_reads, check_weights, load_pinned
from baselines.games.game import Fields, Layout

EMBED = 32
"""hidden width of QMIX's mixing network, as published, and of all two-layer networks on the state"""


def vdn(q: Tensor) -> Tensor:
    """Sum over agents: (..., N) -> (...)."""
    return q.sum(-1)


def weighted(q: Tensor, w: Tensor, b: Tensor | float = 0.0) -> Tensor:
    """N sum_i w_i Q_i + b: uniform w = 1/N is VDN, bit for bit where N * (1/N) == 1.   q, w: (..., N)"""
    return (q.shape[-1] * w * q).sum(-1) + b


def qmix(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """|w2|' elu(|W1|' q + b1) + b2.   q: (..., N), w1: (..., N, E), b1, w2: (..., E), b2: (...)"""
    hidden = elu((q.unsqueeze(-2) @ w1.abs()).squeeze(-2) + b1)
    return (hidden * w2.abs()).sum(-1) + b2


def named(state: Tensor, fields: Fields) -> dict[str, Tensor]:
    """The flat state (B, S) as {field: (B, *shape of the field)}."""
    return {name: state[:, torch.from_numpy(index)] for name, index in fields.items()}


class VDN(nn.Module):
    """The sum; ignores the state and has no parameters."""

    def __init__(self, layout: Layout):
        super().__init__()

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        """q: (..., N), state: (..., S) -> (...), as for every mixer."""
        return vdn(q)


class QMIX(nn.Module):
    """The hypernetworks of the paper: one layer each, two for the last bias."""

    def __init__(self, layout: Layout):
        super().__init__()
        self.n, size = len(layout.agents), layout.state_dim
        self.w1, self.b1 = nn.Linear(size, self.n * EMBED), nn.Linear(size, EMBED)
        self.w2, self.b2 = nn.Linear(size, EMBED), _two_layers(size, 1)

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        w1 = self.w1(state).unflatten(-1, (self.n, EMBED))
        return qmix(q, w1, self.b1(state), self.w2(state), self.b2(state).squeeze(-1))


class LearnedMixer(nn.Module):
    """QLLM's form with learned functions of the state: softmax weights and a bias."""

    def __init__(self, layout: Layout):
        super().__init__()
        self.w = _two_layers(layout.state_dim, len(layout.agents))
        self.b = _two_layers(layout.state_dim, 1)

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        return weighted(q, self.w(state).softmax(-1), self.b(state).squeeze(-1))


class QLLM(nn.Module):
    """A pinned function `weights(state)`, and optionally `bias(state)`.  No parameters.

    Every call checks the weights (credit/pinned.py) and raises `Refused` with the reason.  With `shift` 1
    each agent gets its neighbour's weight: a control with the same weights for the wrong agents.
    """

    def __init__(self, layout: Layout, function: Pinned, shift: int = 0):
        super().__init__()
        if "weights" not in function.functions:
            raise Refused(f"{function.name}: defines {sorted(function.functions)}, not weights(state)")
        check_reads(function, layout.fields)
        self.n, self.fields, self.function, self.shift = len(layout.agents), layout.fields, function, shift

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        rows = named(state.reshape(-1, state.shape[-1]), self.fields)
        w = self.function.call("weights", rows)
        check_weights(w, (q[..., 0].numel(), self.n), self.function.name)
        w = w.roll(self.shift, -1)
        b = 0.0
        if "bias" in self.function.functions:
            b = self.function.call("bias", rows).reshape(q.shape[:-1])
            bad = (~torch.isfinite(b.flatten())).nonzero()
            if len(bad):
                where = f"{float(b.flatten()[bad[0, 0]])} at row {int(bad[0, 0])}"
                raise Refused(f"{self.function.name}: bias is not finite: {where}")
        return weighted(q, w.reshape(q.shape), b)


class Fixed(nn.Module):
    """Constant random weights: a control for QLLM's.  No parameters."""

    w: Tensor

    def __init__(self, layout: Layout):
        super().__init__()
        n = len(layout.agents)
        self.register_buffer("w", 0.5 / n + 0.5 * (2 * torch.randn(n)).softmax(-1))

    def forward(self, q: Tensor, state: Tensor) -> Tensor:
        return weighted(q, self.w)


MIXERS = {"vdn": VDN, "qmix": QMIX, "learned": LearnedMixer, "fixed": Fixed}
"""{name: mixer}; `make_mixer` also takes "qllm:FUNCTION" and "shifted:FUNCTION"."""


def make_mixer(name: str, layout: Layout) -> nn.Module:
    """The mixer called `name`: one of `MIXERS`, "qllm:FUNCTION" or "shifted:FUNCTION".

    FUNCTION is the name of a file in baselines/credit/functions (without .py) or a path to a pinned file.
    """
    kind, _, function = name.partition(":")
    if kind in ("qllm", "shifted") and function:
        return QLLM(layout, load_pinned(function), shift=int(kind == "shifted"))
    if name not in MIXERS:
        names = [*MIXERS, "qllm:FUNCTION", "shifted:FUNCTION"]
        raise ValueError(f"mixer must be one of {names}, got {name!r}")
    return MIXERS[name](layout)


def _two_layers(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, EMBED), nn.ReLU(), nn.Linear(EMBED, outputs))
