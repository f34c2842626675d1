"""Computes the numbers of a row from a stream of episodes (statistics: collm_envs.evaluation.stats)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from collm_envs.evaluation.measures import COSTS, measures
from collm_envs.evaluation.stats import Pair, strata, summary
from collm_envs.record import Record

HIDDEN = tuple(name for name in COSTS if name.startswith("seconds"))
"""measures of time, which depend on the machine and are left out of a claim"""
Claim = dict[str, dict[str, float | None]]


class Tally:
    """Sums of each measure over trials; memory grows with pairs and measures, not with episodes."""

    def __init__(self, pairs: Sequence[Pair], runs: int):
        self._column = {pair: k for k, pair in enumerate(pairs)}
        self._sums: dict[str, np.ndarray] = {}
        self._counts: dict[str, np.ndarray] = {}
        self._shape = runs, len(pairs)

    def add(self, run: int, record: Record) -> None:
        """Add an episode of the list to the sums of its run."""
        cell = run, self._column[record.item, record.seed]
        for name, value in measures(record).items():
            if name not in HIDDEN:
                self._sums.setdefault(name, np.zeros(self._shape))[cell] += value
                self._counts.setdefault(name, np.zeros(self._shape))[cell] += 1

    def claim(self) -> Claim:
        """{measure: {mean, low, high, iqm}} of the measures that every pair of every run has."""
        alike = strata([*self._column])
        return {
            name: summary(self._sums[name] / counts, alike)._asdict()
            for name, counts in self._counts.items()
            if counts.all()
        }

    def by_run(self, measure: str) -> list[float]:
        """The mean of a measure in each run."""
        return (self._sums[measure] / self._counts[measure]).mean(axis=1).tolist()


def first_difference(claimed: Mapping[str, Mapping[str, float | None]], recomputed: Claim) -> str:
    """The first difference of two claims, in words; "" if they are equal within 1e-9."""
    for name in {**recomputed, **claimed}:
        then, now = claimed.get(name), recomputed.get(name)
        if then is None or now is None:
            return f"{name}: claimed {then}, recomputed {now}"
        for key in now:
            p, q = then.get(key), now[key]
            if p is not q and (p is None or q is None or not abs(p - q) <= 1e-9 * max(1.0, abs(q))):
                return f"{name}, {key}: claimed {p}, recomputed {q}"
    return ""
