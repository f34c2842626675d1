"""What records amount to: the mean of every measure and its 95 % interval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from collm_envs.record import Record

DRAWS = 1000
"""of the bootstrap"""
COSTS = "seconds_sequential", "seconds_parallel", "tokens_read", "tokens_written"


class Row(NamedTuple):
    """One line of the table: mean and 95 % interval of a measure."""

    measure: str
    mean: float
    low: float | None
    high: float | None
    n: int
    """different pairs of item and seed; repetitions of a pair count as one, by their mean"""


def measures(record: Record) -> dict[str, float]:
    """What one episode counts for: score, return, the metrics of its last turn, time and cost.

    The score is the task's own metric of that name (TLDR: reward / 3), else the last turn's reward.
    Time is that of the policies, one agent after the other (sequential) or all at once (parallel: the latest
    answer of a turn, with what an agent `waited` for texts of others); cost is in tokens, where the policies
    know them.
    """
    if not record.turns:
        raise ValueError(f"record of {record.env}, item {record.item}: no turn was played")
    last = record.turns[-1]
    found = {"score": last["reward"], "return": sum(turn["reward"] for turn in record.turns)}
    found.update(last["metrics"])
    said = [turn["usage"].values() for turn in record.turns]
    if all("seconds" in one for turn in said for one in turn):
        found["seconds_sequential"] = sum(one["seconds"] for turn in said for one in turn)
        found["seconds_parallel"] = sum(
            max(one["seconds"] + one.get("waited", 0.0) for one in turn) for turn in said
        )
    for name in ("tokens_read", "tokens_written"):
        if all(name in one for turn in said for one in turn):
            found[name] = float(sum(one[name] for turn in said for one in turn))
    return found


def table(records: Iterable[Record]) -> list[Row]:
    """The rows of a table: score, return, metrics, time, cost.  See `interval`."""
    pairs: dict[tuple[str, str, int], list[dict[str, float]]] = {}
    for one in records:
        pairs.setdefault((one.split, one.item, one.seed), []).append(measures(one))
    names = dict.fromkeys(name for some in pairs.values() for found in some for name in found)
    names = [*(n for n in names if n not in COSTS), *(n for n in COSTS if n in names)]
    rows = []
    for name in names:
        known = [[found[name] for found in some if name in found] for some in pairs.values()]
        means = np.array([np.mean(some) for some in known if some])
        rows.append(Row(name, float(means.mean()), *interval(means), len(means)))
    return rows


def interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap interval of the mean of `values` (n,), from a generator of its own."""
    if len(values) < 2:
        return None, None
    rng = np.random.default_rng(0)
    means = [values[rng.integers(len(values), size=len(values))].mean() for _ in range(DRAWS)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
