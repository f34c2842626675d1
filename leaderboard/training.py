"""Reads seeds, tokens and learning curves from the folders of `collm train`; they are not verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from collm_envs.files import read_json, read_lines

MAX_POINTS = 256
"""most points of a curve in an entry; longer curves are subsampled"""


Curves = Sequence[Sequence[tuple[int, float]]]


class Training(NamedTuple):
    seeds: list[int]
    tokens: int
    """tokens written by the agents during training, all runs together"""
    curves: list[Sequence[tuple[int, float]]]
    """for each run [(step, return)] of its evaluations"""


def read_training(folders: Sequence[Path]) -> Training:
    """The training data of one run per folder.  Raises ValueError for a folder without a finished run."""
    training = Training([], 0, [])
    tokens = 0
    for folder in folders:
        if not (folder / "config.json").exists() or not (folder / "eval.jsonl").exists():
            raise ValueError(f"{folder} holds no run of `collm train`: need config.json and eval.jsonl")
        config = read_json(folder / "config.json")["config"]
        training.seeds.append(config["seed"])
        steps = read_lines(folder / "metrics.jsonl")
        if not steps or steps[-1]["step"] < config["steps"]:
            at = steps[-1]["step"] if steps else 0
            raise ValueError(f"{folder}: stopped at step {at} of {config['steps']}")
        tokens += round(sum(line["tokens"] for line in steps))
        curve = [(line["step"], line["return"]) for line in read_lines(folder / "eval.jsonl")]
        training.curves.append(curve[:: 1 + len(curve) // MAX_POINTS])
    return training._replace(tokens=tokens)
