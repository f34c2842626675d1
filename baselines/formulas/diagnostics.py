"""What a step of training says about itself: pure functions, numbers to log, nothing that is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from collm_envs.evaluation.stats import spearman


def explained_variance(predicted: Tensor, actual: Tensor) -> float:
    """1 - Var(actual - predicted) / Var(actual): 1 for a critic that knows, 0 for a constant, below 0 for one
    that misleads.   both (N,); 0 where nothing varies
    """
    variance = float(actual.var(correction=0))
    return 1 - float((actual - predicted).var(correction=0)) / variance if variance > 0 else 0.0


def mean_variance(samples: Sequence[Sequence[float]]) -> float:
    """The mean over agents of the variance of each one's numbers; agents without any do not count."""
    present = [torch.tensor(numbers, dtype=torch.float64) for numbers in samples if numbers]
    return sum(float(numbers.var(correction=0)) for numbers in present) / max(1, len(present))


def proportions(amounts: Mapping[str, float]) -> dict[str, float]:
    """Each amount, at least 0, over the sum of all; equal ones where all are 0."""
    total = sum(amounts.values())
    if total <= 0:
        return dict.fromkeys(amounts, 1 / max(1, len(amounts)))
    return {name: amount / total for name, amount in amounts.items()}


def agreement(credit: Tensor, exact: Tensor) -> float | None:
    """Rank correlation of two divisions over all turns and agents; None where `exact` says nothing.

    credit, exact: (B, N)
    """
    if float(exact.max() - exact.min()) < 1e-9:
        return None
    return spearman(credit.numpy(), exact.numpy())
