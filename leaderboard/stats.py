"""From episodes to the numbers of a row.

An entry is a matrix of scores (R runs, P pairs), R the training seeds, every cell the mean of a pair's
trials.  Training seeds are the replication unit: with two or more of them the interval is over runs, never
over episodes.  With one run (nothing was trained, or once) it is over the pairs of the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from collm_envs.record import Record
from collm_envs.table import COSTS, measures

DRAWS, SEED = 2000, 0
T_975 = {2: 12.706, 3: 4.303, 4: 3.182}
"""Student's t, two-sided 95 %, by number of runs"""
LEAST_OF_STRATUM = 8
"""a stratum of fewer pairs would make the bootstrap too sure of itself"""
HIDDEN = tuple(name for name in COSTS if name.startswith("seconds"))
"""time depends on the machine and is no measure of an entry"""
Claim = dict[str, dict[str, float | None]]
Pair = tuple[str, int]


class Tally:
    """Sums over trials as episodes stream by; memory grows with pairs and measures, not with texts."""

    def __init__(self, pairs: Sequence[Pair], runs: int):
        self._column = {pair: k for k, pair in enumerate(pairs)}
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, np.ndarray] = {}
        self._shape = runs, len(pairs)

    def add(self, run: int, record: Record) -> None:
        """Count an episode of the list."""
        cell = run, self._column[record.item, record.seed]
        for name, value in measures(record).items():
            if name not in HIDDEN:
                self._sums.setdefault(name, np.zeros(self._shape))[cell] += value
                self._counts.setdefault(name, np.zeros(self._shape))[cell] += 1

    def claim(self) -> Claim:
        """{measure: mean, low, high, iqm}; a measure that some pair of some run lacks is left out."""
        strata = list(self._strata())
        return {
            name: summary(self._sums[name] / counts, strata)
            for name, counts in self._counts.items()
            if counts.all()
        }

    def by_run(self, measure: str) -> list[float]:
        """The mean of each run."""
        return (self._sums[measure] / self._counts[measure]).mean(axis=1).tolist()

    def _strata(self) -> list[np.ndarray]:
        items: dict[str, list[int]] = {}
        for (item, _), k in self._column.items():
            items.setdefault(item, []).append(k)
        if min(map(len, items.values())) < LEAST_OF_STRATUM:
            return [np.arange(len(self._column))]
        return [np.array(some) for some in items.values()]


def summary(scores: np.ndarray, strata: Sequence[np.ndarray]) -> dict[str, float | None]:
    """Mean, 95 % interval and interquartile mean of `scores` (R, P); `strata` are columns of like pairs."""
    runs = scores.mean(axis=1)
    if len(runs) == 1:
        low, high = bootstrap([scores[0, some] for some in strata])
    elif len(runs) in T_975:
        half = T_975[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5
        low, high = float(runs.mean() - half), float(runs.mean() + half)
    else:
        low, high = bootstrap([runs])
    return {"mean": float(runs.mean()), "low": low, "high": high, "iqm": iqm(scores.ravel())}


def iqm(values: np.ndarray) -> float:
    """Interquartile mean of `values` (n,): the mean without the lowest and the highest quarter, rounded down
    (Agarwal et al. 2021, section 4.3)."""
    cut = len(values) // 4
    return float(np.sort(values)[cut : len(values) - cut].mean())


def bootstrap(strata: Sequence[np.ndarray]) -> tuple[float, float]:
    """95 % percentile interval of the mean over all strata together, each (n_k,) resampled by itself.

    The generator is its own, so that the same numbers always give the same interval.
    """
    rng = np.random.default_rng(SEED)
    drawn = [some[rng.integers(len(some), size=(DRAWS, len(some)))] for some in strata]
    low, high = np.percentile(np.concatenate(drawn, axis=1).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def first_difference(claimed: Mapping[str, Mapping[str, float | None]], recomputed: Claim) -> str:
    """Where two claims part, in words; "" where they are equal to 1e-9."""
    for name in {**recomputed, **claimed}:
        then, now = claimed.get(name), recomputed.get(name)
        if then is None or now is None:
            return f"{name}: claimed {then}, recomputed {now}"
        for key in now:
            p, q = then.get(key), now[key]
            if p is None or q is None or not abs(p - q) <= 1e-9 * max(1.0, abs(q)):
                return f"{name}, {key}: claimed {p}, recomputed {q}"
    return ""
