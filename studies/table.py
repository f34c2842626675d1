"""The paper's table with the embedded model of 0.16 million parameters: every row, from one command.

    python studies/table.py [--seeds 3] [--submit [--commit COMMIT]] [ENV ...]

It is a list of `collm` command lines, each printed as it is run: train every trained row with every seed,
play the evaluation list `leaderboard/splits/<ENV>-tiny.jsonl` with every row, and let `collm report` make
the page, the tables and the CSV in studies/results/table.  What is there already is not made again, so it can
be stopped at any time.  What is made says in a file `commit` of which commit it is.  With --submit the
prompted and trained rows become entries of the leaderboard, of those commits; --commit is for rows
without that file.  A row with fewer seeds is an entry with fewer runs.

The embedded model is for terse prompts, so these are the `-tiny` lists: one turn, short words, small houses.
All trained rows of an environment have one budget: the same warm start, learning rate, steps and episodes a
step, set beforehand so that the slowest costs some 30 CPU seconds of one thread.  Nothing was tuned on what
the table shows: it checks that every row can be made and read, and ranks no algorithm.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from baselines.cli import main as cli
from baselines.runs.published import ROWS
from leaderboard import lists

RUNS = Path("runs/table")
OUT = Path("studies/results/table")
CRITIC = "--critic-lr 1e-3 --critic-epochs 4 --normalize --lam 1.0"
OWN = {"magrpo": "--group 8", "maac": f"--critic {{critic}} {CRITIC}"}
TRAINED = {
    row: f"{name} {OWN[name].format(critic=settings.get('critic', 'central'))}"
    for row, (name, settings) in ROWS.items()
}
"""row of the paper -> algorithm with its own settings"""
ALONE = ("single", *(row for row, (_, settings) in ROWS.items() if "env_kwargs" in settings))
"""rows with one agent"""
MODEL = "tiny@2 (embedded, 0.16M parameters)"
PROTOCOLS = ("single", "parallel", "pipeline", "discussion")
SCRIPTED = ("random", "noisy", "expert")
COMMIT = "commit"
"""the file in a folder that says of which commit it is"""


class Setting(NamedTuple):
    tokens: tuple[int, int]
    """of a text at most, with one agent and with two"""
    episodes: int
    """of a step"""
    steps: int
    """of every trained row"""


SETTINGS = {
    "StrBuild-v0": Setting((100, 100), 64, 12),
    "TLDR-v0": Setting((96, 64), 64, 24),
    "HouseBuild-v0": Setting((180, 120), 32, 12),
    "ArXiv-v0": Setting((400, 224), 32, 5),
}
"""environment -> how much of everything"""


def commands(env: str, seeds: int) -> Iterator[tuple[Path, list[str]]]:
    """(file that is there once it has run, command line), for every row of an environment's table."""
    for player in SCRIPTED:
        yield playing(env, player, 2, f"--policy {player}")
    for protocol in PROTOCOLS:
        yield prompted(env, protocol)
    for seed in range(seeds):
        for name in TRAINED:
            run = folder(env, name, seed)
            line = training(env, name, seed)
            yield run / "agent_0", ["train", "--resume", str(run)] if (run / "config.json").exists() else line
            agents, tokens = team(env, name)
            policies = (
                f"--agent agent_{k}=hf:{run}/agent_{k}?max_new_tokens={tokens}" for k in range(agents)
            )
            yield playing(env, f"{name}-{seed}-played", agents, " ".join(policies))


def training(env: str, name: str, seed: int) -> list[str]:
    """The command line of one run of a trained row."""
    _, episodes, steps = SETTINGS[env]
    agents, tokens = team(env, name)
    flags = f"--env {env} --max-new-tokens {tokens} --steps {steps} --episodes {episodes} --lr 1e-3"
    flags += f" --eval-every {max(1, steps // 4)} --save-every 0 --seed {seed}"
    line = shlex.split(f"train {TRAINED[name]} {flags} --out {folder(env, name, seed)}")
    return [*line, "--env-kwargs", json.dumps(keywords(env, agents))]


def prompted(env: str, protocol: str) -> tuple[Path, list[str]]:
    """The command line that plays the list with the warm-started model under a protocol."""
    agents, tokens = team(env, protocol)
    return playing(env, protocol, agents, f"--protocol {protocol} --policy hf:tiny?max_new_tokens={tokens}")


