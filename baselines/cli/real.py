"""`collm real`: a language model of 135 million parameters learns to write together, before and after.

MAGRPO on TLDR-v1, whose reward reads the post, MAGRPO and CoLLM-CC on TLDR-v0, whose reward never does.  On
TLDR-v1 it begins with a warm start: supervised steps on reference summaries of posts that are not met again.
The same command goes on where it was stopped.  Command lines and sections of a page are also those of the
table of all methods, which has ArXiv-v0 too (studies/real.py).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from baselines.cli import evaluate, learned
from baselines.cli.terminal import Column, console, flags, note, show
from baselines.cli.train import read
from baselines.cli.warm_start import warm_start
from baselines.runs import remarks, run, samples
from baselines.runs.folder import stored_config
from baselines.runs.logs import read_log
from baselines.train.presets import PRESETS
from collm_envs import make_task
from collm_envs.files import write_json
from collm_envs.pages.report import chart, code, prose, report, section, spread, table
from collm_envs.record import Record
from collm_envs.record import read as read_records

POSTS = {
    "train": (84, 87, 17, 95, 78, 72, 42, 49, 40, 25, 74, 90, 9, 68, 19, 58),
    "eval": (25, 17, 7, 28, 21, 3, 12, 22),
}
"""short built-in posts of TLDR-v1, by number: a step reads the whole post"""
TAUGHT = (47, 60, 82, 34, 23, 62, 53, 76)
"""posts of the train split whose references the warm start learns"""
TOKENS: Mapping[str, int] = {"TLDR-v1": 56, "TLDR-v0": 40, "ArXiv-v0": 256}
"""environment -> limit of a text; a lone agent, who writes both, has twice as many.  The headline first"""
KINDS: Mapping[str, tuple[str, ...]] = {
    "MAGRPO": ("magrpo",),
    "CoLLM-CC": ("maac", "--critic", "central", "--lam", "0"),
    "CoLLM-DC": ("maac", "--critic", "decentral", "--lam", "0"),
    "MA-REINFORCE": ("reinforce",),
    "GRPO": ("magrpo",),
    "AC": ("maac", "--lam", "0"),
}
"""row -> its algorithm and the flags that make it this row of the paper's; GRPO and AC have one agent"""
ALONE = ("GRPO", "AC")
FACTUAL = ("--episodes", "16", "--steps", "6", "--eval-every", "3", "--save-every", "3")
TOGETHER = ("--shared", "--credit", "difference")
"""settings on TLDR-v1, where what to write is harder to find than on TLDR-v0: twice the texts a step; two
agents train one adapter, each on what its own text adds to the reward"""
LONG = ("--steps", "5", "--eval-every", "5", "--eval-episodes", "8", "--save-every", "1", "--lr", "2e-4")
"""settings on ArXiv-v0, whose prompts and texts are long"""
GROUP = 8
"""texts for a history on TLDR-v1 and ArXiv-v0, for MAGRPO and GRPO"""
WARM_START, WARM_STEPS, UNTRAINED = "warm-start", 12, "untrained"
"""folders beside those of the runs, and the warm start's supervised steps"""
DEMO: Mapping[str, Sequence[str]] = {"TLDR-v1": ("MAGRPO",), "TLDR-v0": ("MAGRPO", "CoLLM-CC")}
"""environment -> the rows of `collm real`; a critic that reads whole posts takes as long as all the others"""
PAID = {
    "TLDR-v1": "Its reward pays facts of the post, written down by hand, told in own words.",
    "TLDR-v0": "Its reward pays lengths, connectives and words in common, and never reads the post: read the "
    "texts below the curve before you call it learning to summarise.",
    "ArXiv-v0": "Its reward pays two paragraphs of 128 to 256 words of like length that share some words and "
    "hold transition words; nothing of it asks whether what they say is true.",
}


@dataclass
class Real:
    """A real language model learns to write together, before and after: MAGRPO twice, CoLLM-CC once."""

    model: str = "smollm2"
    """a name of `collm models`, a folder, a GGUF file or a hub name"""
    seed: int = 0
    """of all runs"""
    out: Path = Path("runs/real")
    """folder for the runs and report.html"""


