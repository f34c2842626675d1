"""Rows of `collm report`: runs grouped by what they did, evaluations by themselves, in numbers.

Runs that differ in nothing but their seed are one row, their seeds the units of its mean and interval; an
evaluation is a row whose units are its pairs of item and episode seed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from baselines.core.logs import read as read_lines
from collm_envs.record import read
from collm_envs.table import interval, table


class Number(NamedTuple):
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Row:
    """One method on one environment."""

    env: str
    kwargs: Mapping[str, Any]
    name: str
    paper: str
    """the paper's row it may be compared with; "" for none"""
    units: str
    """what the interval is over: "3 seeds", "64 pairs" """
    numbers: Mapping[str, Number]
    command: str
    folders: Sequence[Path]
    curves: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]] = field(default_factory=dict)
    """"evaluation" and "training" -> for each seed the lines of its file; empty for an evaluation"""

    @property
    def keywords(self) -> str:
        """Of the environment, in one order."""
        return " ".join(f"{name}={json.dumps(self.kwargs[name])}" for name in sorted(self.kwargs))


def collect(dirs: Sequence[Path]) -> list[Row]:
    """The rows of these folders, environment by environment, the best return first.

    Raises ValueError for a folder that holds neither a run nor an evaluation.
    """
    runs: list[Path] = []
    evals: list[Path] = []
    for folder in dirs:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        trained = [path for path in inside if (path / "eval.jsonl").exists()]
        played = [path for path in inside if (path / "records.jsonl").exists()]
        if not trained and not played:
            raise ValueError(f"{folder} holds neither a run (eval.jsonl) nor an evaluation (records.jsonl)")
        runs += trained
        evals += played
    rows = [*trained_rows(dict.fromkeys(runs)), *(evaluated_row(path) for path in dict.fromkeys(evals))]
    return sorted(rows, key=lambda row: (row.env, row.keywords, -row.numbers["return"].mean, row.name))


def trained_rows(folders: Mapping[Path, Any]) -> list[Row]:
    """One row for runs that differ in nothing but seed and folder, by the last evaluation all had."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        stored = _config(folder)
        settings = {name: value for name, value in stored["config"].items() if name not in ("seed", "out")}
        groups.setdefault(json.dumps([stored["algorithm"], settings], sort_keys=True), []).append(folder)
    names = [_method(_config(some[0])) for some in groups.values()]
    rows = []
    for key, some, paper in zip(groups, groups.values(), names, strict=True):
        config = json.loads(key)[1]
        others = [json.loads(other)[1] for other, name in zip(groups, names, strict=True) if name == paper]
        alike = [other for other in others if other["env"] == config["env"]]
        apart = [
            f"{name} {config[name]}" for name in config if any(c.get(name) != config[name] for c in alike)
        ]
        rows.append(_trained(", ".join([paper, *apart]), paper, config, some))
    return rows


def _trained(name: str, paper: str, config: Mapping[str, Any], folders: list[Path]) -> Row:
    from baselines.core.commands import command  # with torch, which a report of evaluations does without
    from baselines.core.run import load_config

    evals = [read_lines(folder / "eval.jsonl") for folder in folders]
    both = set[int].intersection(*({line["step"] for line in lines} for lines in evals))
    if not both:
        raise ValueError(f"{', '.join(map(str, folders))}: no step at which all of them were evaluated")
    last = [line for lines in evals for line in lines if line["step"] == max(both)]
    numbers = {}
    for measure in (key for key in last[0] if key == "return" or key.startswith("metric/")):
        values = np.array([line[measure] for line in last])
        numbers[measure.removeprefix("metric/")] = Number(float(values.mean()), *interval(values))
    algorithm, settings = load_config(folders[0])
    settings.out, settings.seed = "", 0
    seeds = sorted(_config(folder)["config"]["seed"] for folder in folders)
    return Row(
        config["env"],
        config["env_kwargs"],
        name,
        paper,
        f"{len(folders)} seed" + "s" * (len(folders) > 1),
        numbers,
        f"for seed in {' '.join(map(str, seeds))}; do {command(algorithm, settings)} --seed $seed; done",
        folders,
        {"evaluation": evals, "training": [read_lines(folder / "metrics.jsonl") for folder in folders]},
    )


def evaluated_row(folder: Path) -> Row:
    """The row of an evaluation, from its records."""
    found = table(read(folder / "records.jsonl"))
    if not found:
        raise ValueError(f"{folder / 'records.jsonl'} holds no records")
    first = next(read(folder / "records.jsonl"))
    names = list(dict.fromkeys(first.agents.values()))
    protocol, _, model = names[0].partition(":")
    if protocol in ("pipeline", "discussion"):
        paper, players = protocol, f"--protocol {protocol} --policy '{model}'"
    else:
        paper = _untrained(names, len(first.agents))
        players = " ".join(f"--agent '{agent}={name}'" for agent, name in first.agents.items())
        players = f"--policy '{names[0]}'" if len(names) == 1 else players
    kwargs = f" --env-kwargs '{json.dumps(first.kwargs)}'" if first.kwargs else ""
    numbers = {row.measure: Number(row.mean, row.low, row.high) for row in found}
    pairs = f"{found[0].n} pair" + "s" * (found[0].n > 1)
    seeds = 1 + max(one.trial for one in read(folder / "records.jsonl"))
    often = f"--episodes {found[0].n}" + f" --seeds {seeds}" * (seeds > 1)
    line = f"collm eval {first.env} {players}{kwargs} --split {first.split} {often}"
    return Row(first.env, first.kwargs, " + ".join(names), paper, pairs, numbers, line, [folder])


def _untrained(names: Sequence[str], agents: int) -> str:
    """The paper's row of models that play alone: prompted, or trained by the run whose folder they lie in."""
    kind, _, model = names[0].partition(":")
    if kind not in ("hf", "openai"):
        return ""
    run = Path(model.partition("?")[0]).parent
    if kind == "hf" and (run / "config.json").exists() and (run / "eval.jsonl").exists():
        return _method(_config(run))
    return "untrained" if agents == 1 else "parallel"


def _config(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no run: there is no config.json in it") from None


def _method(stored: Mapping[str, Any]) -> str:
    """What the paper calls an algorithm with these settings; the algorithm's name where it has no word."""
    config, alone = stored["config"], stored["config"]["env_kwargs"].get("num_agents") == 1
    if stored["algorithm"] == "magrpo":
        return "GRPO" if alone else "MAGRPO"
    if stored["algorithm"] == "maac":
        return "AC" if alone else {"central": "CoLLM-CC", "decentral": "CoLLM-DC"}[config["critic"]]
    return stored["algorithm"]
