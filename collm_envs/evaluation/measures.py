"""Summary of records: mean, 95 % interval and interquartile mean of every measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from collm_envs.evaluation.headline import score_of
from collm_envs.evaluation.influence import influence
from collm_envs.evaluation.stats import Pair, Summary, strata, summary
from collm_envs.policies.seat import SECONDS, TOKENS, WAITED, WRITTEN
from collm_envs.record import Record, TurnRecord

MAX_COUNT = 2**53
"""seconds or tokens; up to here a float holds every whole number"""
COSTS = "seconds_sequential", "seconds_parallel", *TOKENS
Scores = Mapping[str, Mapping[Pair, float]]
"""measure -> pair of item and seed -> mean of its trials"""


class Measure(NamedTuple):
    """One line of the table.  See `collm_envs.evaluation.stats`."""

    measure: str
    mean: float
    low: float | None
    high: float | None
    iqm: float
    n: int
    """different pairs of item and seed; repetitions of a pair count as one, by their mean"""


def measures(record: Record) -> dict[str, float]:
    """Measures of one episode: score, return, the metrics of its last turn, time and cost.

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
    values = {"score": score_of(record.turns), "return": sum(turn["reward"] for turn in record.turns)}
    values.update(last["metrics"])
    replies = [{agent: turn["usage"][agent] for agent in _writers(turn)} for turn in record.turns]
    usages = [[{WAITED: 0.0, **usage} for usage in turn.values()] for turn in replies]

    def known(name: str) -> bool:
        return all(_counts(usage.get(name)) for turn in usages for usage in turn)

    if known(SECONDS):
        values["seconds_sequential"] = sum(usage[SECONDS] for turn in usages for usage in turn)
    if known(SECONDS) and known(WAITED):
        values["seconds_parallel"] = sum(
            max(usage[SECONDS] + usage[WAITED] for usage in turn) for turn in usages
        )
    for name in TOKENS:
        if known(name):
            values[name] = float(sum(usage[name] for turn in usages for usage in turn))
    messages = [t for t, turn in enumerate(record.turns) if "talk_round" in turn["metrics"]]
    if messages and known(WRITTEN):
        values["talk_tokens"] = float(sum(usage[WRITTEN] for t in messages for usage in usages[t]))
    if messages and (effect := influence(record)) is not None:
        values["influence"] = effect
    return values


def _writers(turn: TurnRecord) -> list[str]:
    """The agents that took part in a step: in some tasks others only wait."""
    return [agent for agent in turn["usage"] if turn["prompts"][agent] or turn["texts"][agent]]


def _counts(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= MAX_COUNT


def measure_table(records: Iterable[Record]) -> list[Measure]:
    """The rows of a table: score, return, metrics, time, cost, and where there are any, empty replies."""
    records = list(records)
    pair_scores = dict(scores(records))
    if any(_empty(record) for record in records):
        counts: dict[Pair, list[int]] = {}
        for record in records:
            counts.setdefault((record.item, record.seed), []).append(len(_empty(record)))
        pair_scores["empty_replies"] = {
            pair: float(np.mean(pair_counts)) for pair, pair_counts in counts.items()
        }
    return [Measure(name, *summarised([pair_scores], name), len(pair_scores[name])) for name in pair_scores]


def scores(records: Iterable[Record]) -> Scores:
    """Every measure of every pair of one split, cost last."""
    pairs: dict[Pair, list[dict[str, float]]] = {}
    for record in records:
        pairs.setdefault((record.item, record.seed), []).append(measures(record))
    names = dict.fromkeys(
        name for repetitions in pairs.values() for measured in repetitions for name in measured
    )
    means: dict[str, dict[Pair, float]] = {}
    for name in [*(n for n in names if n not in COSTS), *(n for n in COSTS if n in names)]:
        values = {
            pair: [measured[name] for measured in repetitions if name in measured]
            for pair, repetitions in pairs.items()
        }
        means[name] = {
            pair: float(np.mean(repetitions)) for pair, repetitions in values.items() if repetitions
        }
    return means


def empty_replies(records: Iterable[Record]) -> str:
    """One line about the replies of models that held no text, with their reasons; "" where there is none.

    A scripted player may have nothing to do; a model that is cut off or refuses has lost its turn.
    """
    records = list(records)
    reasons = Counter(reason for record in records for reason in _empty(record))
    if not reasons:
        return ""
    reasons_text = ", ".join(f"{reason}: {count}" for reason, count in reasons.most_common())
    replies = sum(len(_reasons(turn)) for record in records for turn in record.turns)
    return f"{reasons.total()} of {replies} replies were empty ({reasons_text})"


def _empty(record: Record) -> list[str]:
    """The reasons of a model's empty replies in an episode, one for each reply."""
    return [
        reason
        for turn in record.turns
        for agent, reason in _reasons(turn).items()
        if not turn["texts"].get(agent, "").strip()
    ]


def _reasons(turn: TurnRecord) -> dict[str, str]:
    """{agent: finish reason} of a turn, for models that report one."""
    ends = {agent: usage.get("empty") or usage.get("finish_reason") for agent, usage in turn["usage"].items()}
    return {agent: end for agent, end in ends.items() if isinstance(end, str)}


def summarised(runs: Sequence[Scores], measure: str) -> Summary:
    """A measure over runs, by the pairs that all of them have played."""
    pairs = [pair for pair in runs[0][measure] if all(pair in run[measure] for run in runs)]
    matrix = np.array([[run[measure][pair] for pair in pairs] for run in runs])
    return summary(matrix, strata(pairs))
