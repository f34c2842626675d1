"""The published settings of arXiv:2601.21972, by environment and row of its table: what `--paper` fills in.

Sources: the configuration files of OpenMLRL/LLM_Collab_Writing (7e59995), LLM_Collab_Code_Generation
(e5b008e) and LLM_Collab_Minecraft (9c2e006), and the defaults of CoMLRL 1.3.6.  Where we differ in kind: the
published code counts epochs over its items and steps whenever a buffer is full; here `steps` of `episodes`
give the same number of episodes.  It normalises by buffer, here by step.  Its value clip acts only with a
critic on the actor.
"""

from __future__ import annotations

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
CODE = {**HUB, "reward_shift": -4.0, "stop_above": -0.2}
WORDS = {"reward_shift": -2.0, "stop_above": -0.1, "feedback": "position", "self_contained": True}
HOUSES = {"reward_shift": -1.0, "feedback": "score", "self_contained": True, "threat": "run"}


def _grpo(env: dict[str, Any], base: dict[str, Any], **own: Any) -> dict[str, Any]:
    return {"env_kwargs": env, **base, **GROUPS, **own}


def _critic(env: dict[str, Any], base: dict[str, Any], lr: float, **own: Any) -> dict[str, Any]:
    return {"env_kwargs": env, **base, **CRITICS, "lr": lr, "critic_lr": lr, "seed": 42, **own}


def _writing(single: int) -> dict[str, dict[str, Any]]:
    one = {**HUB, "num_agents": 1}
    long = {**WRITING, "max_new_tokens": single}
    return {
        "magrpo": _grpo(HUB, WRITING, lr=5e-6, group=4, episodes=4, steps=2 * 1100),
        "cc": _critic(HUB, WRITING, 5e-6, episodes=4, steps=20 * 1100 // 4),
        "dc": _critic(HUB, WRITING, 5e-6, episodes=4, steps=20 * 1000 // 4, value_clip=0.2),
        "grpo": _grpo(one, long, lr=5e-6, group=4, episodes=8, steps=1000 // 2, temperature=0.6, top_p=0.6),
        "ac": _critic(one, long, 5e-6, episodes=4, steps=4 * 1000 // 4, value_clip=0.2),
    }


PAPER: dict[str, dict[str, dict[str, Any]]] = {
    "TLDR-v0": _writing(single=256),
    "ArXiv-v0": _writing(single=512),
    "CoopHE-v0": {
        "magrpo": _grpo(CODE, CODING, lr=2e-5, group=4, episodes=16, steps=8 * 66, seed=42),
        "cc": _critic(CODE, CODING, 5e-6, episodes=4, steps=80 * 66 // 4),
        "dc": _critic(CODE, CODING, 5e-6, episodes=4, steps=80 * 66 // 4, value_clip=0.2),
        "grpo": _grpo(
            {**CODE, "num_agents": 1, "reward_shift": -2.1, "stop_above": -0.1},
            {**CODING, "temperature": 0.8, "top_p": 0.95},
            lr=2e-5,
            group=4,
            episodes=16,
            steps=20 * 66,
        ),
        "ac": _critic({**CODE, "num_agents": 1}, CODING, 5e-6, episodes=4, steps=80 * 66 // 4),
    },
    "StrBuild-v0": {
        "magrpo": _grpo(WORDS, BUILDING, lr=5e-6, group=2, episodes=16, steps=20 * 8),
        "cc": _critic(WORDS, BUILDING, 2.5e-6, episodes=1, steps=150 * 8),
        "dc": _critic(WORDS, BUILDING, 2.5e-6, episodes=1, steps=150 * 8, value_clip=0.05),
    },
    "HouseBuild-v0": {
        "magrpo": _grpo(
            {**HOUSES, "stop_above": -0.1}, BUILDING, lr=1e-5, group=2, episodes=16, steps=20 * 8
        ),
        "cc": _critic({**HOUSES, "stop_above": 0.0}, BUILDING, 5e-6, episodes=1, steps=150 * 8),
        "dc": _critic(
            {**HOUSES, "stop_above": 0.0}, BUILDING, 5e-6, episodes=1, steps=150 * 8, value_clip=0.05
        ),
    },
}
"""environment -> row of the paper's table -> settings that differ from ours"""


def published(env: str, algorithm: str, critic: str = "central", agents: int = 2) -> dict[str, Any]:
    """The published settings of a row.  Raises ValueError, naming those there are, where there are none.

    One agent: GRPO is `magrpo`, AC is `maac`, with `num_agents` 1 among the environment's keywords.
    """
    if algorithm == "magrpo":
        row = "grpo" if agents == 1 else "magrpo"
    elif algorithm == "maac":
        row = "ac" if agents == 1 else {"central": "cc", "decentral": "dc"}[critic]
    else:
        row = algorithm
    rows = PAPER.get(env, {})
    if row not in rows:
        there = "; ".join(f"{name}: {', '.join(known)}" for name, known in PAPER.items())
        raise ValueError(f"--paper: nothing was published for {algorithm} ({row}) on {env}; there is {there}")
    settings = {"env": env, **rows[row]}
    return {**settings, "critic": critic} if algorithm == "maac" else settings
