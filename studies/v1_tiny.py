"""The embedded model on StrBuild-v1 and HouseBuild-v1: MAGRPO and CoLLM-CC above the warm start, three seeds.

    python studies/v1_tiny.py [--commands N] [--submit COMMIT] [ENV ...]

It is a list of `collm` command lines, each printed as it is run: train every run with what `--model tiny`
fills in (terse prompts, difficulty 1, one message round before each turn), play the evaluation list
`leaderboard/splits/<ENV>-tiny.jsonl` with the warm start, scripted players and every run, and mix the teams
of MAGRPO with each other. `collm report` makes the page with learning curves, and what agents say to each
other is taken from the records: studies/results/v1_tiny, of what is there (of one ENV alone in a folder of
its name). Nothing is made twice; `--commands N` runs N of the lines. With `--submit COMMIT` the warm start,
the trained rows and the mixed teams become entries of the leaderboard. A run is about 60 CPU seconds of one
thread. Rates are the preset's; that of HouseBuild-v1 was lowered after one run at 1e-3 had fallen below its
warm start.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path

import torch
from table import CRITIC, MODEL, run_once, shown

from baselines.cli import main as cli
from baselines.train.presets import ENVS
from collm_envs.record import Record, read
from leaderboard import lists

RUNS = Path("runs/v1_tiny")
OUT = Path("studies/results/v1_tiny")
TASKS = ("StrBuild-v1", "HouseBuild-v1")
TRAINED = {"MAGRPO": ("magrpo", 24), "CoLLM-CC": (f"maac --critic central {CRITIC}", 12)}
"""row -> algorithm with its flags, steps"""
SEEDS = (0, 1, 2)
SCRIPTED = ("expert", "mute", "noisy", "random")
WARM = "warm-start"
MIXED = "MAGRPO"
"""the row whose teams are mixed with each other"""
EPISODES = 3
"""whose messages are shown"""


def commands(env: str) -> Iterator[tuple[Path, list[str]]]:
    """(file that is there once it has run, command line) of an environment."""
    for player in SCRIPTED:
        yield playing(env, player, f"--policy {player}")
    yield playing(env, "solo", "--policy solo", lists.ALONE)
    yield playing(env, WARM, f"--policy hf:tiny?{tokens(env)}")
    for seed in SEEDS:
        for name in TRAINED:
            run = folder(env, name, seed)
            yield run / "agent_0", training(env, name, seed)
            team = " ".join(f"--agent agent_{k}=hf:{run}/agent_{k}?{tokens(env)}" for k in range(2))
            yield playing(env, f"{name}-{seed}-played", team)


def training(env: str, name: str, seed: int) -> list[str]:
    """The command line of a run; one that was stopped goes on."""
    run, (algorithm, steps) = folder(env, name, seed), TRAINED[name]
    if (run / "config.json").exists():
        return ["train", "--resume", str(run)]
    often = f"--steps {steps} --eval-every {steps // 4} --save-every {steps // 4}"
    return shlex.split(f"train {algorithm} --env {env} --seed {seed} {often} --out {run}")


def playing(env: str, name: str, policies: str, more: dict[str, int] | None = None) -> tuple[Path, list[str]]:
    """The command line that plays the environment's list."""
    out = RUNS / env / name
    return out / "table.json", [*shlex.split(f"eval {env} {policies} --out {out}"), *episodes(env, more)]


def episodes(env: str, more: dict[str, int] | None = None) -> list[str]:
    """The flags that say which episodes an environment's list has; `more` are keywords beside the list's."""
    kwargs = {**lists.find(f"{env}-tiny").kwargs, **(more or {})}
    often = f"--episodes {lists.PAIRS} --seeds {lists.TRIALS}"
    return [*often.split(), "--env-kwargs", json.dumps(kwargs)]


def mixing(env: str) -> tuple[Path, list[str]]:
    """The command line that mixes all seeds of a row with each other."""
    out = OUT / f"crossplay-{env}"
    teams = " ".join(str(folder(env, MIXED, seed)) for seed in SEEDS)
    line = f"crossplay {teams} --env {env} --records {RUNS / env / 'crossplay'} --out {out}"
    return out / "index.html", [*shlex.split(line), *episodes(env)]