def playing(env: str, name: str, agents: int, policies: str) -> tuple[Path, list[str]]:
    """The command line that plays the environment's list."""
    out = RUNS / env / name
    kwargs = json.dumps(keywords(env, agents))
    often = f"--episodes {lists.PAIRS} --seeds {lists.TRIALS}"
    line = [*shlex.split(f"eval {env} {policies} {often} --out {out}"), "--env-kwargs", kwargs]
    return out / "table.json", line


def submitting(env: str, name: str, seeds: int, commit: str) -> tuple[Path, list[str]]:
    """The command line that makes an entry of a prompted or trained row; `commit` where it says none."""
    entry = f"tiny-{name.lower()}"
    made = [folder(env, name, seed) for seed in range(seeds)] if name in TRAINED else [RUNS / env / name]
    said = {"--name": entry, "--method": name, "--commit": commits(made, commit), "--licence": "MIT"}
    said |= {
        "--models": MODEL,
        "--hardware": "one thread of a CPU",
        "--contact": "the maintainers, by an issue",
    }
    if name not in TRAINED:
        said |= {"--kind": "prompted", "--command": shown(prompted(env, name)[1])}
        played, rest = made, []
    else:
        repeat = shown(training(env, name, 0)).replace("--seed 0", "--seed SEED").replace("-0 ", "-SEED ")
        said |= {"--kind": "trained", "--command": repeat}
        played, rest = [Path(f"{run}-played") for run in made], ["--training", *map(str, made)]
    flags = [word for pair in said.items() for word in pair]
    line = ["leaderboard", "submit", *map(str, played), *flags, *rest]
    return Path("leaderboard/entries", f"{env}-tiny", entry), line


def commits(runs: list[Path], otherwise: str) -> str:
    """Of which commits these folders are.  ValueError where one does not say and `otherwise` is empty."""
    found = dict.fromkeys(
        (run / COMMIT).read_text(encoding="utf-8") if (run / COMMIT).exists() else otherwise for run in runs
    )
    if "" in found:
        raise ValueError(f"{runs[0]} and its like hold no file {COMMIT!r}: --commit says of which they are")
    return ", ".join(found)


def folder(env: str, name: str, seed: int) -> Path:
    """Of a run of a trained row."""
    return RUNS / env / f"{name}-{seed}"


def team(env: str, name: str) -> tuple[int, int]:
    """How many agents a row has, and how many tokens a text of theirs."""
    agents = 1 if name in ALONE else 2
    return agents, SETTINGS[env].tokens[agents - 1]


def keywords(env: str, agents: int) -> dict[str, object]:
    """Of `make`: the list's, and the number of agents where it is one."""
    return {**lists.find(f"{env}-tiny").kwargs, **(lists.ALONE if agents == 1 else {})}


def shown(line: list[str]) -> str:
    return shlex.join(["collm", *line])


def run_once(made: Path, line: list[str]) -> bool:
    """Run a command line unless what it makes is there; whether it was run."""
    if made.exists():
        return False
    print("$", shown(line), flush=True)
    if status := cli.main(line):
        raise SystemExit(status)
    return True


def head() -> str:
    """The commit that is checked out, with `-dirty` where tracked code was changed since; "" without git."""
    line = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    asked.add_argument("envs", nargs="*", metavar="ENV", help=", ".join(SETTINGS))
    asked.add_argument("--seeds", type=int, default=3, help="training seeds of every trained row")
    asked.add_argument("--submit", action="store_true", help="make entries of the leaderboard")
    asked.add_argument("--commit", default="", help="of rows that were made before they said so themselves")
    given = asked.parse_args()
    now = head()
    torch.set_num_threads(1)
    for seeds in range(1, given.seeds + 1):  # all rows with one seed before any with the next
        for env in given.envs or SETTINGS:
            for made, line in commands(env, seeds):
                if run_once(made, line) and now:
                    (made.parent / COMMIT).write_text(now, encoding="utf-8")
    for env in given.envs or SETTINGS if given.submit else ():
        for name in (*PROTOCOLS, *TRAINED):
            run_once(*submitting(env, name, given.seeds, given.commit))
    folders = [str(RUNS / env) for env in SETTINGS if (RUNS / env).is_dir()]
    cli.main(["report", *folders, "--out", str(OUT), "--title", "The paper's table with the embedded model"])


if __name__ == "__main__":
    main()
