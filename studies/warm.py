"""A real language model on building and code, whose form it does not know: a warm start, then MAGRPO.

    python studies/warm.py [ENV ...]    make the runs that are missing (of these), then rows and page

SmolLM2-135M-Instruct writes no command that counts and hardly a function that runs, so that every text of a
group earns the same and nothing can be learned.  `collm warm-start` shows it a scripted player's texts on
the items to train on, once for all seeds; then come three seeds of MAGRPO with `--preset laptop`.  All
numbers are on items that neither has seen.  A run goes on where it was stopped.  COLLM_MODEL names another
model.
"""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import torch
from real import MODEL, SEEDS, between, keep

from baselines.cli import evaluate, learned
from baselines.cli.real import sampled_as_in_runs
from baselines.cli.warm_start import warm_start
from baselines.runs import samples
from baselines.runs.logs import read_log
from baselines.train.presets import PRESETS
from collm_envs.pages.report import chart, code, prose, report, section, spread, table
from collm_envs.record import Record
from collm_envs.record import read as read_records

RESULTS = Path(__file__).parent / "results" / "real" / "warm"
RUNS = Path("runs/warm-study")


class Setting(NamedTuple):
    """How an environment is taught."""

    env_kwargs: Mapping[str, Any]
    tokens: int
    """limit of a text"""
    warm: Mapping[str, str | float]
    """settings of the warm start, the player whose texts it learns among them"""
    train: Mapping[str, float]
    """settings of training beside those of the preset"""
    paid: str
    """what the reward pays"""


SETTINGS = {
    "StrBuild-v0": Setting(
        {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 60, "n_eval": 16, "max_turns": 1},
        48,
        {"from": "noisy", "steps": 40, "batch": 4, "lr": 1e-3},
        {"steps": 6, "eval_every": 3, "episodes": 16, "group": 8, "lr": 1e-4},
        "Words of one or two letters, each of five by five cells, drawn row by row.",
    ),
    "CoopHE-v0": Setting(
        {"prompts": "terse", "max_turns": 1},
        64,
        {"from": "expert", "steps": 12, "batch": 4, "lr": 1e-3},
        {"steps": 4, "eval_every": 4, "eval_episodes": 8},
        "One agent writes the helper, the other the function that is tested.",
    ),
    "HouseBuild-v0": Setting(
        {"prompts": "terse", "houses": "generated", "size": [4, 5, 5], "n": 60, "n_eval": 16, "max_turns": 1},
        96,
        {"from": "noisy", "steps": 40, "batch": 4, "lr": 1e-3},
        {"steps": 6, "eval_every": 3, "episodes": 16, "group": 8, "lr": 1e-4},
        "Houses of boxes, written box by box; an empty site earns the share of its air.",
    ),
}


def untrained(env: str) -> Path:
    """The folder with what the untrained model writes on the runs' evaluation episodes."""
    setting, out = SETTINGS[env], RESULTS / f"{env}-untrained"
    if not (out / "table.json").exists():
        episodes = {**PRESETS["laptop"].always, **setting.train}["eval_episodes"]
        policy = f"hf:{MODEL}?{sampled_as_in_runs(setting.tokens)}"
        line = [env, "--env-kwargs", json.dumps(setting.env_kwargs), "--policy", policy]
        evaluate.evaluate([*line, "--episodes", str(episodes), "--out", str(out)])
    return out


def warm_line(env: str) -> list[str]:
    """What follows `collm warm-start`."""
    setting = SETTINGS[env]
    line = ["--env", env, "--env-kwargs", json.dumps(setting.env_kwargs), "--model", MODEL]
    return [*line, *flags(setting.warm), "--out", str(RUNS / f"{env}-warm")]


