"""`collm sweep`: a comparison that is fair by construction.

Every algorithm gets the same trials (learning rates drawn once for all), the same seeds and the same CPU
seconds of training, from the same initial models.  A trial is chosen by its mean return on a validation
split, held out of the train items; the eval split is played once per run and only reported.  Rows are
appended as runs finish, so an interrupted sweep goes on where it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from baselines.cli.progress import Progress
from baselines.cli.terminal import Column, console, flags, note, show
from baselines.lm import threads
from baselines.play.rollout import eval_starts
from baselines.runs import texts
from baselines.runs.algorithms import algorithm
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.runs.texts import measure_lineups
from baselines.train.keywords import Json
from baselines.train.settings import Settings
from collm_envs import Task, make
from collm_envs.files import one_writer

FIELDS: tuple[str, ...] = (
    "algorithm",
    "trial",
    "seed",
    "lr",
    "critic_lr",
    "steps",
    "cpu_s",
    "validation",
    "eval",
)


@dataclass
class Sweep:
    """A sweep over algorithms, trials and seeds."""

    env: str = "StrBuild-v0"
    """environment id"""
    env_kwargs: Json = field(default_factory=dict)
    """keywords of `collm_envs.make` for it, as JSON"""
    algorithms: tuple[str, ...] = ("maac", "magrpo", "reinforce")
    """which to compare"""
    settings: Json = field(default_factory=dict)
    """settings of all of them, as JSON; one that an algorithm does not have is left out for it"""
    trials: int = 4
    """learning rates to try"""
    seeds: int = 3
    """runs of every trial"""
    cpu_s: float = 60.0
    """CPU seconds of training in a run; evaluations are not counted"""
    lr: tuple[float, float] = (1e-4, 1e-2)
    """trials draw the learning rate, and the critic's, log-uniformly from here"""
    validation: float = 0.2
    """share of the train items that is held out to choose the trial by"""
    episodes: int = 128
    """episodes of each evaluation"""
    out: str = "runs/sweep"
    """folder of the results"""
    threads: int = 0
    """CPU threads; 0: one for models below 3 million parameters, which more make slower, else all"""

    def __post_init__(self) -> None:
        if not 0 < self.validation < 1:
            raise ValueError(f"sweep: need 0 < validation < 1, got {self.validation}")
        if not 0 < self.lr[0] <= self.lr[1]:
            raise ValueError(f"sweep: need 0 < lr[0] <= lr[1], got {self.lr}")
        for name in self.algorithms:
            if not issubclass(algorithm(name).Config, Settings):
                raise ValueError(
                    f"sweep: {name} plays no environment of collm_envs: only text trainers compare"
                )


def main(args: Sequence[str]) -> int:
    """Run what is missing of the sweep, then print and write its table."""
    sweep = flags(Sweep, args, "collm sweep", description=Sweep.__doc__)
    file = Path(sweep.out) / "sweep.csv"
    with one_writer(file.parent):
        return _run_missing(sweep, file)


def _run_missing(sweep: Sweep, file: Path) -> int:
    done = {(row["algorithm"], int(row["trial"]), int(row["seed"])) for row in read(file)}
    todo = [
        (name, trial, seed)
        for seed in range(sweep.seeds)  # a whole seed of everything first: stopped early, it is still fair
        for trial in range(sweep.trials)
        for name in sweep.algorithms
        if (name, trial, seed) not in done
    ]
    threads.ask(sweep.threads)
    if todo:
        settle(sweep, *todo[0])  # makes the warm start, which tells how far it is by itself
    with Progress("sweep", len(todo)) as progress:
        for k, (name, trial, seed) in enumerate(todo):
            about = f"{name} trial {trial} seed {seed}"

            def show_step(step: int, metrics: Mapping[str, float], k: int = k, about: str = about) -> None:
                shown = (f"return {metrics['return']:.3f}",) if "return" in metrics else ()
                progress.update(k, about, f"step {step}", *shown)

            row = one_run(sweep, name, trial, seed, show_step)
            append_rows(file, [row])
            progress.update(k + 1, about, f"eval {row['eval']:.3f}")
    out = console()
    note(out, "the trial chosen on the validation split, mean over seeds (least to most)")
    show(out, COLUMNS, chosen_rows(read(file)))
    return 0


