"""The warm starts that come with the package, and the script that makes them.

    python -m baselines.train.warm_starts        makes those that are missing, removes those of former keys
    python -m baselines.train.warm_starts TLDR   of environments whose id begins so, and removes none

One file of 0.3 MB each in `weights/`, float16; its metadata says what it was made for and the mean return it
earns before any training.  All of them take a core about an hour; `collm` makes any other one on demand.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from safetensors.torch import save_model

from baselines.lm.loading import load_model
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.tiny import model as tiny
from baselines.play.episode import episodes
from baselines.play.rollout import eval_starts, play
from baselines.train.presets import ENVS
from collm_envs import make

EPISODES = 64
"""evaluation episodes behind the return in a file's metadata"""


class Ready(NamedTuple):
    """Environment and keywords of a shipped warm start."""

    env: str
    kwargs: dict[str, Any]


def settings() -> Iterator[Ready]:
    """Every setting a warm start is shipped for."""
    for name in ("StrBuild", "HouseBuild", "TLDR", "CoopHE"):
        for env in (f"{name}-v0", f"{name}-v1"):
            yield Ready(env, ENVS[env].env_kwargs)
    yield Ready("ArXiv-v0", ENVS["ArXiv-v0"].env_kwargs)
    yield Ready("TLDR-v0", {"prompts": "terse", "num_agents": 1})
    yield Ready("TLDR-v0", {})
    yield Ready("HouseBuild-v1", {**ENVS["HouseBuild-v1"].env_kwargs, "max_turns": 4})  # studies/claim.py's


def file_of(ready: Ready) -> Path:
    """Path of the shipped weights of a setting, which may not exist."""
    env = make(ready.env, **ready.kwargs)
    return tiny.weights_file(ready.env, tiny.key(env, "full", 0, tiny.STEPS))


def earned(ready: Ready, folder: Path) -> tuple[float, float]:
    """(mean return, its standard error) of the model in `folder` on evaluation episodes."""
    task = make(ready.env, **ready.kwargs).task
    model, tokenizer = load_model(str(folder), "cpu")
    tokens = ENVS[ready.env].settings["max_new_tokens"]
    lm = LM("ready", model, tokenizer, Sampling(max_new_tokens=tokens), Context())
    roots = play(task, eval_starts(task, EPISODES), dict.fromkeys(task.agents, lm), "ready")
    returns = [sum(node.reward for node in path) for path in episodes(roots)]
    return fmean(returns), stdev(returns) / EPISODES**0.5


def make_file(ready: Ready, file: Path) -> None:
    """Warm-start the model for a setting, measure it, write its weights."""
    folder = tiny.folder(ready.env, ready.kwargs)
    mean, error = earned(ready, folder)
    facts = {
        "env": ready.env,
        "env_kwargs": json.dumps(ready.kwargs),
        "return": f"{mean:.4f}",
        "error": f"{error:.4f}",
        "episodes": str(EPISODES),
    }
    model, _ = load_model(str(folder), "cpu")
    file.parent.mkdir(exist_ok=True)
    save_model(model.half(), str(file), metadata=facts)
    print(f"{file.name}  return {mean:.3f} +- {error:.3f}", flush=True)


def main(begins: str = "") -> None:
    by_file = {file_of(ready): ready for ready in settings()}
    for file, ready in by_file.items():
        if not file.is_file() and ready.env.startswith(begins):
            make_file(ready, file)
    for file in tiny.WEIGHTS.glob("*.safetensors"):
        if not begins and file not in by_file:
            file.unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
