"""What the folders of `collm train` tell about an entry: seeds, tokens and learning curves, as reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from collm_envs.files import read_json, read_lines

MAX_POINTS = 256
"""of a curve in an entry; a longer one is thinned out"""


Curves = Sequence[Sequence[tuple[int, float]]]


class Training(NamedTuple):
    seeds: list[int]
    tokens: int
    """written by the agents while they were trained, all runs together"""
    curves: list[Sequence[tuple[int, float]]]
    """for each run (step, return) of its evaluations"""


def read_training(folders: Sequence[Path]) -> Training:
    """One run a folder.  Raises ValueError for a folder that holds no finished run."""
    found = Training([], 0, [])
    tokens = 0
    for folder in folders:
        if not (folder / "config.json").exists() or not (folder / "eval.jsonl").exists():
            raise ValueError(f"{folder} holds no run of `collm train`: need config.json and eval.jsonl")
        config = read_json(folder / "config.json")["config"]
        found.seeds.append(config["seed"])
        steps = read_lines(folder / "metrics.jsonl")
        if not steps or steps[-1]["step"] < config["steps"]:
            at = steps[-1]["step"] if steps else 0
            raise ValueError(f"{folder}: stopped at step {at} of {config['steps']}")
        tokens += round(sum(line["tokens"] for line in steps))
        curve = [(line["step"], line["return"]) for line in read_lines(folder / "eval.jsonl")]
        found.curves.append(curve[:: 1 + len(curve) // MAX_POINTS])
    return found._replace(tokens=tokens)
