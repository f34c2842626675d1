"""An episode played with `env.step` alone: what an adapter's episode must be equal to."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from collm_envs.policies import parse, take_seat

BLOCKS = ("stone", "dirt", "oak_planks", "white_concrete", "blue_concrete")


class Step(NamedTuple):
    """One turn of one episode."""

    prompts: Mapping[str, str]
    texts: Mapping[str, str]
    reward: float
    terminated: bool
    truncated: bool


def write(agent: str, observation: str) -> str:
    """A text that depends on the agent and on every character it has just read."""
    dice = Random(f"{agent}/{observation}")
    commands = [
        f"/setblock {dice.randrange(5)} {dice.randrange(5)} 0 {dice.choice(BLOCKS)}" for _ in range(4)
    ]
    return "\n".join([*commands, f"Words of {agent}, \u00e9\u4e2d: {dice.random()}."])


def play_directly(
    env: Any, seed: int, partners: Mapping[str, str] | None = None, options: Any = None
) -> list[Step]:
    """The turns of the episode; an agent without a partner's description writes `write`."""
    policies = {agent: parse(text) for agent, text in (partners or {}).items()}
    prompts, _ = env.reset(seed=seed, options=options)
    steps = []
    while env.agents:
        texts = {}
        for agent in env.agents:
            if agent in policies:
                policy = policies[agent]
                (reply,) = policy.act([take_seat(env, agent, policy)])
                texts[agent] = reply.text
            else:
                texts[agent] = write(agent, prompts[agent])
        read = prompts
        prompts, rewards, terminations, truncations, _ = env.step(texts)
        first = env.possible_agents[0]
        steps.append(Step(read, texts, rewards[first], terminations[first], truncations[first]))
    return steps
