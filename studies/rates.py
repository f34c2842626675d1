"""Learning rates of a real language model, by what is trained: adapters (LoRA) or all weights.

    python studies/rates.py        make the rows that are missing

MAGRPO on TLDR-v0, settings of `--preset laptop`, half as many steps, seed 0: what little CPU decides is which
rates move the model within minutes and which break it.  A row is written when its run is done.  COLLM_MODEL
names another model than `smollm2`.  The embedded model's rate is that of studies/learning.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from baselines import magrpo
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.train.presets import preset
from collm_envs import make

ROWS = Path(__file__).parent / "results" / "real" / "rates.csv"
MODEL = os.environ.get("COLLM_MODEL", "smollm2")
ENV, STEPS, PAIRS = "TLDR-v0", 4, 16
RATES = {16: (5e-4, 5e-6, 1e-4, 2e-3), 0: (2e-5, 5e-6, 1e-4)}
"""LoRA's rank (0: all weights) -> rates"""


def row_of(rank: int, lr: float) -> dict[str, float | int]:
    """Train once; returns before and after, and the CPU seconds of the steps."""
    filled = preset("magrpo", ENV, {"model", "lr", "lora_rank", "steps"}, "laptop")
    config = magrpo.Config(env=ENV, model=MODEL, lora_rank=rank, lr=lr, steps=STEPS, **filled)
    task = make(ENV, **config.env_kwargs).task
    team = magrpo.team(config, task)

    def measure() -> dict[str, float]:
        return rollout_metrics(play(task, eval_starts(task, PAIRS), team.policies, "rates"))

    before, budget = measure(), Budget(float("inf"))
    for _ in budget.within(magrpo.train(config, task, team)):
        pass
    after = measure()
    return {
        "lora_rank": rank,
        "lr": lr,
        "steps": STEPS,
        "before": round(before["return"], 4),
        "after": round(after["return"], 4),
        "closed": round(after["closed"], 4),
        "cpu_s": round(budget.spent, 1),
    }


def main() -> None:
    torch.set_num_threads(1)
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    for rank, rates in RATES.items():
        for lr in rates:
            done = {(int(row["lora_rank"]), float(row["lr"])) for row in read_results(ROWS)}
            if (rank, lr) not in done:
                row = row_of(rank, lr)
                append_rows(ROWS, [row])
                print(row, flush=True)


if __name__ == "__main__":
    main()
