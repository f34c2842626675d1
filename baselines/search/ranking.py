"""Measures of credit functions on recorded turns, and the choice of the best by them.

    fidelity      Spearman's rank correlation, over turns and agents, of the credit with the leave-one-out
                  truth D_i: of R - b_i (baseline), (1 - alpha) R + alpha c_i (mix); of w_i with the agent's
                  share of |D| (weights)
    variance      E[A_i^2] / E[A^2]: gradient noise relative to the shared advantage A = R - mean R
                  of the turns from the same state, for equal |grad log pi|; lower is better
    factoredness  P[sign dc_i = sign dR] over changes of agent i's own text (mix only)

Two functions are compared number by number, in the order that ORDER gives for their mode; the first number
in which they differ by more than TOLERANCE decides.  Functions that differ in none are equals, and a model is
asked which of the equals to take.  For baselines, variance is compared before fidelity: no baseline biases
the gradient, so the best one leaves the least noise.  That need not be the most faithful one: to subtract the
reward without agent i may leave more noise than to subtract nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from baselines.search.gates import Admitted, factoredness
from baselines.search.turns import Contexts
from collm_envs.evaluation.stats import spearman

TOLERANCE = 0.02
"""numbers this close are equal"""
ORDER = {
    "baseline": ("variance", "fidelity"),
    "weights": ("fidelity", "variance"),
    "mix": ("fidelity", "variance", "factoredness"),
}
"""mode -> which number decides first"""


class Numbers(NamedTuple):
    fidelity: float
    variance: float
    factoredness: float = math.nan
    """NaN except in mode mix"""

    def to_dict(self) -> dict[str, float]:
        """As JSON values; NaN entries are left out."""
        return {name: round(x, 4) for name, x in self._asdict().items() if not math.isnan(x)}


def measure(admitted: Admitted, contexts: Contexts, alpha: float) -> Numbers:
    """The numbers of a function on these turns."""
    R = contexts.rewards[:, None]
    A = centred(R, contexts)
    if admitted.mode == "weights":
        size = np.abs(contexts.truth)
        share = size / np.where(size.sum(1) > 0, size.sum(1), 1)[:, None]
        return Numbers(spearman(admitted.values, share), _ratio(contexts.agents * admitted.values * A, A))
    if admitted.mode == "baseline":
        credit = R - admitted.values
        return Numbers(spearman(credit, contexts.truth), _ratio(centred(credit, contexts), A))
    credit = (1 - alpha) * R + alpha * admitted.values
    part = factoredness(admitted.values, admitted.changed, contexts)
    return Numbers(spearman(credit, contexts.truth), _ratio(centred(credit, contexts), A), part)


def shared_numbers(contexts: Contexts, mode: str) -> Numbers:
    """The numbers of no credit assignment at all: R for everybody; in mode weights, equal weights."""
    if mode == "weights":
        return Numbers(0.0, 1.0)
    everybody = np.broadcast_to(contexts.rewards[:, None], contexts.truth.shape)
    return Numbers(spearman(everybody, contexts.truth), 1.0)


def equals(numbers: Sequence[Numbers], mode: str) -> list[int]:
    """The indices of the best, by the first number that decides; several where none does."""
    left = list(range(len(numbers)))
    for name in ORDER[mode]:
        sign = -1 if name == "variance" else 1
        worth = {k: sign * numbers[k]._asdict()[name] for k in left}
        left = [k for k in left if worth[k] >= max(worth.values()) - TOLERANCE]
    return left


def centred(x: np.ndarray, contexts: Contexts) -> np.ndarray:
    """x minus its mean over the turns that started from the same state.   (B, ...)"""
    sums = np.zeros((contexts.group.max() + 1, *x.shape[1:]))
    np.add.at(sums, contexts.group, x)
    counts = np.bincount(contexts.group).reshape(-1, *[1] * (x.ndim - 1))
    return x - (sums / counts)[contexts.group]


def _ratio(x: np.ndarray, a: np.ndarray) -> float:
    size = float(np.mean(a**2))
    return float(np.mean(x**2)) / size if size > 0 else 1.0