def main(args: Sequence[str]) -> None:
    """Run the command line after `collm real`: the runs that are missing, a table, report.html."""
    settings = flags(Real, args, "collm real")
    settings.out.mkdir(parents=True, exist_ok=True)
    lines = {
        (env, row): line_of(env, row, settings.seed, settings.out, settings.model)
        for env, rows in DEMO.items()
        for row in rows
    }
    if "TLDR-v1" in DEMO:
        prepare(settings.out, settings.model)
    for (env, row), line in lines.items():
        print(f"{row} on {env}: {shlex.join(['collm', 'train', *line])}", flush=True)
        run.finished(line[0], read(line[0], line[1:]))
    out = console()
    columns = [Column(name, align="right" if k > 1 else "left") for k, name in enumerate(COLUMNS)]
    show(out, columns, [[*key, *cells(folder(settings.out, *key, settings.seed))] for key in lines])
    target = settings.out / "report.html"
    target.write_text(page(lines, settings.out, settings.seed), encoding="utf-8")
    note(out, f"curves, texts before and after, commands: {target}")


def prepare(out: Path, model: str) -> None:
    """The warm start of TLDR-v1 and what the untrained model writes there, where they are missing."""
    if not (out / WARM_START).is_dir():
        warm_start(warm_start_line(out, model))
    if not (out / UNTRAINED / "table.json").exists():
        evaluate.evaluate(untrained_line(out, model))


def warm_start_line(out: Path, model: str) -> list[str]:
    """What follows `collm warm-start`; writes the posts that it reads."""
    taught = json.dumps({"items": str(posts(out, taught=True))})
    line = ["--env", "TLDR-v1", "--env-kwargs", taught, "--model", model]
    return [*line, "--from", "expert", "--steps", str(WARM_STEPS), "--out", str(out / WARM_START)]


def sampled_as_in_runs(tokens: int) -> str:
    """Settings of an `hf:` policy that samples as runs of `--preset laptop` do, texts of at most `tokens`."""
    laptop = PRESETS["laptop"].always
    return f"temperature={laptop['temperature']}&top_p={laptop['top_p']}&max_new_tokens={tokens}"


def untrained_line(out: Path, model: str) -> list[str]:
    """What follows `collm eval` for the runs' own evaluation episodes, played by the untrained model."""
    laptop = PRESETS["laptop"].always
    line = [
        "TLDR-v1",
        "--env-kwargs",
        json.dumps({"items": str(posts(out))}),
        "--policy",
        f"hf:{model}?{sampled_as_in_runs(TOKENS['TLDR-v1'])}",
    ]
    return [*line, "--episodes", str(laptop["eval_episodes"]), "--out", str(out / UNTRAINED)]


def folder(out: Path, env: str, row: str, seed: int) -> Path:
    """The folder of a run."""
    return out / f"{env}-{row}-{seed}"


def line_of(env: str, row: str, seed: int, out: Path, model: str) -> list[str]:
    """What follows `collm train` for a row of the table on an environment; writes the posts that it reads."""
    tokens = TOKENS[env] * (2 if row in ALONE else 1)
    kwargs: dict[str, Any] = {"prompts": "terse"} if env == "TLDR-v0" else {}
    kwargs |= {"items": str(posts(out))} if env == "TLDR-v1" else {}
    kwargs |= {"num_agents": 1} if row in ALONE else {}
    begun = str(out / WARM_START) if env == "TLDR-v1" else model
    flags_given = {"env": env, "model": begun, "seed": seed, "max-new-tokens": tokens}
    line = [*KINDS[row], "--preset", "laptop"]
    for name, value in flags_given.items():
        line += [f"--{name}", str(value)]
    if env == "TLDR-v1":
        line += [*FACTUAL, *(() if row in ALONE else TOGETHER)]
    if env == "ArXiv-v0":
        line += LONG
    if env != "TLDR-v0" and KINDS[row] == ("magrpo",):
        line += ["--group", str(GROUP)]
    return [*line, "--env-kwargs", json.dumps(kwargs), "--out", str(folder(out, env, row, seed))]


