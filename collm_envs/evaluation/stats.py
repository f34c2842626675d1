"""Means and their uncertainty.  Training seeds are the replication unit, episodes are not.

Scores are a matrix (R runs, P pairs of item and episode seed), R the training seeds, every cell the mean of a
pair's trials.  With two or more runs the interval is over runs; with one run (nothing was trained, or once)
it is over the pairs.  Bootstraps draw from a generator of their own, so that the same numbers always give the
same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

DRAWS, SEED = 2000, 0
T_975 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Student's t, two-sided 95 %, by number of values; a bootstrap of so few is too narrow"""
LEAST_OF_STRATUM = 8
"""smallest stratum: with fewer pairs the bootstrap interval is too narrow"""
Pair = tuple[str, int]
"""item and episode seed"""


class Summary(NamedTuple):
    """A measure of a row: mean, 95 % interval (None where there is a single unit), interquartile mean."""

    mean: float
    low: float | None
    high: float | None
    iqm: float


def summary(scores: np.ndarray, strata: Sequence[np.ndarray]) -> Summary:
    """Summary of `scores` (R, P); `strata` group the columns for the bootstrap of a single run.

    Of several runs the interval is `interval` of their means.
    """
    runs = scores.mean(axis=1)
    low = high = None
    if len(runs) > 1:
        low, high = interval(runs)
    elif scores.size > 1:
        low, high = bootstrap([scores[0, columns] for columns in strata])
    return Summary(float(runs.mean()), low, high, float(iqm(scores.ravel())))


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of at least two `values` (n,): Student's t to ten, a percentile bootstrap
    from eleven on."""
    if len(values) not in T_975:
        return bootstrap([values])
    half = T_975[len(values)] * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean() - half), float(values.mean() + half)


def across(strata: Sequence[np.ndarray]) -> Summary:
    """Summary over several tasks, one stratum (R_k,) of runs each; the interval is of the IQM.

    rliable's stratified bootstrap (Agarwal et al. 2021, arXiv:2108.13264): the runs of each task are drawn
    anew by themselves.  There is no interval where some task has a single run.
    """
    values = np.concatenate(strata)
    low, high = bootstrap(strata, iqm) if min(map(len, strata)) > 1 else (None, None)
    return Summary(
        float(np.mean([task_scores.mean() for task_scores in strata])), low, high, float(iqm(values))
    )


def strata(pairs: Sequence[Pair]) -> list[np.ndarray]:
    """Columns of like pairs: one stratum an item, or a single one where some item has few pairs."""
    items: dict[str, list[int]] = {}
    for k, (item, _) in enumerate(pairs):
        items.setdefault(item, []).append(k)
    if min(map(len, items.values())) < LEAST_OF_STRATUM:
        return [np.arange(len(pairs))]
    return [np.array(columns) for columns in items.values()]


def mean(values: np.ndarray) -> np.ndarray:
    """Mean of `values` (..., n) over the last axis."""
    return values.mean(axis=-1)


def iqm(values: np.ndarray) -> np.ndarray:
    """Interquartile mean of `values` (..., n) over the last axis: without the lowest and the highest quarter,
    rounded down (Agarwal et al. 2021, section 4.3)."""
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)


def bootstrap(
    strata: Sequence[np.ndarray], statistic: Callable[[np.ndarray], np.ndarray] = mean
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of all strata together, each (n_k,) resampled by itself."""
    rng = np.random.default_rng(SEED)
    drawn = [stratum[rng.integers(len(stratum), size=(DRAWS, len(stratum)))] for stratum in strata]
    low, high = np.percentile(statistic(np.concatenate(drawn, axis=1)), [2.5, 97.5])
    return float(low), float(high)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of two arrays of one size, ties at their mean rank; 0 where one is constant."""
    a, b = ranks(np.ravel(x)), ranks(np.ravel(y))
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else 0.0


def ranks(x: np.ndarray) -> np.ndarray:
    """0-based ranks of `x` (n,), ties at their mean.  Numbers that differ by rounding alone are ties."""
    _, which, counts = np.unique(np.round(x, 9), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[which]
