"""The published settings of arXiv:2601.21972, by environment and row of its table: what `--paper` fills in.

Sources: the configuration files of OpenMLRL/LLM_Collab_Writing (7e59995), LLM_Collab_Code_Generation
(e5b008e) and LLM_Collab_Minecraft (9c2e006), and the defaults of CoMLRL 1.3.6.  Where we differ in kind: the
published code counts epochs over its items and steps whenever a buffer is full; here `steps` of `episodes`
give the same number of episodes.  It normalises by buffer, here by step.  Its value clip acts only with a
critic on the actor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WRITING = {"model": "Qwen/Qwen3-1.7B", "max_new_tokens": 256, "temperature": 0.7, "top_p": 0.9}
CODING = {
    "model": "Qwen/Qwen2.5-Coder-3B",
    "max_new_tokens": 256,
    "temperature": 0.6,
    "top_p": 0.6,
    "bf16": True,
}
BUILDING = {
    "model": "Qwen/Qwen3-4B-Instruct-2507",
    "max_new_tokens": 512,
    "temperature": 0.6,
    "top_p": 0.6,
    "bf16": True,
    "max_context": 16_384,
}
GROUPS = {"divide_by_std": True, "gamma": 0.9}
CRITICS = {"normalize": True, "gamma": 0.9, "value_coef": 0.6, "lam": 0.0}
HUB = {"data": "hub"}
ALONE = {"num_agents": 1}
CODE = {**HUB, "reward_shift": -4.0, "stop_above": -0.2}
WORDS = {"reward_shift": -2.0, "stop_above": -0.1, "feedback": "position", "self_contained": True}
HOUSES = {"reward_shift": -1.0, "feedback": "score", "self_contained": True, "threat": "run"}


def _grpo(env: dict[str, Any], base: dict[str, Any], **own: Any) -> dict[str, Any]:
    return {"env_kwargs": env, **base, **GROUPS, **own}


def _critic(env: dict[str, Any], base: dict[str, Any], lr: float, **own: Any) -> dict[str, Any]:
    return {"env_kwargs": env, **base, **CRITICS, "lr": lr, "critic_lr": lr, "seed": 42, **own}


def _writing(single: int) -> dict[str, dict[str, Any]]:
    alone = {**HUB, **ALONE}
    long = {**WRITING, "max_new_tokens": single}
    return {
        "MAGRPO": _grpo(HUB, WRITING, lr=5e-6, group=4, episodes=4, steps=2 * 1100),
        "CoLLM-CC": _critic(HUB, WRITING, 5e-6, episodes=4, steps=20 * 1100 // 4),
        "CoLLM-DC": _critic(HUB, WRITING, 5e-6, episodes=4, steps=20 * 1000 // 4, value_clip=0.2),
        "GRPO": _grpo(alone, long, lr=5e-6, group=4, episodes=8, steps=1000 // 2, temperature=0.6, top_p=0.6),
        "AC": _critic(alone, long, 5e-6, episodes=4, steps=4 * 1000 // 4, value_clip=0.2),
    }


PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "TLDR-v0": _writing(single=256),
    "ArXiv-v0": _writing(single=512),
    "CoopHE-v0": {
        "MAGRPO": _grpo(CODE, CODING, lr=2e-5, group=4, episodes=16, steps=8 * 66, seed=42),
        "CoLLM-CC": _critic(CODE, CODING, 5e-6, episodes=4, steps=80 * 66 // 4),
        "CoLLM-DC": _critic(CODE, CODING, 5e-6, episodes=4, steps=80 * 66 // 4, value_clip=0.2),
        "GRPO": _grpo(
            {**CODE, **ALONE, "reward_shift": -2.1, "stop_above": -0.1},
            {**CODING, "temperature": 0.8, "top_p": 0.95},
            lr=2e-5,
            group=4,
            episodes=16,
            steps=20 * 66,
        ),
        "AC": _critic({**CODE, **ALONE}, CODING, 5e-6, episodes=4, steps=80 * 66 // 4),
    },
    "StrBuild-v0": {
        "MAGRPO": _grpo(WORDS, BUILDING, lr=5e-6, group=2, episodes=16, steps=20 * 8),
        "CoLLM-CC": _critic(WORDS, BUILDING, 2.5e-6, episodes=1, steps=150 * 8),
        "CoLLM-DC": _critic(WORDS, BUILDING, 2.5e-6, episodes=1, steps=150 * 8, value_clip=0.05),
    },
    "HouseBuild-v0": {
        "MAGRPO": _grpo(
            {**HOUSES, "stop_above": -0.1}, BUILDING, lr=1e-5, group=2, episodes=16, steps=20 * 8
        ),
        "CoLLM-CC": _critic({**HOUSES, "stop_above": 0.0}, BUILDING, 5e-6, episodes=1, steps=150 * 8),
        "CoLLM-DC": _critic(
            {**HOUSES, "stop_above": 0.0}, BUILDING, 5e-6, episodes=1, steps=150 * 8, value_clip=0.05
        ),
    },
}
"""environment -> row of the paper's table -> settings that differ from ours"""


ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "GRPO": ("magrpo", {"env_kwargs": ALONE}),
    "MAGRPO": ("magrpo", {}),
    "AC": ("maac", {"env_kwargs": ALONE}),
    "CoLLM-CC": ("maac", {"critic": "central"}),
    "CoLLM-DC": ("maac", {"critic": "decentral"}),
}
"""trained row of the paper's table -> (algorithm, the settings that make it this row); the first that fits"""


def row_of(algorithm: str, settings: Mapping[str, Any]) -> str:
    """What the paper's table calls an algorithm with these settings; "" where it has no such row."""
    fits = (row for row, (name, own) in ROWS.items() if name == algorithm and _within(own, settings))
    return next(fits, "")


def _within(part: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Whether all of `part` stands in the settings, keywords of the environment one by one."""
    return all(
        _within(value, settings.get(key, {})) if isinstance(value, dict) else settings.get(key) == value
        for key, value in part.items()
    )


def published_settings(algorithm: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The published settings of the row that an algorithm with these settings is.

    settings: `env`, `env_kwargs` and `critic` of a `Config`.  Raises ValueError, naming the rows there are,
    where nothing was published for this one.
    """
    row, env = row_of(algorithm, settings), settings.get("env", "")
    rows = PUBLISHED.get(env, {})
    if row not in rows:
        there = "; ".join(f"{name}: {', '.join(method_rows)}" for name, method_rows in PUBLISHED.items())
        what = f"{algorithm} ({row})" if row else algorithm
        raise ValueError(f"--paper: nothing was published for {what} on {env or 'games'}; there is {there}")
    return {"env": env, **rows[row], **{key: value for key, value in ROWS[row][1].items() if key == "critic"}}