def posts(out: Path, taught: bool = False) -> Path:
    """The file with `POSTS`, or with `TAUGHT` in place of those to train on; written where it is missing."""
    target = out / ("taught.json" if taught else "posts.json")
    if not target.exists():
        task = make_task("TLDR-v1")
        rows = {}
        for split, chosen in {**POSTS, **({"train": TAUGHT} if taught else {})}.items():
            by_id = {item.id: dict(item.data) for item in task.items(split)}
            rows[split] = [by_id[f"{split}/{number}"] for number in chosen]
        write_json(target, rows)
    return target


COLUMNS = ("environment", "algorithm", "return before", "after", "cut at the limit", "tokens", "CPU s")


def cells(path: Path) -> list[str]:
    """The numbers of a run under `COLUMNS`, the first two left out."""
    evals, steps = read_log(path / "eval.jsonl"), read_log(path / "metrics.jsonl")
    first, last = evals[0], evals[-1]
    cost = sum(step["tokens"] for step in steps), sum(step["cpu_s"] for step in steps)
    return [
        f"{first['return']:.2f}",
        f"{last['return']:.2f}",
        f"{1 - last['closed']:.0%}",
        *(f"{number:.0f}" for number in cost),
    ]


def page(lines: Mapping[tuple[str, str], Sequence[str]], out: Path, seed: int) -> str:
    """The report as one HTML page: for each environment a table, curves, texts before and after."""
    note_on_all = (
        "A language model of 135 million parameters, an adapter (LoRA) for each agent, minutes of a CPU. One "
        "run each, one seed: a demonstration, not a comparison. CPU seconds and tokens are of training."
    )
    parts = [prose(note_on_all)]
    for env in dict.fromkeys(env for env, _ in lines):
        folders = {row: folder(out, env, row, seed) for name, row in lines if name == env}
        first = untrained(out) if env == "TLDR-v1" else []
        parts.append(section(env, *section_of(env, {row: [path] for row, path in folders.items()}, first)))
    model = next(line[line.index("--model") + 1] for (env, _), line in lines.items() if env == "TLDR-v0")
    commands = "\n".join(
        [
            shlex.join(["collm", "warm-start", *warm_start_line(out, model)]),
            *(shlex.join(["collm", "train", *line]) for line in lines.values()),
        ]
    )
    parts.append(section("Again", code(commands), note="the same runs, by hand"))
    return report("Two real language models learn to write together", parts, about="collm · collm real")


def untrained(out: Path) -> list[Record]:
    """The episodes of the untrained model on TLDR-v1."""
    return list(read_records(out / UNTRAINED / "records.jsonl"))


def section_of(env: str, runs: Mapping[str, Sequence[Path]], first: Sequence[Record] = ()) -> list[str]:
    """Table, curves, sentences and texts of an environment's runs.

    runs: row -> the folders of its seeds.  first: episodes of the model before its warm start.
    """
    rows = [
        [f"{row}, seed {stored_config(path)[1]['seed']}", *cells(path)]
        for row, paths in runs.items()
        for path in paths
    ]
    evals = {row: [read_log(path / "eval.jsonl") for path in paths] for row, paths in runs.items()}
    curves = []
    for row, seeds in evals.items():
        steps = sorted(set.intersection(*({line["step"] for line in lines} for lines in seeds)))
        values = [{line["step"]: line["return"] for line in lines} for lines in seeds]
        curves.append(spread(row, steps, [[run[step] for step in steps] for run in values]))
    sentences = [
        f"{row}: {line}"
        for row, paths in runs.items()
        for line in remarks.of_run(read_log(paths[0] / "metrics.jsonl"))
    ]
    if first:
        earned = fmean(sum(turn["reward"] for turn in record.turns) for record in first)
        sentences.insert(
            0,
            f"The untrained model earns {earned:.2f} on the same posts; the runs begin with a warm start, "
            f"{WARM_STEPS} supervised steps on reference summaries of other posts.",
        )
    return [
        prose(PAID[env]),
        table(COLUMNS[1:], rows),
        chart(curves, "optimizer steps", "return on items that were not trained on"),
        prose("\n\n".join(sentences)) if sentences else "",
        *learned.shown(
            env, evals, {row: samples.read_samples(paths[0]) for row, paths in runs.items()}, first
        ),
    ]
