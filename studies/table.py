"""The paper's table with the embedded model of 0.16 million parameters: every row, from one command.

    python studies/table.py [--seeds 3] [ENV ...]

It is a list of `collm` command lines, each printed as it is run: train every trained row with every seed,
play the evaluation list `leaderboard/splits/<ENV>-tiny.jsonl` with every row, and let `collm report` make
the page, the tables and the CSV in docs/studies/table.  What is there already is not made again, so it can
be stopped at any time.

The embedded model is for terse prompts, so these are the `-tiny` lists: one turn, short words, small houses.
All trained rows of an environment begin with the same warm start and have one learning rate; their steps
were set beforehand so that a run costs some 25 CPU seconds of one thread, whatever its algorithm.  Nothing
was tuned on what the table shows: it checks that every row can be made and read, and ranks no algorithm.
"""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from baselines import cli
from leaderboard import lists

RUNS = Path("runs/table")
OUT = Path("docs/studies/table")
CRITIC = "--critic-lr 1e-3 --critic-epochs 4 --normalize --lam 1.0"
TRAINED = {
    "MAGRPO": ("magrpo --group 8", 2),
    "CoLLM-CC": (f"maac --critic central {CRITIC}", 2),
    "CoLLM-DC": (f"maac --critic decentral {CRITIC}", 2),
    "GRPO": ("magrpo --group 8", 1),
    "AC": (f"maac --critic central {CRITIC}", 1),
}
"""row of the paper -> algorithm with its own settings, agents"""
PROTOCOLS = ("single", "parallel", "pipeline", "discussion")
SCRIPTED = ("random", "noisy", "expert")


class Setting(NamedTuple):
    tokens: tuple[int, int]
    """of a text at most, with one agent and with two"""
    episodes: int
    """of a step"""
    steps: dict[str, int]
    """of each trained row"""


SETTINGS = {
    "StrBuild-v0": Setting(
        (100, 100), 64, {"GRPO": 36, "AC": 16, "MAGRPO": 24, "CoLLM-DC": 10, "CoLLM-CC": 9}
    ),
    "TLDR-v0": Setting((96, 64), 64, {"GRPO": 60, "AC": 32, "MAGRPO": 60, "CoLLM-DC": 24, "CoLLM-CC": 22}),
    "HouseBuild-v0": Setting(
        (180, 120), 32, {"GRPO": 28, "AC": 12, "MAGRPO": 24, "CoLLM-DC": 10, "CoLLM-CC": 10}
    ),
    "ArXiv-v0": Setting((400, 224), 32, {"GRPO": 12, "AC": 6, "MAGRPO": 12, "CoLLM-DC": 6, "CoLLM-CC": 6}),
}
"""environment -> how much of everything"""


def commands(env: str, seeds: int) -> Iterator[tuple[Path, list[str]]]:
    """(file that is there once it has run, command line), for every row of an environment's table."""
    for player in SCRIPTED:
        yield playing(env, player, 2, f"--policy {player}")
    tokens = SETTINGS[env].tokens
    for protocol in PROTOCOLS:
        agents = 1 if protocol == "single" else 2
        model = f"hf:tiny?max_new_tokens={tokens[agents - 1]}"
        yield playing(env, protocol, agents, f"--protocol {protocol} --policy {model}")
    for seed in range(seeds):
        for name, (algorithm, agents) in TRAINED.items():
            run = RUNS / env / f"{name}-{seed}"
            yield training(env, name, algorithm, agents, seed, run)
            policies = (
                f"--agent agent_{k}=hf:{run}/agent_{k}?max_new_tokens={tokens[agents - 1]}"
                for k in range(agents)
            )
            yield playing(env, f"{name}-{seed}-played", agents, " ".join(policies))


def training(
    env: str, name: str, algorithm: str, agents: int, seed: int, run: Path
) -> tuple[Path, list[str]]:
    """The command line of one run of a trained row."""
    tokens, episodes, steps = SETTINGS[env]
    flags = f"--env {env} --max-new-tokens {tokens[agents - 1]} --steps {steps[name]} --episodes {episodes}"
    flags += f" --lr 1e-3 --eval-every {max(1, steps[name] // 4)} --save-every 0 --seed {seed} --out {run}"
    line = [*shlex.split(f"train {algorithm} {flags}"), "--env-kwargs", json.dumps(keywords(env, agents))]
    return run / "agent_0", line if not (run / "config.json").exists() else ["train", "--resume", str(run)]


def playing(env: str, name: str, agents: int, policies: str) -> tuple[Path, list[str]]:
    """The command line that plays the environment's list."""
    folder = RUNS / env / name
    kwargs = json.dumps(keywords(env, agents))
    often = f"--episodes {lists.PAIRS} --seeds {lists.TRIALS}"
    line = [*shlex.split(f"eval {env} {policies} {often} --out {folder}"), "--env-kwargs", kwargs]
    return folder / "table.json", line


def keywords(env: str, agents: int) -> dict[str, object]:
    """Of `make`: the list's, and the number of agents where it is one."""
    return {**lists.find(f"{env}-tiny").kwargs, **({"num_agents": 1} if agents == 1 else {})}


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    asked.add_argument("envs", nargs="*", metavar="ENV", help=", ".join(SETTINGS))
    asked.add_argument("--seeds", type=int, default=3, help="training seeds of every trained row")
    given = asked.parse_args()
    torch.set_num_threads(1)
    for seeds in range(1, given.seeds + 1):  # all rows with one seed before any with the next
        for env in given.envs or SETTINGS:
            for made, line in commands(env, seeds):
                if not made.exists():
                    print("$", shlex.join(["collm", *line]), flush=True)
                    if status := cli.main(line):
                        raise SystemExit(status)
    cli.main(["report", *(str(RUNS / env) for env in SETTINGS if (RUNS / env).is_dir()), "--out", str(OUT)])


if __name__ == "__main__":
    main()
