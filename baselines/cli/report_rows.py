"""Rows of `collm report`: runs, and what their agents played, by method; other evaluations by themselves.

Runs that differ in nothing but their seed are one row.  Its numbers are those of the evaluations that its
agents' folders played (`--agent agent_0=hf:RUN/agent_0`), seed by seed, or else of the runs' own last
evaluation.  The units of its interval are the seeds; those of an evaluation of anything else are its pairs
of item and episode seed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from baselines.runs.folder import stored_config
from baselines.runs.logs import read_log as read_lines
from baselines.runs.published import row_of
from collm_envs.evaluation.measures import Scores, scores, summarised
from collm_envs.evaluation.stats import Summary, summary
from collm_envs.policies.names import short_model, short_name
from collm_envs.record import Record, read, unique

NO_DIFFERENCE = ("seed", "out", "threads")
"""settings in which the runs of one row may differ"""


@dataclass(frozen=True)
class ReportRow:
    """One method on one environment."""

    env: str
    kwargs: Mapping[str, Any]
    """keywords of the environment, without the number of agents"""
    name: str
    paper: str
    """the paper's row it may be compared with; "" for none"""
    units: str
    """what the interval is over: "3 seeds", "64 pairs" """
    numbers: Mapping[str, Summary]
    returns: Sequence[float]
    """the mean return of each run"""
    command: str
    folders: Sequence[Path]
    curves: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]] = field(default_factory=dict)
    """"evaluation" and "training" -> for each seed the lines of its file; empty for an evaluation"""
    agents: int = 0
    """how many play; 0 where that was not recorded"""

    @property
    def keywords(self) -> str:
        """`kwargs` as "name=JSON ...", sorted by name."""
        return " ".join(f"{name}={json.dumps(self.kwargs[name])}" for name in sorted(self.kwargs))


class Played(NamedTuple):
    """An evaluation: its measures, and the command line that repeats it."""

    folder: Path
    first: Record
    measured: Scores
    command: str
    run: Path | None
    """folder of the run whose agents played it; None for other policies"""


def collect(dirs: Sequence[Path], left_out: Callable[[str], None] = lambda why: None) -> list[ReportRow]:
    """The rows of these folders, environment by environment, the best return first.

    `left_out` is called with folder and reason of each unusable one: not begun, cut short, another version.
    Raises ValueError for a folder that is not there and where nothing of use is left.
    """
    reasons: list[str] = []

    def skip(why: str) -> None:
        reasons.append(why)
        left_out(why)

    runs: list[Path] = []
    played: list[Played] = []
    for folder in dirs:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        inside = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())]
        trained = [path for path in inside if (path / "eval.jsonl").exists()]
        evals = [path for path in inside if (path / "records.jsonl").exists()]
        if not trained and not evals:
            skip(f"{folder} holds neither a run (eval.jsonl) nor an evaluation (records.jsonl)")
        runs += [path for path in _usable(trained, _run, skip) if path is not None]
        played += _usable(evals, _played, skip)
    of_runs = [evaluation for evaluation in played if evaluation.run]
    run_folders = {evaluation.run: evaluation.run for evaluation in of_runs if evaluation.run} | {
        path.resolve(): path for path in runs
    }
    rows = [
        *_trained_rows([*run_folders.values()], of_runs, skip),
        *(_prompted(evaluation) for evaluation in played if evaluation.run is None),
    ]
    if not rows:
        where = ", ".join(map(str, dirs))
        nothing = f"{where} holds neither a run of a text trainer nor an evaluation"
        raise ValueError("; ".join(reasons) or nothing)
    return sorted(rows, key=lambda row: (row.env, row.keywords, -row.numbers["return"].mean, row.name))


T = TypeVar("T")


def _usable(paths: Sequence[Path], read: Callable[[Path], T], skip: Callable[[str], None]) -> Iterator[T]:
    """`read(folder)` of each folder; those for which it raises are skipped."""
    for path in paths:
        try:
            yield read(path)
        except ValueError as error:
            skip(str(error) if str(path) in str(error) else f"{path}: {error}")


