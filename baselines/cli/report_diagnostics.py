"""What the steps of the runs of a report say about how they learned: a table, and how to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from baselines.cli.report_rows import ReportRow
from collm_envs.pages.report import folded, prose, table

Steps = Sequence[Mapping[str, Any]]
"""the lines of a run's metrics.jsonl, or of its eval.jsonl"""
READING = """Means over the seeds and over the last quarter of the steps (the last evaluation, for influence);
with an arrow, over the first quarter and the last.  Explained variance: of the returns from a turn on, by the
critic before it was fitted to them: 1 knows all, 0 is a constant, below 0 misleads.  Advantage variance:
within each agent's texts of a step, before any scaling.  Largest share: of the agent with most of the sum of
gradient lengths, or of weighted |advantage|; equal shares are 1 over the number of agents.  Entropy: nats a
sampled token.  Agreement with Shapley: rank correlation of what each agent learns from of a turn's reward
with exact Shapley values, over the turns of a sample.  Influence: nats by which a text becomes less likely
where another agent's text before it is blanked (arXiv:1810.08647); 0 where agents cannot read each other."""


def diagnostics(rows: Sequence[ReportRow]) -> list[str]:
    """A folded table, a row for every method that was trained; [] where nothing was, or logs are older."""
    columns = {
        name: cells
        for name, cell in CELLS.items()
        if any(cells := [cell(row.curves) if row.curves else "" for row in rows])
    }
    kept = [k for k, row in enumerate(rows) if row.curves]
    if not columns or not kept:
        return []
    lines = [[rows[k].name, *(cells[k] for cells in columns.values())] for k in kept]
    return [folded("how they learned: diagnostics", table(["", *columns], lines) + prose(READING))]


def _quarter(steps: Steps, *, last: bool) -> Steps:
    size = max(1, len(steps) // 4)
    return steps[-size:] if last else steps[:size]


def _mean(runs: Sequence[Steps], key: str, *, last: bool = True) -> float | None:
    """Of a number over these steps of all seeds; None where it was never logged."""
    values = [step[key] for steps in runs for step in _quarter(steps, last=last) if key in step]
    return fmean(values) if values else None


def _at_the_end(key: str, digits: int) -> Callable[[Mapping[str, Sequence[Steps]]], str]:
    def cell(curves: Mapping[str, Sequence[Steps]]) -> str:
        mean = _mean(curves["training"], key)
        return "" if mean is None else f"{mean:.{digits}f}"

    return cell


def _drift(key: str, digits: int) -> Callable[[Mapping[str, Sequence[Steps]]], str]:
    def cell(curves: Mapping[str, Sequence[Steps]]) -> str:
        ends = [_mean(curves["training"], key, last=last) for last in (False, True)]
        return " → ".join(f"{end:.{digits}f}" for end in ends if end is not None)

    return cell


def _largest(prefix: str) -> Callable[[Mapping[str, Sequence[Steps]]], str]:
    def cell(curves: Mapping[str, Sequence[Steps]]) -> str:
        runs = [steps for steps in curves["training"] if steps]
        keys = dict.fromkeys(key for steps in runs for key in steps[-1] if key.startswith(prefix))
        means = {key.partition("/")[2]: _mean(runs, key) or 0.0 for key in keys}
        agent = max(means, key=means.__getitem__, default="")
        return f"{means[agent]:.2f} {agent}" if agent else ""

    return cell


def _influence(curves: Mapping[str, Sequence[Steps]]) -> str:
    newest = [steps[-1:] for steps in curves["evaluation"] if steps]
    keys = dict.fromkeys(key for steps in newest for key in steps[0] if key.startswith("influence/"))
    return ", ".join(f"{_mean(newest, key):.2f} {key.partition('/')[2]}" for key in keys)


CELLS: Mapping[str, Callable[[Mapping[str, Sequence[Steps]]], str]] = {
    "explained variance": _at_the_end("explained_variance", 2),
    "advantage variance": _drift("advantage_variance", 3),
    "largest share of the gradient": _largest("gradient_share/"),
    "of the credit": _largest("credit_share/"),
    "entropy": _drift("token_entropy", 2),
    "tokens a text": _drift("text_tokens", 0),
    "agreement with Shapley": _at_the_end("credit_agreement", 2),
    "influence": _influence,
}
"""column -> its cell from a row's curves; "" where nothing of it was logged"""