def settle(sweep: Sweep, name: str, trial: int, seed: int) -> Settings:
    """The settings of a run, its models warm-started."""
    module, rates = algorithm(name), rates_of(trial, sweep.lr)
    settings = {
        "gamma": 1.0,
        **sweep.settings,
        **rates,
        "seed": seed,
        "steps": 10**9,
        "threads": sweep.threads,
    }
    accepted = {k: v for k, v in settings.items() if k in module.Config.__dataclass_fields__}
    config = module.Config(env=sweep.env, env_kwargs=sweep.env_kwargs, **accepted)
    return texts.with_models(config, quiet=False)


def one_run(
    sweep: Sweep,
    name: str,
    trial: int,
    seed: int,
    report: Callable[[int, Mapping[str, float]], None] = lambda step, metrics: None,
) -> dict[str, Any]:
    """Train for the budget, then play validation and eval split; `report` is called after every step."""
    module, rates, config = algorithm(name), rates_of(trial, sweep.lr), settle(sweep, name, trial, seed)
    task = make(sweep.env, **sweep.env_kwargs).task
    held_out = hold_out(task, sweep.validation)
    team, budget = module.team(config, held_out), Budget(sweep.cpu_s)
    for metrics in budget.within(module.train(config, held_out, team)):
        report(team.step, metrics)
    measured = [
        measure_lineups(view, eval_starts(view, sweep.episodes), team.lineups(view.agents), f"sweep/{seed}")
        for view in (held_out, task)
    ]
    values = (name, trial, seed, rates["lr"], rates["critic_lr"], team.step, round(budget.spent, 1))
    returns = (metrics["return"] for metrics in measured)
    return dict(zip(FIELDS, (*values, *returns), strict=True))


def rates_of(trial: int, bounds: tuple[float, float]) -> dict[str, float]:
    """The learning rates of a trial: the same for every algorithm and seed."""
    rng, (low, high) = Random(f"sweep/{trial}"), bounds
    draw = {name: low * (high / low) ** rng.random() for name in ("lr", "critic_lr")}
    return {name: float(f"{value:.2g}") for name, value in draw.items()}


def hold_out(task: Task, share: float) -> Task:
    """The same task with the first part of its train items to train on and the rest of them as eval items.

    Raises ValueError where there are too few items for both.
    """
    items = task.items("train")
    cut = len(items) - max(1, round(share * len(items)))
    if cut < 1:
        raise ValueError(f"validation={share}: {len(items)} train items are too few to hold some out")
    parts = {"train": items[:cut], "eval": items[cut:]}
    view: Any = copy.copy(task)
    view.items = parts.__getitem__
    return view


def read(file: Path) -> list[dict[str, str]]:
    """The rows so far, each run once."""
    return read_results(file, ("algorithm", "trial", "seed"))


def chosen(rows: Sequence[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    """algorithm -> the runs of its best trial by mean validation return; trials that lack a seed wait."""
    out: dict[str, list[dict[str, str]]] = {}
    for name in dict.fromkeys(row["algorithm"] for row in rows):
        trials: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if row["algorithm"] == name:
                trials.setdefault(row["trial"], []).append(row)
        most_seeds = max(len(runs) for runs in trials.values())
        out[name] = max((runs for runs in trials.values() if len(runs) == most_seeds), key=validation_mean)
    return out


def validation_mean(runs: Sequence[dict[str, str]]) -> float:
    return sum(float(row["validation"]) for row in runs) / len(runs)


COLUMNS = (
    Column("algorithm", align="left"),
    Column("lr", keep=3),
    Column("critic lr", keep=2),
    Column("seeds", keep=1),
    Column("validation", keep=4),
    Column("eval"),
)


def chosen_rows(rows: Sequence[dict[str, str]]) -> list[tuple[str, ...]]:
    """Each algorithm's chosen trial, on the split it was chosen by and on the one it never saw."""
    cells = []
    for name, runs in chosen(rows).items():
        splits = (spread([float(row[split]) for row in runs]) for split in ("validation", "eval"))
        cells.append((name, runs[0]["lr"], runs[0]["critic_lr"], str(len(runs)), *splits))
    return cells


def spread(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"