def _run(path: Path) -> Path | None:
    """The folder itself; None for value decomposition, whose games are no environments of ours.

    Raises ValueError where it is no run, or nothing was evaluated in it.
    """
    _, config = stored_config(path)
    if not read_lines(path / "eval.jsonl"):
        raise ValueError(f"{path}: nothing was evaluated in this run yet")
    return path if "env" in config else None


def _trained_rows(
    folders: Sequence[Path], played: Sequence[Played], skip: Callable[[str], None]
) -> list[ReportRow]:
    """One row for runs that differ in nothing but seed and folder."""
    groups: dict[str, list[Path]] = {}
    for folder in _usable(folders, _run, skip):
        if folder is not None:
            algorithm, config = stored_config(folder)
            settings = {key: value for key, value in config.items() if key not in NO_DIFFERENCE}
            alike = json.dumps([algorithm, settings], sort_keys=True)
            groups.setdefault(alike, []).append(folder)
    names = [_method(*stored_config(alike[0])) for alike in groups.values()]
    rows = []
    for key, run_folders, paper in zip(groups, groups.values(), names, strict=True):
        config = json.loads(key)[1]
        others = [json.loads(other)[1] for other, name in zip(groups, names, strict=True) if name == paper]
        alike = [other for other in others if other["env"] == config["env"]]
        apart = [
            f"{name} {_shown(name, config[name])}"
            for name in config
            if any(other.get(name) != config[name] for other in alike)
        ]
        name = ", ".join([paper, *apart])
        try:
            rows.append(_trained(name, paper, config, run_folders, played))
        except ValueError as error:
            skip(f"{', '.join(map(str, run_folders))}: {error}")
    return rows


def _shown(name: str, value: Any) -> str:
    """A setting as a row's name has it: models without the way to them."""
    if name in ("model", "critic_model"):
        return short_model(value)
    return str([short_model(place) for place in value] if name == "models" else value)


def _trained(
    name: str, paper: str, config: Mapping[str, Any], folders: Sequence[Path], played: Sequence[Played]
) -> ReportRow:
    from baselines.cli.train import command  # with torch, which a report of evaluations does without
    from baselines.runs.run import load_config

    evaluations = [
        evaluation for folder in folders for evaluation in played if evaluation.run == folder.resolve()
    ]
    evaluated_once_each = (
        len({evaluation.run for evaluation in evaluations}) == len(evaluations) == len(folders)
    )
    evals = [read_lines(folder / "eval.jsonl") for folder in folders]
    if (
        evaluated_once_each
        and len({json.dumps(dict(evaluation.first.kwargs)) for evaluation in evaluations}) == 1
    ):
        runs = [evaluation.measured for evaluation in evaluations]
        numbers = {measure: summarised(runs, measure) for measure in runs[0]}
        returns = [float(np.mean([*run["return"].values()])) for run in runs]
    else:
        numbers, returns = _last(folders, evals)
    algorithm, settings = load_config(folders[0])
    settings.out, settings.seed = "", 0
    seeds = sorted(stored_config(folder)[1]["seed"] for folder in folders)
    units = f"{len(seeds)} seed" + "s" * (len(seeds) > 1)
    if len(seeds) == 1 and numbers["return"].low is not None:
        units += f", {len(evaluations[0].measured['return'])} pairs"
    flags = f"--seed $seed{_out_of(folders)}"
    line = f"for seed in {' '.join(map(str, seeds))}; do {command(algorithm, settings)} {flags}; done"
    return ReportRow(
        config["env"],
        _shared(config["env_kwargs"]),
        name,
        paper,
        units,
        numbers,
        returns,
        "\n".join([line, *(evaluation.command for evaluation in evaluations if evaluated_once_each)]),
        folders,
        {"evaluation": evals, "training": [read_lines(folder / "metrics.jsonl") for folder in folders]},
        len(evaluations[0].first.agents) if evaluations else config["env_kwargs"].get("num_agents", 0),
    )


def _method(algorithm: str, config: Mapping[str, Any]) -> str:
    """The paper's name of an algorithm with these settings; the algorithm's own where it has none."""
    return row_of(algorithm, config) or algorithm


