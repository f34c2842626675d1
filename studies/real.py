"""A real language model on the tasks of writing: every row of the table, the same number of texts for each.

    python studies/real.py [ENV/ROW/SEED ...]    make the runs that are missing (of these), then rows and page

Runs are those of `collm real` (SmolLM2-135M-Instruct, LoRA, the settings of `--preset laptop`): 8 steps of 8
episodes, on TLDR-v1 6 of 16; on ArXiv-v0, which `collm real` leaves out since its texts are long, 5 of 8,
groups of 8, a learning rate of 2e-4, evaluated on 8 episodes. A lone agent writes both texts and has twice
the limit. Runs come in order of weight and the script can be stopped any time: a run goes on from its last
checkpoint, and of a finished one settings, evaluations, steps and some texts are in studies/results/real/.
In one turn MA-REINFORCE with its leave-one-out baseline has MAGRPO's advantages times 4/3, which AdamW takes
away: its three seeds end in the same evaluations. Rows of prompts alone are studies/prompted.py's.
COLLM_MODEL names another model than `smollm2`.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from baselines.cli import real
from baselines.cli.train import read
from baselines.runs import run, samples
from baselines.runs.budget import read_results
from baselines.runs.logs import read_log
from collm_envs import make_task
from collm_envs.evaluation.stats import interval
from collm_envs.pages.report import prose, report, section, table
from collm_envs.record import Record

RESULTS = Path(__file__).parent / "results" / "real"
RUNS = Path("runs/real-study")
MODEL = os.environ.get("COLLM_MODEL", "smollm2")
SEEDS, MORE_SEEDS = (0, 1, 2), (3, 4)
"""of all rows, and of the two rewards on the same posts"""
FIRST, LATER = ("MAGRPO", "CoLLM-CC"), ("GRPO", "AC", "CoLLM-DC")
SAME_POSTS = "TLDR-v0-same-posts"
CELLS = [
    *((env, row, seed) for seed in SEEDS for env in ("TLDR-v0", "TLDR-v1") for row in FIRST),
    *((SAME_POSTS, "MAGRPO", seed) for seed in SEEDS),
    *((env, row, seed) for env in ("TLDR-v0", "TLDR-v1") for seed in SEEDS for row in LATER),
    *(("TLDR-v0", "MA-REINFORCE", seed) for seed in SEEDS),
    *((env, "MAGRPO", seed) for seed in MORE_SEEDS for env in (SAME_POSTS, "TLDR-v1")),
    *(("ArXiv-v0", row, seed) for seed in SEEDS for row in (*FIRST, *LATER)),
]
PROMPTED = RESULTS / "prompted.csv"
ITEMS = {"TLDR-v0": 2, "TLDR-v1": 8, SAME_POSTS: 8, "ArXiv-v0": 2}
"""environment -> posts or abstracts whose texts before and after are kept"""


def make_run(env: str, row: str, seed: int) -> None:
    """Train one cell, unless its numbers are there, and keep them."""
    kept = real.folder(RESULTS, env, row, seed)
    if kept.is_dir():
        return
    if warm_started(env):
        real.prepare(RUNS, MODEL)
        shutil.copytree(RUNS / real.UNTRAINED, RESULTS / real.UNTRAINED, dirs_exist_ok=True)
    keep(line_of(env, row, seed), kept, ITEMS[env])
    print(env, row, seed, *real.cells(kept), flush=True)


def warm_started(env: str) -> bool:
    """Whether the runs on an environment begin with a warm start."""
    return env in ("TLDR-v1", SAME_POSTS)


def line_of(env: str, row: str, seed: int) -> list[str]:
    """What follows `collm train` for a cell."""
    if env != SAME_POSTS:
        return real.line_of(env, row, seed, RUNS, MODEL)
    line = real.line_of("TLDR-v1", row, seed, RUNS, MODEL)
    line[line.index("--env") + 1] = "TLDR-v0"
    line[line.index("--out") + 1] = str(real.folder(RUNS, env, row, seed))
    return line


def keep(line: list[str], kept: Path, items: int = 2) -> None:
    """Make the run of `collm train LINE`; keep settings, numbers and texts on `items` items in `kept`."""
    out = run.finished(line[0], read(line[0], line[1:]))
    draft = kept.with_name(f".{kept.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in ("config.json", "eval.jsonl", "metrics.jsonl"):
        shutil.copy(out / name, draft / name)
    texts = samples.read_samples(out)
    with (draft / samples.FILE).open("w", encoding="utf-8") as file:
        for step in (min(texts), max(texts)):
            for record in texts[step][:items]:
                file.write(json.dumps({"step": step, "record": asdict(record)}) + "\n")
    draft.rename(kept)
    shutil.rmtree(out)  # its checkpoints and adapters: 100 MB


def finished() -> dict[tuple[str, str], dict[int, Path]]:
    """{(environment, row): {seed: folder}} of all runs that are kept, in the order of `CELLS`."""
    runs: dict[tuple[str, str], dict[int, Path]] = {}
    for env, row, seed in CELLS:
        if (kept := real.folder(RESULTS, env, row, seed)).is_dir():
            runs.setdefault((env, row), {})[seed] = kept
    return runs


def write_rows(runs: dict[tuple[str, str], dict[int, Path]]) -> None:
    """studies/results/real/rows.csv: an evaluation a line."""
    columns = ["env", "row", "seed", "step", "return", "closed", "tokens", "cpu_s"]
    with (RESULTS / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for (env, row), folders in runs.items():
            for seed, path in folders.items():
                steps = read_log(path / "metrics.jsonl")
                for line in read_log(path / "eval.jsonl"):
                    past = [step for step in steps if step["step"] <= line["step"]]
                    cost = [round(sum(step[name] for step in past), 1) for name in ("tokens", "cpu_s")]
                    earned = round(line["return"], 4), round(line["closed"], 4)
                    writer.writerow([env, row, seed, line["step"], *earned, *cost])


def page(runs: dict[tuple[str, str], dict[int, Path]]) -> str:
    """studies/results/real/index.html: for each environment a table over seeds, curves and texts."""
    sections = []
    for env in dict.fromkeys(env for env, _ in runs):
        mine = {row: list(folders.values()) for (name, row), folders in runs.items() if name == env}
        first = real.untrained(RESULTS) if env == "TLDR-v1" else []
        shown = real.section_of(env.removesuffix("-same-posts"), mine, first)
        facts = "" if env == "ArXiv-v0" else crossed(env, mine)
        sections.append(section(env, overview(env, mine), facts, *shown))
    about = prose((__doc__ or "").split("\n\n")[2])
    parts = [about, contrast(runs), *sections]
    return report("A real language model, row by row", parts, about="collm · studies/real.py")


def overview(env: str, runs: Mapping[str, Sequence[Path]]) -> str:
    """The environment's table: prompts alone, then every trained row over its seeds."""
    lines = []
    prompted = [row for row in read_results(PROMPTED) if row["env"] == env]
    for row in prompted:
        mean, low, high = (f"{float(row[name]):.2f}" for name in ("mean", "low", "high"))
        lines.append([f"prompts alone, {row['row']}", "", "", mean, f"{low} to {high}", "", ""])
    for name, paths in runs.items():
        before, after = ([read_log(path / "eval.jsonl")[at]["return"] for path in paths] for at in (0, -1))
        change = [b - a for a, b in zip(before, after, strict=True)]
        spent = fmean(sum(step["cpu_s"] for step in read_log(path / "metrics.jsonl")) for path in paths)
        cells = [f"{fmean(before):.2f}", f"{fmean(after):.2f}", between(after), between(change, "+")]
        lines.append([name, str(len(paths)), *cells, f"{spent / 60:.1f}"])
    columns = ["", "seeds", "return before", "after", "95 % interval", "change, 95 %", "CPU minutes a run"]
    note = "Intervals are over seeds."
    if prompted:
        note += " Prompts alone are the untrained model; their intervals are over episodes."
    if warm_started(env):
        note += (
            " Trained rows begin with a warm start of two agents' texts; two agents train one adapter, each "
            "by what its text adds (--shared --credit difference), which is not the paper's setting."
        )
    return table(columns, lines) + prose(note)


