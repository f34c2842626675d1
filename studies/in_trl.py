"""TRL's GRPO raises the return of StrBuild with the tiny model, through both hooks of its adapter.

    python studies/in_trl.py        make the runs that are missing, one after the other, and the figure anew

`rollout`: one model on both seats.  `calls`: one seat, whose replies are taken for tool calls, beside the
scripted player `noisy`.  A row of studies/results/trl.csv is a step: the mean return of the texts it learns
from.  A run's rows are written together when it is done, so the script can be stopped at any time.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from matplotlib.figure import Figure
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from baselines.lm.tiny import model as tiny
from baselines.runs.budget import append_rows, read_results
from baselines.train.presets import ENVS
from collm_envs.adapters.trl import environment_factory, plain_replies, rollout

FOLDER = Path(__file__).parent
ROWS, PICTURE = FOLDER / "results" / "trl.csv", FOLDER.parent / "docs" / "trl.png"
FIELDS = ("hook", "seed", "step", "return", "cpu_s")
SEEDS = (0, 1, 2)
STEPS, EPISODES, GROUP = 30, 32, 8
WORDS = ENVS["StrBuild-v0"].env_kwargs
HOOKS = {"rollout": "rollout_func, both seats", "calls": "environment_factory, one seat"}


def trainer(hook: str, seed: int, folder: str, out: str) -> GRPOTrainer:
    """A trainer that plays EPISODES episodes a step."""
    seats = 2 if hook == "rollout" else 1
    config = GRPOConfig(
        out,
        use_cpu=True,
        bf16=False,
        seed=seed,
        max_steps=STEPS,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        per_device_train_batch_size=EPISODES * seats,
        num_generations=GROUP,
        max_completion_length=100,
        max_tool_calling_iterations=1,
        shuffle_dataset=False,
        gradient_checkpointing=False,
        temperature=1.0,
        top_k=0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    if hook == "rollout":
        rollout_func, rows, reward = rollout("StrBuild-v0", **WORDS)
        return GRPOTrainer(folder, reward, args=config, train_dataset=rows, rollout_func=rollout_func)
    rows = [{"prompt": [{"role": "user", "content": ""}], "seed": k} for k in range(STEPS * EPISODES)]
    return GRPOTrainer(
        folder,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=plain_replies(AutoTokenizer.from_pretrained(folder)),
        environment_factory=environment_factory("StrBuild-v0", partners="noisy", **WORDS),
    )


def one_run(hook: str, seed: int) -> list[dict[str, Any]]:
    """The rows of one run."""
    folder = str(tiny.folder("StrBuild-v0", WORDS))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as out:
        run = trainer(hook, seed, folder, out)
        run.train()
    rewards = [line["reward"] for line in run.state.log_history if "reward" in line]
    spent = round(time.process_time() - start, 1)
    return [dict(zip(FIELDS, (hook, seed, k + 1, r, spent), strict=True)) for k, r in enumerate(rewards)]


def draw(rows: list[dict[str, str]]) -> None:
    """docs/trl.png: the mean over seeds of each hook, and the seeds."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for k, (hook, label) in enumerate(HOOKS.items()):
        runs = [
            [float(row["return"]) for row in rows if (row["hook"], row["seed"]) == (hook, str(seed))]
            for seed in SEEDS
        ]
        runs = [run for run in runs if run]
        steps = range(1, STEPS + 1)
        for run in runs:
            axes.plot(steps, run, color=f"C{k}", alpha=0.25, linewidth=1)
        if runs:
            mean = [fmean(column) for column in zip(*runs, strict=True)]
            axes.plot(steps, mean, color=f"C{k}", label=label)
    axes.set(xlabel=f"step of {EPISODES} episodes", ylabel="return of StrBuild-v0")
    axes.legend(loc="lower right")
    figure.savefig(PICTURE, dpi=110, metadata={"Software": None})


def main() -> None:
    torch.set_num_threads(1)
    done = {(row["hook"], row["seed"]) for row in read_results(ROWS)}
    for seed in SEEDS:
        for hook in HOOKS:
            if (hook, str(seed)) not in done:
                rows = one_run(hook, seed)
                append_rows(ROWS, rows)
                print(hook, seed, [round(row["return"], 2) for row in rows], rows[0]["cpu_s"], flush=True)
    draw(read_results(ROWS))


if __name__ == "__main__":
    main()
