"""The same tiny models trained by CoMLRL 1.4.3, through its adapter, and by `magrpo` and `maac`.

    python studies/against_comlrl.py [SEED ...]     make the runs that are missing, then the page anew

Both sides begin with one folder of weights, play the same items with the same episode seeds in the same
order, read the same self-contained prompts, sample at temperature 1 from the whole vocabulary, and step
AdamW at one rate once a batch, with advantages divided by their deviation and without clipping.  A row of
studies/results/comlrl.csv is an evaluation by our own code, on the same episodes for both.  What remains
different is CoMLRL's arithmetic.  MENDS takes its faults away one after the other, here and in
studies/results/comlrl-gradients.csv, where the gradients of both are compared on the same texts:

- padding: MAGRPO trains every padding token behind a text as if the agent had written it;
- last token: MAGRPO's loss lacks the last token of every text, which is its end;
- one step: a batch of two turns is two steps, the second one with weights that have changed since.

MAAC has none of the first two; it steps its central critic once for each agent, which `critic_epochs` of ours
equals.  Eight episodes a step and a critic that begins at 0 are too little for lr 1e-3 where there are two
turns: both sides lose what the warm start knew.  So that case has lr 3e-4 as well.

A run's rows are written together when it is done, so the script can be stopped at any time.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from comlrl_sides import TEXT_MENDS, Case, gradients, ours, theirs

from baselines.lm.tiny import model as tiny
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs.budget import append_rows, read_results
from baselines.train.presets import ENVS
from collm_envs import make
from collm_envs.pages.report import chart, prose, report, section, spread, table

FOLDER = Path(__file__).parent / "results"
ROWS, GRADIENTS, PAGE = (FOLDER / f"comlrl{end}" for end in (".csv", "-gradients.csv", ".html"))
FIELDS = ("case", "trainer", "side", "seed", "step", "return", "tokens", "cpu_s")
GRADIENT_FIELDS = ("case", "side", "cosine", "length")
"""of a gradient: cosine to ours, length by the length of ours"""
SEEDS = (0, 1, 2)
EVAL_EPISODES = 64
WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "self_contained": True}
TALK = {"prompts": "terse", "talk": 1, "self_contained": True}
STEPS = {"MAGRPO": 8, "MAAC": 6}
CASES = {
    "StrBuild-v0, one turn": Case("StrBuild-v0", {**WORDS, "max_turns": 1}, 100, 1, 8, 4, 16, STEPS),
    "StrBuild-v0, two turns": Case("StrBuild-v0", {**WORDS, "max_turns": 2}, 100, 2, 4, 2, 8, STEPS),
    "TLDR-v0, two turns": Case("TLDR-v0", TALK, 64, 2, 4, 2, 8, STEPS, 300),
    "StrBuild-v0, two turns, lr 3e-4": Case(
        "StrBuild-v0", {**WORDS, "max_turns": 2}, 100, 2, 4, 2, 8, {"MAAC": 6}, lr=3e-4
    ),
}
"""name -> what is trained; at lr 1e-3 MAAC unlearns StrBuild in two turns, on both sides"""
ONE_GROUP = {
    "StrBuild-v0, one turn": CASES["StrBuild-v0, one turn"],
    "TLDR-v0, one turn": Case(
        "TLDR-v0", {"prompts": "terse", "self_contained": True}, 64, 1, 8, 4, 16, STEPS
    ),
}
"""whose gradients are compared: texts of one length, and of many"""
OURS, PEER = "ours", "CoMLRL"
MENDS = {PEER: (), "no padding": ("padding",), "all mended": (*TEXT_MENDS, "one step")}
"""side -> the faults of CoMLRL's MAGRPO that are taken away"""
SIDES = {"MAGRPO": (OURS, *MENDS), "MAAC": (OURS, PEER)}
RUNS = [
    (trainer, name, side)
    for trainer, sides in SIDES.items()
    for name, case in CASES.items()
    for side in sides
    if trainer in case.steps
]
RUNS = [run for run in RUNS if run[2] != "no padding" or CASES[run[1]].turns == 1]
"""(trainer, case, side) of a seed; "no padding" shows on one turn what each fault of the text costs"""


