"""Ridge regression from running sums: fitted batch by batch, in closed form, older batches fading."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

PENALTY = 3.0
"""of the slopes, worth so many samples: with few of them the prediction stays near the mean"""


class Sums(NamedTuple):
    """Weighted sums over samples of D numbers x and a target y, float64."""

    n: Tensor
    """() weight of all samples"""
    x: Tensor
    """(D,)"""
    xx: Tensor
    """(D, D)"""
    y: Tensor
    """()"""
    xy: Tensor
    """(D,)"""


def no_samples(D: int) -> Sums:
    """The sums before the first sample."""
    shapes = ((), (D,), (D, D), (), (D,))
    return Sums(*(torch.zeros(shape, dtype=torch.float64) for shape in shapes))


def added(sums: Sums, x: Tensor, y: Tensor, keep: float) -> Sums:
    """The old sums times `keep`, and these samples.   x: (B, D), y: (B,), float64"""
    n = torch.tensor(float(len(y)), dtype=torch.float64)
    return Sums(
        *(keep * old + new for old, new in zip(sums, (n, x.sum(0), x.T @ x, y.sum(), x.T @ y), strict=True))
    )


def predicted(sums: Sums, x: Tensor) -> Tensor:
    """mean y + w . (x - mean x) with w = (C + (PENALTY / n) diag C)^-1 c, C and c the centred sums.

    x: (B, D) -> (B,).  0 before the first sample; a column that has not varied counts for nothing.
    """
    if not sums.n > 0:
        return torch.zeros(len(x), dtype=torch.float64)
    mean = sums.x / sums.n
    C = sums.xx - sums.n * torch.outer(mean, mean)
    spread = C.diagonal()
    varied = spread > 1e-9 * sums.xx.diagonal().clamp(min=1e-12)
    C = torch.where(varied[:, None] & varied, C, 0.0) + torch.diag(
        torch.where(varied, spread * PENALTY / sums.n, 1.0)
    )
    c = torch.where(varied, sums.xy - mean * sums.y, 0.0)
    return sums.y / sums.n + (x - mean) @ torch.linalg.solve(C, c)
