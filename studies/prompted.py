"""A real language model that nobody trained, under each protocol: the prompt-only rows of its table.

    python studies/prompted.py [ENV ...]    make the rows that are missing (of these)

SmolLM2-135M-Instruct plays the episodes that the runs of studies/real.py are evaluated on, each of them three
times, with their sampling and limits.  A lone agent writes both texts and has twice the limit.  Rows:
studies/results/real/prompted.csv, with the command of each; intervals are over episodes.
"""

from __future__ import annotations

import json
import shlex
import sys

import real as study
import torch

from baselines.cli import evaluate, real
from baselines.cli.train import read
from baselines.runs.budget import append_rows, read_results

PROTOCOLS = ("single", "parallel", "pipeline", "discussion")
ENVS = ("TLDR-v0", "TLDR-v1", "ArXiv-v0")
TIMES = 3
"""how often each episode is played"""


def line_of(env: str, protocol: str) -> list[str]:
    """What follows `collm eval` for a row; writes the posts that it reads."""
    trained = study.line_of(env, "MAGRPO", seed=0)
    run = read(trained[0], trained[1:])
    kwargs, tokens = run.env_kwargs, run.max_new_tokens
    if protocol == "single":
        kwargs, tokens = {**kwargs, "num_agents": 1}, 2 * tokens
    policy = f"hf:{study.MODEL}?{real.sampled_as_in_runs(tokens)}"
    line = [env, "--env-kwargs", json.dumps(kwargs), "--protocol", protocol, "--policy", policy]
    line += ["--episodes", str(run.eval_episodes), "--seeds", str(TIMES)]
    return [*line, "--out", str(study.RUNS / f"{env}-{protocol}")]


def make(env: str, protocol: str) -> None:
    """Play a row and keep its return."""
    line = line_of(env, protocol)
    evaluate.evaluate(line)
    measures = json.loads((study.RUNS / f"{env}-{protocol}/table.json").read_text(encoding="utf-8"))
    earned = next(row for row in measures if row["measure"] == "return")
    numbers = {name: round(earned[name], 2) for name in ("mean", "low", "high")}
    row = {"env": env, "row": protocol, "episodes": earned["n"], **numbers}
    append_rows(study.PROMPTED, [{**row, "command": shlex.join(["collm", "eval", *line])}])
    print(*row.values(), flush=True)


def main(chosen: list[str]) -> None:
    torch.set_num_threads(1)
    study.RUNS.mkdir(parents=True, exist_ok=True)
    for env in chosen or ENVS:
        for protocol in PROTOCOLS:
            if (env, protocol) not in {(row["env"], row["row"]) for row in read_results(study.PROMPTED)}:
                make(env, protocol)


if __name__ == "__main__":
    main(sys.argv[1:])
