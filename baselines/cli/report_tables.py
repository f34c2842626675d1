"""The tables of `collm report`: ours, the paper's in one of its own, and all environments together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import inf

import numpy as np

from baselines.cli.report_rows import ReportRow
from collm_envs.evaluation.meanings import meaning
from collm_envs.evaluation.retention import Outcome, retentions
from collm_envs.evaluation.stats import across
from leaderboard.reported import METHODS, REPORTED

METRICS = {"IoU": "iou", "adjacency": "adj", "score": "score", "pass rate": "pass_rate"}
"""measure of the paper -> metric of ours, a share of 1"""
BY_METHOD: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    env: {
        METRICS[line.measure]: {
            method: value
            for (_, method), value in zip(METHODS, line.values, strict=True)
            if value is not None
        }
        for line in lines
    }
    for env, lines in REPORTED.items()
}
"""environment -> metric -> the paper's row -> percent"""
COSTS = {
    "seconds_parallel": ("s, at once", 3),
    "seconds_sequential": ("s, in turn", 3),
    "tokens_read": ("tokens read", 0),
    "tokens_written": ("tokens written", 0),
}
"""measure of an episode -> its column and decimals"""


def wide(env: str, rows: Sequence[ReportRow]) -> tuple[list[str], list[list[str]]]:
    """(columns, cells) of an environment's table: score and return, the paper's measures, time and cost."""
    metrics = [name for name in BY_METHOD.get(env, {}) if name != "score"]
    costs = [name for name in COSTS if any(name in row.numbers for row in rows)]
    columns = ["method", "over", "return", "IQM", "score", *(f"{metric} %" for metric in metrics)]
    kept = retentions([Outcome(env, r.kwargs, r.agents, r.name, r.numbers["return"].mean) for r in rows])
    retained = any(share is not None for share in kept)
    columns += ["retention"] * retained + [COSTS[name][0] for name in costs]
    if differ := len({row.keywords for row in rows}) > 1:
        columns.append("keywords")
    cells = []
    for row, share in zip(rows, kept, strict=True):
        line = [row.name, row.units, _return(row), f"{row.numbers['return'].iqm:.3f}", _cell(row, "score", 3)]
        line += [_cell(row, metric, 1, 100) for metric in metrics]
        line += ["" if share is None else f"{share:.2f}"] * retained
        line += [_cell(row, name, COSTS[name][1]) for name in costs]
        cells.append(line + [row.keywords] * differ)
    return columns, cells


def reported(env: str) -> tuple[list[str], list[list[str]]]:
    """(columns, cells) of what the paper reports of an environment; no cells where it has no number."""
    by_metric = BY_METHOD.get(env, {})
    cells = [
        [name, agents, *(_percent(values.get(name)) for values in by_metric.values())]
        for agents, name in METHODS
        if any(name in values for values in by_metric.values())
    ]
    return ["method", "agents", *(f"{metric} %" for metric in by_metric)], cells


def _return(row: ReportRow) -> str:
    """The return; of two seeds, both."""
    if len(row.returns) == 2:
        return f"{row.numbers['return'].mean:.3f} ({' and '.join(f'{value:.3f}' for value in row.returns)})"
    return _cell(row, "return", 3)


def _cell(row: ReportRow, name: str, digits: int, times: float = 1) -> str:
    """Mean and interval, within the range of the measure.

    Two seeds have no interval: Student's t would stretch it beyond any use.
    """
    number = row.numbers.get(name)
    if number is None:
        return ""
    shown = f"{number.mean * times:.{digits}f}"
    if number.low is None or number.high is None or len(row.returns) == 2:
        return shown
    found = meaning(name)
    least, most = (found.low, found.high) if found else (-inf, inf)
    low, high = max(number.low, least) * times, min(number.high, most) * times
    return f"{shown} [{low:.{digits}f}, {high:.{digits}f}]"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def together(rows: Sequence[ReportRow]) -> tuple[list[str], list[list[str]]]:
    """(columns, cells) over all environments, of the methods that were run on each of them.

    A return counts from 0, the random player's on that environment and keywords, to 1, the expert's.
    An environment where both of them return the same is left out, and there are no rows where fewer than two
    have both players.
    """
    scales: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row.name in ("random", "expert"):
            scales.setdefault((row.env, row.keywords), {}).setdefault(row.name, row.returns[0])
    scales = {env_key: ends for env_key, ends in scales.items() if len({*ends.values()}) == 2}
    returns_by_method: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    for row, name in zip(rows, _methods(rows), strict=True):
        if ends := scales.get(env_key := (row.env, row.keywords)):
            scaled = (np.array(row.returns) - ends["random"]) / (ends["expert"] - ends["random"])
            returns_by_method.setdefault(name, {})[env_key] = scaled
    cells = []
    for name, returns in returns_by_method.items():
        if len(returns) == len(scales) > 1:
            total = across([*returns.values()])
            between = "" if total.low is None else f" [{total.low:.3f}, {total.high:.3f}]"
            cells.append([name, f"{total.iqm:.3f}{between}", f"{total.mean:.3f}"])
    return ["method", "IQM", "mean"], sorted(cells, key=lambda line: -float(line[1].split()[0]))


def _methods(rows: Sequence[ReportRow]) -> list[str]:
    """The name of each row's method: the paper's, or its own where a place has several rows of that one.

    Rows of one name in one place are numbered from the second on.
    """
    alike = Counter((row.env, row.keywords, row.paper) for row in rows)
    several = {paper for (_, _, paper), n in alike.items() if n > 1}
    named: Counter[tuple[str, str, str]] = Counter()
    methods = []
    for row in rows:
        name = row.name if not row.paper or row.paper in several else row.paper
        named[row.env, row.keywords, name] += 1
        n = named[row.env, row.keywords, name]
        methods.append(name if n == 1 else f"{name} ({n})")
    return methods