def between(values: Sequence[float], sign: str = "") -> str:
    """The 95 % interval of a mean in words; "" for a single value.  sign: "+" writes that of positive ends"""
    if len(values) < 2:
        return ""
    return " to ".join(f"{end:{sign}.2f}" for end in interval(np.array(values)))


def contrast(runs: dict[tuple[str, str], dict[int, Path]]) -> str:
    """What MAGRPO changes on the same posts under the reward of TLDR-v0 and under that of TLDR-v1."""
    lines = []
    for env in (SAME_POSTS, "TLDR-v1"):
        paths = [*runs.get((env, "MAGRPO"), {}).values()]
        if len(paths) < 2:
            return ""
        earned = [[read_log(path / "eval.jsonl")[at]["return"] for path in paths] for at in (0, -1)]
        texts = [samples.read_samples(path) for path in paths]
        facts = [[factual(env, kept[pick(kept)]) for kept in texts] for pick in (min, max)]
        cells = [f"{fmean(of_all[0]):.2f} → {fmean(of_all[1]):.2f}" for of_all in (earned, facts)]
        change = between([after - before for before, after in zip(*facts, strict=True)], "+")
        lines.append([f"reward of {env.removesuffix('-same-posts')}", str(len(paths)), *cells, change])
    columns = ["MAGRPO with the", "seeds", "return", "facts, of 3", "change of facts, 95 %"]
    note = (
        "The same model, warm start, posts, settings and seeds; only the task, and so what is paid, differs. "
        "Facts: what the texts earn on TLDR-v1, on posts that were not trained on."
    )
    return section("Two rewards, the same posts", prose(note), table(columns, lines))


