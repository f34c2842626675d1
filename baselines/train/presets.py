"""Settings that `collm train` fills in where the command line leaves them open; a flag always wins.

The defaults of `Settings` are the papers', for models of billions of parameters on full prompts; none of them
moves 0.16 million parameters.  `tiny`, for the embedded model, is filled in by itself and learns in about two
minutes of one CPU core.  `--preset` takes the others: `laptop`, a language model of 135 million parameters
that learns in minutes of a CPU, `gpu` (not measured yet), and `paper` (runs/published.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple


class Preset(NamedTuple):
    """Keywords of an environment that the embedded model can learn, and settings of its training."""

    env_kwargs: dict[str, Any]
    settings: dict[str, Any]
    """tokens that its texts need, episodes of a step, steps that take about two minutes"""
    algorithms: Mapping[str, dict[str, Any]] = {}
    """algorithm -> settings that take the place of those in `ALGORITHMS`"""


class Filling(NamedTuple):
    """What a preset fills in: for every run, by algorithm, by environment."""

    always: Mapping[str, Any]
    algorithms: Mapping[str, Mapping[str, Any]]
    envs: Mapping[str, Mapping[str, Any]]
    pairs: Mapping[tuple[str, str], Mapping[str, Any]] = {}
    """(algorithm, environment) -> settings that take the place of all others"""


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
        {**TERSE, "talk": 1, "max_turns": 1}, {"max_new_tokens": 80, "steps": 40}, {"magrpo": {"group": 4}}
    ),
    "HouseBuild-v1": Preset(
        {**TERSE, "talk": 1, "max_turns": 2},
        {"max_new_tokens": 64, "steps": 40},
        {"magrpo": {"group": 2, "lr": 3e-4}},
    ),
    "TLDR-v1": Preset(TERSE, {"max_new_tokens": 224, "steps": 15, "episodes": 32}),
}
ALWAYS = {"lr": 1e-3, "eval_every": 5}
"""settings for every environment and algorithm"""
ALGORITHMS: Mapping[str, dict[str, Any]] = {
    "maac": {"critic_lr": 1e-3, "critic_epochs": 4, "normalize": True},
    "magrpo": {"group": 8},
    "reinforce": {"group": 8, "baseline": "leave-one-out"},
    "ridge": {"normalize": True},
    "cory": {"critic_lr": 1e-3, "kl": 0.02},
}
"""algorithm -> further settings"""
TOGETHER = ({"group", "baseline"},)
"""settings that depend on each other: where one is given, none of them is filled in"""


PLAIN = {"lora_rank": 16, "temperature": 0.7, "top_p": 0.9}
"""for language models: small ones lose half at temperature 1, and learn faster without rare tokens"""
CRITIC = {"critic_lr": 5e-4, "normalize": True}
GROUP = {"group": 4}
LOO = {**GROUP, "baseline": "leave-one-out"}
PRESETS: Mapping[str, Filling] = {
    "tiny": Filling(
        ALWAYS,
        ALGORITHMS,
        {env: {"env_kwargs": dict(own.env_kwargs), **own.settings} for env, own in ENVS.items()},
        {
            (algorithm, env): filled
            for env, own in ENVS.items()
            for algorithm, filled in own.algorithms.items()
        },
    ),
    "laptop": Filling(
        {
            **PLAIN,
            "model": "smollm2",
            "lr": 5e-4,
            "episodes": 8,
            "steps": 8,
            "max_new_tokens": 96,
            "eval_every": 4,
            "eval_episodes": 16,
            "save_every": 4,
            "keep": 1,
        },
        {"maac": CRITIC, "magrpo": GROUP, "reinforce": LOO, "cory": {"critic_lr": 5e-4, "kl": 0.02}},
        {
            "TLDR-v0": {"env_kwargs": TERSE, "max_new_tokens": 40},
            "TLDR-v1": {"max_new_tokens": 64},
            "ArXiv-v0": {"max_new_tokens": 256},
        },
    ),
    "gpu": Filling(
        {**PLAIN, "lr": 1e-4, "bf16": True, "episodes": 64, "steps": 200, "max_new_tokens": 512},
        {"maac": {**CRITIC, "critic_lr": 1e-4}, "magrpo": {"group": 8}, "reinforce": {**LOO, "group": 8}},
        {
            "TLDR-v0": {"max_new_tokens": 256},
            "TLDR-v1": {"max_new_tokens": 192},
            "CoopHE-v0": {"max_new_tokens": 256},
            "CoopHE-v1": {"max_new_tokens": 256},
        },
    ),
}
"""name -> what it fills in"""


def preset(algorithm: str, env: str, given_names: Set[str], name: str = "tiny") -> dict[str, Any]:
    """Settings that the preset `name` fills in; `given_names` are set on the command line and left alone.

    Where `env_kwargs` is among them, nothing that goes with the preset's own keywords is filled in.
    """
    always, algorithms, envs, pairs = PRESETS[name]
    own = {**envs.get(env, {}), **pairs.get((algorithm, env), {})}
    if "env_kwargs" in own and "env_kwargs" in given_names:
        own = {}
    filled = {**always, **algorithms.get(algorithm, {}), **own}
    bound = set().union(*(names for names in TOGETHER if names & given_names))
    return {name: value for name, value in filled.items() if name not in bound | given_names}


def is_tiny(model: str, models: Sequence[str]) -> bool:
    """Whether every agent is the embedded model.  `models` takes the place of `model` where it is given."""
    return set(models or (model,)) == {"tiny"}
