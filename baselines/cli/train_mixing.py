"""`collm train mixing`: value decomposition as a run, with the folder and checkpoints of any other.

At the end `agents.pt` holds what is executed: the weights of `baselines.games.agents.RecurrentQ`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tyro

from baselines import games
from baselines.lm import threads
from baselines.mixing import Config, Learner, evaluate, train
from baselines.runs import folder, logs, run
from baselines.runs.algorithms import MIXING as NAME
from collm_envs.files import one_writer

EVAL_SEED = 12_345
"""evaluations of all runs play the same episodes"""


def read(args: Sequence[str]) -> Config:
    """Settings from flags."""
    return tyro.cli(Config, args=args, prog=f"collm train {NAME}", description=Config.__doc__)


def begin(config: Config, *, quiet: bool = False) -> Path:
    """A run from its beginning to its end; returns its folder.

    Raises ValueError for a folder that holds a run already, KeyError for an unknown game, ValueError for an
    unknown mixer, `Refused` for a pinned function that does not fit the game.
    """
    words = "-".join([NAME, config.game, config.mixer, f"seed{config.seed}"])
    out = Path(config.out or "runs/" + words.replace("/", "-").replace(":", "-"))
    folder.check_free(out)
    config = replace(config, out=str(out))
    made, learner = prepare(config)
    with one_writer(out):
        folder.check_free(out)  # somebody may have begun meanwhile
        folder.write_config(out, NAME, config)
        try:
            return _go(config, made, learner, out, quiet)
        finally:
            folder.forget_unbegun(out)


def resume(out: Path, *, quiet: bool = False) -> Path:
    """Go on with a run from its last whole checkpoint, to the same end it would have had."""
    _, stored = folder.stored_config(out)
    folder.check_known(out, Config, stored)
    config = Config(**stored)
    return _go(config, *prepare(config), out, quiet)


def prepare(config: Config) -> tuple[list[games.Game], Learner]:
    """The games that are played side by side, and a fresh learner."""
    logs.check_extras(config)
    made = [games.make(config.game) for _ in range(config.at_once)]
    learner = Learner(config, made[0].layout)
    threads.fit(learner.agents)
    return made, learner


def _go(config: Config, made: list[games.Game], learner: Learner, out: Path, quiet: bool) -> Path:
    def measure() -> dict[str, float]:
        returns = evaluate(learner.agents, made, config.eval_episodes, EVAL_SEED)
        return {"return": float(np.mean(returns)), "turns": float(learner.turns)}

    run.follow(NAME, config, learner, run.timed(train(config, made, learner)), measure, out, quiet=quiet)
    draft = out / ".agents.pt"
    with run.going_on(out, "the trained agents"):
        torch.save(learner.agents.state_dict(), draft)
        os.replace(draft, out / "agents.pt")
    folder.mark_finished(out, ["agents.pt"])
    return out
