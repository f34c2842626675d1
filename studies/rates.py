"""Learning rates of the presets: a real language model's adapters (LoRA), and the embedded model's weights.

    python studies/rates.py        make the rows that are missing

MAGRPO with the settings of `--preset laptop` on TLDR-v0, and with those of the embedded model on StrBuild-v0,
for part of their steps: what little CPU decides is which rates, a factor of four apart, move a model within
minutes and which break it.  A row is written when its run is done.  COLLM_MODEL names another model than
`smollm2`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch

from baselines import magrpo
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs import run
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.train.presets import preset

ROWS = Path(__file__).parent / "results" / "real" / "rates.csv"


class Sweep(NamedTuple):
    """Rates that are tried with a model."""

    preset: str
    env: str
    steps: int
    rates: tuple[float, ...]
    """that of the preset first"""
    seeds: tuple[int, ...]


MODEL = os.environ.get("COLLM_MODEL", "smollm2")
PAIRS = 16
SWEEPS = {
    MODEL: Sweep("laptop", "TLDR-v0", 4, (5e-4, 1e-4, 2e-3), (0, 1)),
    "tiny": Sweep("tiny", "StrBuild-v0", 10, (1e-3, 2.5e-4, 4e-3), (0, 1, 2)),
}
"""model -> what is tried with it"""


def row_of(model: str, lr: float, seed: int) -> dict[str, str | float]:
    """Train once; returns before and after, and the CPU seconds of the steps."""
    sweep = SWEEPS[model]
    given: dict[str, Any] = {"model": model, "lr": lr, "seed": seed, "steps": sweep.steps}
    filled = preset("magrpo", sweep.env, given.keys(), sweep.preset)
    config = magrpo.Config(env=sweep.env, **given, **filled)
    task, team = run.prepare("magrpo", config)

    def measure() -> dict[str, float]:
        return rollout_metrics(play(task, eval_starts(task, PAIRS), team.policies, "rates"))

    before, budget = measure(), Budget(float("inf"))
    for _ in budget.within(magrpo.train(config, task, team)):
        pass
    after = measure()
    return {
        "model": model,
        "env": sweep.env,
        "lr": lr,
        "seed": seed,
        "steps": sweep.steps,
        "before": round(before["return"], 4),
        "after": round(after["return"], 4),
        "closed": round(after["closed"], 4),
        "cpu_s": round(budget.spent, 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    for model, sweep in SWEEPS.items():
        for seed, lr in itertools.product(sweep.seeds, sweep.rates):
            done = {(row["model"], float(row["lr"]), int(row["seed"])) for row in read_results(ROWS)}
            if (model, lr, seed) not in done:
                row = row_of(model, lr, seed)
                append_rows(ROWS, [row])
                print(row, flush=True)


if __name__ == "__main__":
    main()