def crossed(env: str, runs: Mapping[str, Sequence[Path]]) -> str:
    """A table of what the kept texts earn on TLDR-v1: whether they hold what their post says."""
    lines = []
    for row, paths in runs.items():
        kept = [samples.read_samples(path) for path in paths]
        ends = [[texts[pick(texts)] for texts in kept] for pick in (min, max)]
        values = [
            fmean(factual(env, texts, shift) for texts in of_seeds)
            for of_seeds, shift in ((ends[0], 0), (ends[1], 0), (ends[1], 1))
        ]
        lines.append([row, *values])
    columns = ["scored by TLDR-v1: the kept texts", "before", "after", "after, read as about another post"]
    return table(columns, lines, digits=2)


def factual(env: str, texts: Sequence[Record], shift: int = 0) -> float:
    """What texts earn on TLDR-v1, on the mean; with a shift, as if each were about another of the posts."""
    task = make_task("TLDR-v1", num_agents=len(texts[0].turns[-1]["texts"]))
    by_id = {item.id: item for item in task.items("eval")}
    numbers = [int(record.item.split("/")[1]) for record in texts]
    if env != "TLDR-v0":  # there items are numbered as `real.POSTS` lists them
        numbers = [real.POSTS["eval"][k] for k in numbers]
    earned = 0.0
    for k, record in enumerate(texts):
        about = by_id[f"eval/{numbers[(k + shift) % len(texts)]}"]
        played = task.play(task.start(about, 0), record.turns[-1]["texts"])
        earned += task.score(played).reward / len(texts)
    return earned


def main(chosen: list[str]) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    RUNS.mkdir(parents=True, exist_ok=True)
    for env, row, seed in CELLS:
        if not chosen or f"{env}/{row}/{seed}" in chosen:
            make_run(env, row, seed)
            write_rows(finished())
            (RESULTS / "index.html").write_text(page(finished()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
