"""The rows of studies/claim.py and studies/claim_games.py: their runs, and statistics of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import claim
import claim_games
import numpy as np
from claim_runs import KEY, METHODS, SETTINGS, Arm, label, texts_written

from baselines.runs.budget import read_results
from collm_envs.evaluation import stats

Row = Mapping[str, Any]
Seeds = Mapping[int, Sequence[Row]]
"""seed -> the rows of the run, in order"""
Runs = Mapping[str, Seeds]
"""method -> its runs"""


class Cell(NamedTuple):
    """Where methods are compared."""

    task: str
    turns: int
    reward: str


GAMES = "Relay in tables, one-word texts"
STR_V0, STR_V1, HOUSE_V1 = "StrBuild-v0", "StrBuild-v1", "HouseBuild-v1"
TASKS = {GAMES: claim_games.ROWS, **dict.fromkeys(SETTINGS, claim.ROWS)}
"""task -> its rows; those of environments are of the embedded model"""
KEYS = {GAMES: ("turns", "reward", "method", "seed"), **dict.fromkeys(SETTINGS, KEY)}
"""task -> the columns that tell its runs apart"""
LISTED = {GAMES: (*claim_games.METHODS,), **dict.fromkeys(SETTINGS, (*METHODS,))}
"""in the order of the tables"""
FIRST_START = claim.FOLDER / "text-first-start.csv"
FIRST_START_TRIED = claim.FOLDER / "text-first-start-trials.csv"
"""rows and trials of 8 turns of HouseBuild-v1 from a warm start that was not kept"""


@cache
def runs_of(cell: Cell) -> Runs:
    """The runs of a cell, at the learning rates that its trials chose; methods as `LISTED` has them."""
    return grouped(cell, TASKS[cell.task], lambda row: cell.task == GAMES or is_chosen(row))


def from_first_start(cell: Cell) -> Runs:
    """The runs of a cell from a warm start that is lost, at the rates that were chosen for it."""
    return grouped(cell, FIRST_START, lambda row: True)


def grouped(cell: Cell, file: Path, wanted: Callable[[Row], bool]) -> Runs:
    """The runs of a cell in a file of rows; methods as `LISTED` has them."""
    runs: dict[str, dict[int, list[Row]]] = {method: {} for method in LISTED[cell.task]}
    for row in read_results(file, (*KEYS[cell.task], "step")):
        if (row.get("env", GAMES), int(row["turns"]), row["reward"]) == cell and wanted(row):
            runs.setdefault(row["method"], {}).setdefault(int(row["seed"]), []).append(with_all_tokens(row))
    return {method: seeds for method, seeds in runs.items() if seeds}


def last_of_all() -> list[Row]:
    """The last row of every run of all tasks, at whatever rates."""
    files = {TASKS[task]: KEYS[task] for task in TASKS}
    return [row for file, key in files.items() for row in claim.last_rows(file, key).values()]


def with_all_tokens(row: Row) -> Row:
    """The row with the tokens of alternatives, whose texts are as long on average as those played."""
    if "tokens" not in row:
        return row
    return {**row, "tokens": int(row["tokens"]) * texts_written(row["method"])}


def is_chosen(row: Row) -> bool:
    """Whether a row is of a run at the rates that its trials chose."""
    rates = cached_rates(arm_of(row))
    return rates is not None and row["rates"] == label(rates)


def arm_of(row: Row) -> Arm:
    return Arm(row["env"], int(row["turns"]), row["reward"], row["method"])


@cache
def cached_rates(arm: Arm) -> Mapping[str, float] | None:
    """`claim.chosen_rates`, which reads a file."""
    return claim.chosen_rates(arm)


def column(rows: Sequence[Row], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def last(rows: Sequence[Row]) -> float:
    """The return after the run."""
    return float(rows[-1]["return"])


def at(cost: str, limit: float) -> Callable[[Sequence[Row]], float]:
    """The return where so many tokens or CPU seconds were spent, by a straight line between two measures."""
    return lambda rows: float(np.interp(limit, column(rows, cost), column(rows, "return")))


def fewest(methods: Iterable[Seeds], cost: str) -> float:
    """What the cheapest run of these methods spent in all."""
    return min(column(rows, cost)[-1] for seeds in methods for rows in seeds.values())


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """95 % interval of the mean, see `stats.interval`; None for a single value."""
    return stats.interval(np.array(values)) if len(values) > 1 else None


def shown(values: Sequence[float], digits: int = 2) -> str:
    """Mean and interval."""
    ends = interval(values)
    mean = f"{fmean(values):.{digits}f}"
    return mean if ends is None else f"{mean} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"


def both(runs: Runs, method: str, other: str) -> tuple[Seeds, Seeds]:
    """The runs of two methods, none where a method has none."""
    return runs.get(method, {}), runs.get(other, {})


def apart(mine: Seeds, other: Seeds, measure: Callable[[Sequence[Row]], float]) -> list[float]:
    """Differences of two methods on the seeds that both have."""
    return [measure(mine[seed]) - measure(other[seed]) for seed in sorted(set(mine) & set(other))]


def better(runs: Runs, method: str, other: str) -> float | None:
    """P(better): the share of all pairs of seeds in which the method ends above the other; ties by half."""
    pairs = [(last(a), last(b)) for a in runs.get(method, {}).values() for b in runs.get(other, {}).values()]
    return fmean((x > y) + (x == y) / 2 for x, y in pairs) if pairs else None
