"""What records amount to: the mean of every measure, its 95 % interval and its interquartile mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from collm_envs.evaluation.influence import influence
from collm_envs.record import Record, TurnRecord
from collm_envs.stats import Pair, Summary, strata, summary

MAX_COUNT = 2**53
"""seconds or tokens; up to here a float holds every whole number"""
COSTS = "seconds_sequential", "seconds_parallel", "tokens_read", "tokens_written"
Scores = Mapping[str, Mapping[Pair, float]]
"""measure -> pair of item and seed -> mean of its trials"""


class Row(NamedTuple):
    """One line of the table.  See `collm_envs.stats`."""

    measure: str
    mean: float
    low: float | None
    high: float | None
    iqm: float
    n: int
    """different pairs of item and seed; repetitions of a pair count as one, by their mean"""


def measures(record: Record) -> dict[str, float]:
    """What one episode counts for: score, return, the metrics of its last turn, time and cost.

    The score is the task's own metric of that name (TLDR: reward / 3), else the last turn's reward.
    Time is that of the policies, one agent after the other (sequential) or all at once (parallel: the latest
    answer of a turn, with what an agent `waited` for texts of others); cost is in tokens, where the policies
    know them.  Where agents talk: `talk_tokens`, written in message rounds, and `influence` of the messages,
    for teams of scripted players alone.  A measure is left out where a reply lacks it or has no number: an
    endpoint may say anything.
    """
    if not record.turns:
        raise ValueError(f"record of {record.env}, item {record.item}: no turn was played")
    last = record.turns[-1]
    found = {"score": last["reward"], "return": sum(turn["reward"] for turn in record.turns)}
    found.update(last["metrics"])
    replies = [{agent: turn["usage"][agent] for agent in _wrote(turn)} for turn in record.turns]
    said = [[{"waited": 0.0, **usage} for usage in turn.values()] for turn in replies]

    def known(name: str) -> bool:
        return all(_counts(one.get(name)) for turn in said for one in turn)

    if known("seconds"):
        found["seconds_sequential"] = sum(one["seconds"] for turn in said for one in turn)
    if known("seconds") and known("waited"):
        found["seconds_parallel"] = sum(max(one["seconds"] + one["waited"] for one in turn) for turn in said)
    for name in ("tokens_read", "tokens_written"):
        if known(name):
            found[name] = float(sum(one[name] for turn in said for one in turn))
    messages = [t for t, turn in enumerate(record.turns) if "talk_round" in turn["metrics"]]
    if messages and known("tokens_written"):
        found["talk_tokens"] = float(sum(usage["tokens_written"] for t in messages for usage in said[t]))
    if messages and (effect := influence(record)) is not None:
        found["influence"] = effect
    return found


def _wrote(turn: TurnRecord) -> list[str]:
    """The agents that took part in a step: in some tasks others only wait."""
    return [agent for agent in turn["usage"] if turn["prompts"][agent] or turn["texts"][agent]]


def _counts(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= MAX_COUNT


def table(records: Iterable[Record]) -> list[Row]:
    """The rows of a table: score, return, metrics, time, cost."""
    found = scores(records)
    return [Row(name, *summarised([found], name), len(found[name])) for name in found]


def scores(records: Iterable[Record]) -> Scores:
    """Every measure of every pair of one split, cost last."""
    pairs: dict[Pair, list[dict[str, float]]] = {}
    for one in records:
        pairs.setdefault((one.item, one.seed), []).append(measures(one))
    names = dict.fromkeys(name for some in pairs.values() for found in some for name in found)
    known: dict[str, dict[Pair, float]] = {}
    for name in [*(n for n in names if n not in COSTS), *(n for n in COSTS if n in names)]:
        values = {pair: [found[name] for found in some if name in found] for pair, some in pairs.items()}
        known[name] = {pair: float(np.mean(some)) for pair, some in values.items() if some}
    return known


def summarised(runs: Sequence[Scores], measure: str) -> Summary:
    """A measure over runs, by the pairs that all of them have played."""
    pairs = [pair for pair in runs[0][measure] if all(pair in run[measure] for run in runs)]
    matrix = np.array([[run[measure][pair] for pair in pairs] for run in runs])
    return summary(matrix, strata(pairs))