def _out_of(folders: Sequence[Path]) -> str:
    """--out, where the runs' folders are told apart by their seeds alone."""
    flags = set()
    for folder in folders:
        before, seed, after = str(folder).rpartition(str(stored_config(folder)[1]["seed"]))
        flags.add(f"{before}$seed{after}" if seed else "")
    flag = flags.pop()
    return "" if flags or not flag else f" --out {flag}"


def _last(
    folders: Sequence[Path], evals: Sequence[Sequence[Mapping[str, Any]]]
) -> tuple[dict[str, Summary], list[float]]:
    """Measures and returns at the last step at which all of these runs were evaluated."""
    both = set[int].intersection(*({line["step"] for line in lines} for lines in evals))
    if not both:
        raise ValueError(f"{', '.join(map(str, folders))}: no step at which all of them were evaluated")
    last = [line for lines in evals for line in lines if line["step"] == max(both)]
    measures = [key for key in last[0] if key == "return" or key.startswith("metric/")]
    columns = {measure: np.array([[line[measure]] for line in last]) for measure in measures}
    numbers = {
        key.removeprefix("metric/"): summary(values, [np.array([0])]) for key, values in columns.items()
    }
    return numbers, columns["return"][:, 0].tolist()


def _played(folder: Path) -> Played:
    """An evaluation, from its records."""
    path = folder / "records.jsonl"
    measured = scores(unique(read(path)))
    if not measured:
        raise ValueError(f"{path} holds no records")
    first = next(read(path))
    names = list(dict.fromkeys(first.agents.values()))
    protocol, _, model = names[0].partition(":")
    if protocol in ("pipeline", "discussion"):
        players = f"--protocol {protocol} --policy {_quoted(model)}"
    elif len(names) == 1:
        players = f"--policy {_quoted(names[0])}"
    else:
        players = " ".join(f"--agent {_quoted(f'{agent}={name}')}" for agent, name in first.agents.items())
    kwargs = f" --env-kwargs {_quoted(json.dumps(first.kwargs))}" if first.kwargs else ""
    seeds = 1 + max(record.trial for record in read(path))
    often = f"--episodes {len(measured['return'])}" + f" --seeds {seeds}" * (seeds > 1)
    env = ":".join(filter(None, (first.module, first.env)))
    line = f"collm eval {env} {players}{kwargs} --split {first.split} {often}"
    return Played(folder, first, measured, line, _run_of(first))


def _quoted(text: str) -> str:
    """For a shell; always in quotation marks."""
    return shlex.quote(text) if "'" in text else f"'{text}'"


def _run_of(record: Record) -> Path | None:
    """The run whose agents played all seats, where it is one."""
    runs = set()
    for name in record.agents.values():
        kind, _, model = name.partition(":")
        runs.add(Path(model.partition("?")[0]).parent if kind == "hf" else None)
    run = runs.pop() if len(runs) == 1 else None
    if run is None or not (run / "config.json").exists() or not (run / "eval.jsonl").exists():
        return None
    return run.resolve()


def _prompted(evaluation: Played) -> ReportRow:
    """The row of an evaluation of anything but a run's agents."""
    names = list(dict.fromkeys(evaluation.first.agents.values()))
    paper = _protocol(names, len(evaluation.first.agents))
    kind = {"untrained": "single:", "parallel": "parallel:"}.get(paper, "")
    numbers = {measure: summarised([evaluation.measured], measure) for measure in evaluation.measured}
    pairs = len(evaluation.measured["return"])
    return ReportRow(
        evaluation.first.env,
        _shared(evaluation.first.kwargs),
        kind + " + ".join(map(short_name, names)),
        paper,
        f"{pairs} pair" + "s" * (pairs > 1),
        numbers,
        [numbers["return"].mean],
        evaluation.command,
        [evaluation.folder],
        agents=len(evaluation.first.agents),
    )


def _protocol(names: Sequence[str], agents: int) -> str:
    """The paper's row of models that were not trained; "" for scripted players."""
    kind = names[0].partition(":")[0]
    if kind in ("pipeline", "discussion"):
        return kind
    if kind not in ("hf", "openai"):
        return ""
    return "untrained" if agents == 1 else "parallel"


def _shared(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords without `num_agents`, which belongs to the method: one table holds teams of any size."""
    return {name: value for name, value in kwargs.items() if name != "num_agents"}