def train_line(env: str, seed: int) -> list[str]:
    """What follows `collm train`."""
    setting = SETTINGS[env]
    line = ["magrpo", "--preset", "laptop", "--env", env, "--env-kwargs", json.dumps(setting.env_kwargs)]
    given = {"model": RUNS / f"{env}-warm", "seed": seed, "max-new-tokens": setting.tokens, **setting.train}
    return [*line, *flags(given), "--out", str(RUNS / f"{env}-{seed}")]


def flags(given: Mapping[str, Any]) -> list[str]:
    """The settings as flags of a command line."""
    return [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def make(env: str) -> None:
    """The runs of an environment that are missing."""
    RUNS.mkdir(parents=True, exist_ok=True)
    untrained(env)
    for seed in SEEDS:
        kept = RESULTS / f"{env}-{seed}"
        if not kept.is_dir():
            if not (RUNS / f"{env}-warm").is_dir():
                warm_start(warm_line(env))
            keep(train_line(env, seed), kept)
            print(env, seed, *(f"{line['return']:.2f}" for line in read_log(kept / "eval.jsonl")), flush=True)


def finished() -> dict[str, list[Path]]:
    """{environment: folders of its seeds} of all runs that are kept."""
    runs = {env: [RESULTS / f"{env}-{seed}" for seed in SEEDS] for env in SETTINGS}
    kept = {env: [path for path in paths if path.is_dir()] for env, paths in runs.items()}
    return {env: paths for env, paths in kept.items() if paths}


def first_records(env: str) -> list[Record]:
    """The untrained model's episodes."""
    return list(read_records(RESULTS / f"{env}-untrained" / "records.jsonl"))


def earned(records: list[Record]) -> float:
    """Mean return."""
    return fmean(sum(turn["reward"] for turn in record.turns) for record in records)


def write_rows() -> None:
    """studies/results/real/warm/rows.csv: an evaluation a line."""
    with (RESULTS / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["env", "seed", "step", "return", "closed", "cpu_s"])
        for env, paths in finished().items():
            writer.writerow([env, "", "untrained", round(earned(first_records(env)), 4), "", ""])
            for path in paths:
                steps = read_log(path / "metrics.jsonl")
                for line in read_log(path / "eval.jsonl"):
                    cost = sum(step["cpu_s"] for step in steps if step["step"] <= line["step"])
                    numbers = round(line["return"], 4), round(line["closed"], 4), round(cost, 1)
                    writer.writerow([env, path.name[-1], line["step"], *numbers])


def section_of(env: str, paths: list[Path]) -> str:
    """The part of the page about an environment: numbers over seeds, curves, texts, commands."""
    setting = SETTINGS[env]
    first, evals = first_records(env), [read_log(path / "eval.jsonl") for path in paths]
    rows: list[list[str | float]] = [["untrained", earned(first), ""]]
    for stage, at in {"after the warm start": 0, "after MAGRPO": -1}.items():
        values = [lines[at]["return"] for lines in evals]
        rows.append([stage, fmean(values), between(values)])
    steps = [line["step"] for line in evals[0]]
    curve = spread("MAGRPO", steps, [[line["return"] for line in lines] for lines in evals])
    commands = [["warm-start", *warm_line(env)], ["train", *train_line(env, 0)]]
    return section(
        env,
        prose(setting.paid),
        table(["", f"return, {len(paths)} seeds", "95 % interval"], rows, digits=2),
        chart([curve], "optimizer steps", "return on items of no training", {"untrained": earned(first)}),
        prose("The same items, written by the untrained model, after the warm start and after training:"),
        learned.texts(samples.read_samples(paths[0]), first),
        code("\n".join(shlex.join(["collm", *line]) for line in commands)),
    )


def main(chosen: list[str]) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    for env in chosen or SETTINGS:
        make(env)
        write_rows()
        about = prose((__doc__ or "").split("\n\n")[2])
        sections = [section_of(name, paths) for name, paths in finished().items()]
        page = report(
            "A real language model after a warm start", [about, *sections], "collm · studies/warm.py"
        )
        (RESULTS / "index.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
