"""Defaults of `collm train` for the embedded model, for settings that the command line does not set.

The defaults of `Settings` are the papers', for models of billions of parameters on full prompts; none of them
moves 0.16 million parameters.  These do, in about two minutes of one CPU core, and a flag always wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """Keywords of an environment that the embedded model can learn, and settings of its training."""

    env_kwargs: dict[str, Any]
    settings: dict[str, Any]
    """tokens that its texts need, episodes of a step, steps that take about two minutes"""


TERSE = {"prompts": "terse"}
ENVS: Mapping[str, Preset] = {
    "StrBuild-v0": Preset(
        {**TERSE, "words": "generated", "length": [1, 2], "n": 600, "max_turns": 1},
        {"max_new_tokens": 100, "steps": 30},
    ),
    "HouseBuild-v0": Preset(
        {**TERSE, "houses": "generated", "size": [4, 5, 5], "max_turns": 1},
        {"max_new_tokens": 160, "steps": 36, "episodes": 32},
    ),
    "TLDR-v0": Preset(TERSE, {"max_new_tokens": 64, "steps": 60}),
    "ArXiv-v0": Preset(TERSE, {"max_new_tokens": 224, "steps": 15, "episodes": 32}),
    "CoopHE-v0": Preset({**TERSE, "max_turns": 1}, {"max_new_tokens": 192, "steps": 30, "episodes": 32}),
    "CoopHE-v1": Preset({**TERSE, "max_turns": 1}, {"max_new_tokens": 192, "steps": 30, "episodes": 32}),
    "StrBuild-v1": Preset(
        {**TERSE, "talk": 1, "max_turns": 2}, {"max_new_tokens": 80, "steps": 40, "episodes": 32}
    ),
    "HouseBuild-v1": Preset({**TERSE, "talk": 1}, {"max_new_tokens": 64, "steps": 40, "episodes": 32}),
    "TLDR-v1": Preset(TERSE, {"max_new_tokens": 224, "steps": 15, "episodes": 32}),
}
ALWAYS = {"lr": 1e-3, "eval_every": 5}
"""settings for every environment and algorithm"""
ALGORITHMS: Mapping[str, dict[str, Any]] = {
    "maac": {"critic_lr": 1e-3, "critic_epochs": 4, "normalize": True},
    "magrpo": {"group": 8},
    "reinforce": {"group": 8, "baseline": "leave-one-out"},
    "cory": {"critic_lr": 1e-3, "kl": 0.02},
}
"""algorithm -> further settings"""
TOGETHER = ({"group", "baseline"},)
"""settings that depend on each other: where one is given, none of them is filled in"""


def preset(algorithm: str, env: str, given_names: Set[str]) -> dict[str, Any]:
    """Settings to fill in for the embedded model; `given_names` are set on the command line and left alone.

    Where `env_kwargs` is among them, nothing that depends on the environment is filled in.
    """
    own = ENVS.get(env) if "env_kwargs" not in given_names else None
    filled = {**ALWAYS, **ALGORITHMS.get(algorithm, {})}
    if own:
        filled = {"env_kwargs": dict(own.env_kwargs), **own.settings, **filled}
    bound = set().union(*(names for names in TOGETHER if names & given_names))
    return {name: value for name, value in filled.items() if name not in bound | given_names}


def is_tiny(model: str, models: Sequence[str]) -> bool:
    """Whether every agent is the embedded model.  `models` takes the place of `model` where it is given."""
    return set(models or (model,)) == {"tiny"}
