"""Learning curves of the text trainers with the tiny model: every algorithm, three seeds, one budget.

    python studies/learning.py [ENV ...]        make the runs that are missing, then draw and tabulate

A run is 75 CPU seconds of one thread (what the sandbox's processes use is not counted).  All algorithms of an
environment begin with the same warm start, play 64 episodes a step (CoopHE: 32) at one learning rate and have
the same CPU seconds.  The rates were chosen with seed 0, a handful of runs each.  Rows of
studies/results/learning.csv are evaluations on items that were not trained on, but in CoopHE on the 16
problems trained on: a model of this size knows a program by heart or not at all.  There the warm start writes
the reference with a slip here and there, and what is learned is to write it without.  Of CoopHE-v1 one run
has been made so far.  A run's rows are written together when it is done, so the script can be stopped any
time.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import torch

from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs import texts
from baselines.runs.algorithms import algorithm
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.runs.published import ROWS as TRAINED
from collm_envs import make, make_task
from collm_envs.pages.report import chart, folded, prose, report, section, spread, table

FOLDER = Path(__file__).parent / "results"
ROWS = FOLDER / "learning.csv"
FIELDS = ("env", "algorithm", "seed", "step", "cpu_s", "return", "metric")
CPU_S = 75
"""of training a run, evaluations not counted"""
EVALUATIONS = 8
SEEDS = (0, 1, 2)
KNOWN = [{**item.data, "task_id": item.id} for item in make_task("CoopHE-v0").items("train")[:16]]
"""the easiest problems of CoopHE, to train and to evaluate on"""
CODING = {
    "kwargs": {"prompts": "terse", "items": KNOWN, "max_turns": 1, "timeout_s": 0.3, "max_timeouts": 1},
    "metric": "fully_passed",
    "settings": {"max_new_tokens": 100, "lr": 3e-4, "episodes": 32},
    "algorithms": ("MAGRPO", "CoLLM-CC"),
}
ENVS: dict[str, dict[str, Any]] = {
    "StrBuild-v0": {
        "kwargs": {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "max_turns": 1},
        "metric": "iou",
        "settings": {"max_new_tokens": 100, "lr": 1e-3},
        "algorithms": ("MA-REINFORCE", "MAGRPO", "CoLLM-CC", "CoLLM-DC"),
    },
    "HouseBuild-v0": {
        "kwargs": {"prompts": "terse", "houses": "generated", "size": [4, 5, 5], "max_turns": 1},
        "metric": "iou",
        "settings": {"max_new_tokens": 160, "lr": 1e-3},
        "algorithms": ("MAGRPO",),
    },
    "TLDR-v0": {
        "kwargs": {"prompts": "terse"},
        "metric": "score",
        "settings": {"max_new_tokens": 64, "lr": 1e-3},
        "algorithms": ("MAGRPO", "CoLLM-CC"),
    },
    "CoopHE-v0": CODING,
    "CoopHE-v1": CODING,
}
CRITIC = {"critic_lr": 1e-3, "critic_epochs": 4, "normalize": True, "lam": 1.0}
ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {**TRAINED, "MA-REINFORCE": ("reinforce", {})}
SETTINGS: dict[str, dict[str, Any]] = {
    "MA-REINFORCE": {"group": 8, "baseline": "leave-one-out"},
    "MAGRPO": {"group": 8},
    "CoLLM-CC": CRITIC,
    "CoLLM-DC": CRITIC,
}
"""of each curve, beside those that make it a row of the paper's table"""


def one_run(env: str, name: str, seed: int) -> list[dict[str, Any]]:
    """The rows of one run: before the first step, then at equal shares of its CPU seconds."""
    setting, (kind, own) = ENVS[env], ALGORITHMS[name]
    module = algorithm(kind)
    config = texts.with_models(
        module.Config(
            env=env,
            env_kwargs=setting["kwargs"],
            steps=10_000,
            seed=seed,
            **setting["settings"],
            **own,
            **SETTINGS[name],
        )
    )
    task = make(env, **setting["kwargs"]).task
    team = module.team(config, task)
    rows: list[dict[str, Any]] = []
    budget = Budget(CPU_S)

    def measure() -> None:
        seen = rollout_metrics(play(task, eval_starts(task, 128), team.policies, "study"))
        values = (
            env,
            name,
            seed,
            team.step,
            round(budget.spent, 1),
            seen["return"],
            seen[f"metric/{setting['metric']}"],
        )
        rows.append(dict(zip(FIELDS, values, strict=True)))

    measure()
    for _ in budget.within(module.train(config, task, team)):
        while len(rows) <= EVALUATIONS and budget.spent >= CPU_S * len(rows) / EVALUATIONS:
            measure()
    return rows


def read() -> list[dict[str, Any]]:
    """All rows so far, numbers as numbers."""
    return [{k: v if k in FIELDS[:2] else float(v) for k, v in row.items()} for row in read_results(ROWS)]


def of(rows: list[dict[str, Any]], env: str, name: str, field: str) -> list[list[float]]:
    """A field over the evaluations, one list for each seed."""
    mine = [row for row in rows if row["env"] == env and row["algorithm"] == name]
    return [
        [row[field] for row in mine if row["seed"] == seed] for seed in sorted({row["seed"] for row in mine})
    ]


def page(rows: list[dict[str, Any]]) -> str:
    """studies/results/learning.html: a chart and a table for each environment."""
    sections = []
    for env in dict.fromkeys(row["env"] for row in rows):
        names = [name for name in SETTINGS if of(rows, env, name, "return")]
        x = [CPU_S * k / EVALUATIONS for k in range(EVALUATIONS + 1)]
        curves = [spread(name, x, of(rows, env, name, "return")) for name in names]
        lines = [
            [name, *ends(of(rows, env, name, "return")), *ends(of(rows, env, name, "metric"))]
            for name in names
        ]
        metric = ENVS[env]["metric"]
        columns = [
            "",
            "return before",
            "after",
            "least",
            "most",
            f"{metric} before",
            "after",
            "least",
            "most",
        ]
        sections.append(section(env, chart(curves, "CPU seconds", "return"), table(columns, lines)))
    how = folded("how it was measured", prose(__doc__.split("\n\n")[2]))
    return report(
        "Learning curves of the tiny model",
        [prose(finding(rows)), *sections, how],
        about="collm · studies/learning.py",
    )


def finding(rows: list[dict[str, Any]]) -> str:
    """What the rows say, in a sentence."""
    runs = {(row["env"], row["algorithm"], row["seed"]): [] for row in rows}
    for row in rows:
        runs[row["env"], row["algorithm"], row["seed"]].append(row["return"])
    better = sum(returns[-1] > returns[0] for returns in runs.values())
    seeds = len({seed for *_, seed in runs})
    return (
        f"{better} of {len(runs)} runs end with a higher return than their warm start had, {seeds} seeds at "
        "most; bands that overlap rank nothing."
    )


def ends(runs: list[list[float]]) -> list[float]:
    """First mean, last mean, least and most of the last, over seeds."""
    last = [values[-1] for values in runs]
    return [sum(values[0] for values in runs) / len(runs), sum(last) / len(last), min(last), max(last)]


def main(envs: list[str]) -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = {(row["env"], row["algorithm"], int(row["seed"])) for row in read()}
    for env, seed in itertools.product(envs or ENVS, SEEDS):
        for name in ENVS[env]["algorithms"]:
            if (env, name, seed) not in done:
                rows = one_run(env, name, seed)
                append_rows(ROWS, rows)
                print(*rows[0].values(), "->", *rows[-1].values(), flush=True)
    (FOLDER / "learning.html").write_text(page(read()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