def submitting(env: str, name: str, commit: str, mixed: bool = False) -> tuple[Path, list[str]]:
    """The command line that makes an entry of a row, or of the mixed teams of a row."""
    entry = f"tiny-{name.lower()}"
    runs = [folder(env, name, seed) for seed in SEEDS] if name in TRAINED else []
    played = [Path(f"{run}-played") for run in runs] or [RUNS / env / WARM]
    if mixed:
        pairings = permutations(range(1, len(SEEDS) + 1), 2)
        played = [RUNS / env / "crossplay" / f"{first}-{second}" for first, second in pairings]
    repeat = training(env, name, 9) if runs else playing(env, WARM, f"--policy hf:tiny?{tokens(env)}")[1]
    facts = {
        "--name": entry,
        "--method": name,
        "--commit": commit,
        "--licence": "MIT",
        "--models": MODEL,
        "--hardware": "one thread of a CPU",
        "--contact": "the maintainers, by an issue",
        "--kind": "trained" if runs else "prompted",
        "--command": shown(repeat).replace("--seed 9", "--seed SEED").replace("-9", "-SEED"),
    }
    flags = [word for pair in facts.items() for word in pair]
    line = ["leaderboard", "submit", *map(str, played), *flags]
    line += ["--training", *map(str, runs)] * bool(runs) + ["--mixed"] * mixed
    listed = f"{env}-tiny{lists.CROSSPLAY if mixed else ''}"
    return Path("leaderboard/entries", listed, entry), line


def folder(env: str, name: str, seed: int) -> Path:
    return RUNS / env / f"{name}-{seed}"


def tokens(env: str) -> str:
    return f"max_new_tokens={ENVS[env].settings['max_new_tokens']}"


def messages(env: str) -> Iterator[str]:
    """What agents say to each other before and after training, in the first episodes of the list."""
    yield f"## {env}\n"
    for name in ("expert", WARM, *(f"{row}-0-played" for row in TRAINED)):
        if not (RUNS / env / name / "table.json").exists():
            continue
        records = list(read(RUNS / env / name / "records.jsonl"))
        rounds = [turn for record in records for turn in record.turns if "talk_round" in turn["metrics"]]
        texts = [text for turn in rounds for text in turn["texts"].values()]
        empty = sum(not text.strip() for text in texts)
        characters = sum(map(len, texts)) / len(texts)
        yield f"**{name}**: {characters:.1f} characters a message, {empty / len(texts):.0%} of them empty.\n"
        for record in records[:EPISODES]:
            yield from dialogue(record)


def dialogue(record: Record) -> Iterator[str]:
    """The messages of an episode as a block of text."""
    returned = sum(turn["reward"] for turn in record.turns)
    yield f"{record.item}, return {returned:.2f}:\n\n```"
    for t, turn in enumerate(record.turns, 1):
        if "talk_round" in turn["metrics"]:
            for agent, text in turn["texts"].items():
                yield f"step {t}  {agent}: {' '.join(text.split()) or '(nothing)'}"
    yield "```\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--commands", type=int, default=1000, help="command lines to run at most")
    parser.add_argument("--submit", metavar="COMMIT", default="", help="make entries of the leaderboard")
    parser.add_argument("envs", nargs="*", metavar="ENV", help=", ".join(TASKS))
    settings = parser.parse_args()
    envs = settings.envs or TASKS
    torch.set_num_threads(1)
    left = settings.commands
    for env in envs:
        for made, line in (*commands(env), mixing(env)):
            if left:
                left -= run_once(made, line)
    for env in envs if settings.submit else ():
        for name in (WARM, *TRAINED):
            run_once(*submitting(env, name, settings.submit))
        run_once(*submitting(env, MIXED, settings.submit, mixed=True))
    write_page(envs, OUT / envs[0] if len(envs) == 1 else OUT)


def write_page(envs: Sequence[str], out: Path) -> None:
    """The page of these environments, and what agents say there, of the runs that are there."""
    folders = [str(RUNS / env) for env in envs if (RUNS / env).is_dir()]
    cli.main(["report", *folders, "--out", str(out), "--title", "The embedded model on tasks of two"])
    lines = [line for env in envs for line in messages(env)]
    (out / "messages.md").write_text(
        "\n".join(["# What the agents say to each other\n", *lines]), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