def one_run(name: str, trainer: str, side: str, seed: int) -> list[dict[str, Any]]:
    """The rows of one run: before the first step and after every second."""
    case = CASES[name]
    folder = str(tiny.folder(case.env, case.kwargs, "last turn", steps=case.warm_start))
    task = make(case.env, **case.kwargs).task
    begun = (
        ours(case, trainer, seed, folder)
        if side == OURS
        else theirs(case, trainer, seed, folder, MENDS[side])
    )
    rows, spent, start = [], 0.0, time.process_time()
    for step, agents in enumerate(begun):
        spent += time.process_time() - start
        if step % 2 == 0:
            seen = rollout_metrics(play(task, eval_starts(task, EVAL_EPISODES), agents, "study"))
            values = name, trainer, side, seed, step, seen["return"], seen["text_tokens"], round(spent, 1)
            rows.append(dict(zip(FIELDS, values, strict=True)))
        start = time.process_time()
    return rows


def page(rows: list[dict[str, str]], compared: list[dict[str, str]]) -> str:
    """studies/results/comlrl.html: the gradients, then a chart and a table for each trainer and task."""
    lines: list[list[Any]] = [
        [f"{row['case']}: {row['side']}", float(row["cosine"]), float(row["length"])] for row in compared
    ]
    columns = ["", "cosine to ours", "length by ours"]
    sections = [section("MAGRPO's gradient for one group of texts", table(columns, lines, digits=4))]
    for trainer, name in dict.fromkeys(run[:2] for run in RUNS):
        curves, lines = [], []
        for side in [run[2] for run in RUNS if run[:2] == (trainer, name)]:
            if runs := runs_of(rows, trainer, name, side):
                steps = [2.0 * k for k in range(len(runs[0]))]
                curves.append(spread(side, steps, [[step["return"] for step in run] for run in runs]))
                last = [run[-1]["return"] for run in runs]
                beside = [fmean(run[-1][field] for run in runs) for field in ("tokens", "cpu_s")]
                before = runs[0][0]["return"]
                lines.append([side, float(len(runs)), before, fmean(last), min(last), max(last), *beside])
        if lines:
            columns = ["", "seeds", "before", "after", "least", "most", "tokens of a text", "CPU seconds"]
            drawn = chart(curves, "batches", "return of evaluation episodes")
            sections.append(section(f"{trainer} on {name}", drawn, table(columns, lines, digits=2)))
    notes = [prose(part) for part in (__doc__ or "").split("\n\n")[2:]]
    about = "collm · studies/against_comlrl.py"
    return report("CoMLRL and ours, side by side", [*notes, *sections], about=about)


def runs_of(rows: list[dict[str, str]], *run: str) -> list[list[dict[str, float]]]:
    """For each seed, the evaluations of the runs of (trainer, case, side)."""
    by_seed: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        if (row["trainer"], row["case"], row["side"]) == run:
            numbers = {field: float(row[field]) for field in FIELDS[4:]}
            by_seed.setdefault(row["seed"], []).append(numbers)
    return list(by_seed.values())


def main(seeds: Sequence[int]) -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    done = {tuple(row[field] for field in FIELDS[:4]) for row in read_results(ROWS)}
    for seed, (trainer, name, side) in itertools.product(seeds, RUNS):
        if (name, trainer, side, str(seed)) not in done:
            rows = one_run(name, trainer, side, seed)
            append_rows(ROWS, rows)
            print(*rows[0].values(), "->", *rows[-1].values(), flush=True)
    if not GRADIENTS.exists():
        for name, case in ONE_GROUP.items():
            compared = gradients(case, str(tiny.folder(case.env, ENVS[case.env].env_kwargs)))
            append_rows(
                GRADIENTS, [dict(zip(GRADIENT_FIELDS, (name, *row), strict=True)) for row in compared]
            )
    PAGE.write_text(page(read_results(ROWS), read_results(GRADIENTS)), encoding="utf-8")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
