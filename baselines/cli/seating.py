"""Who plays: the flags that name an environment and the policies of its agents, read in one place."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

import collm_envs
from baselines.train.keywords import read_object
from collm_envs import TextEnv
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import KINDS as WITHOUT_TORCH

EnvId = Annotated[Positional[str], arg(metavar="ENV")]
AgentPolicies = Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="AGENT=POLICY")]


def kinds(env: TextEnv) -> dict[str, Callable[[str], Policy]]:
    """Policy kinds (the word before the colon) for `env`: kind -> parser of the text after it."""

    def hf(text: str) -> Policy:
        from baselines.lm import hf

        return hf.parse(text, env)

    def vllm(text: str) -> Policy:
        from baselines.lm import vllm_policy

        return vllm_policy.parse(text)

    return {**WITHOUT_TORCH, "hf": hf, "vllm": vllm}


@dataclass
class Seating:
    """Which environment, and who plays its agents: the flags that `collm play` and `collm eval` share."""

    env: EnvId
    """id of the environment, or package.module:Id"""
    agent: AgentPolicies = ()
    """who plays an agent; may be given again: expert, random, noisy, replay:FILE, human,
    hf:FOLDER_OR_NAME (hf:tiny, hf:smollm2, ...: `collm models`), py:package.module:factory (your own),
    vllm:http://host:8000#MODEL (token ids, as in training),
    openai:http://host:8000/v1#model?temperature=0.7&max_tokens=512 (further: stop, reasoning_effort, ...,
    seed=off, body={"any": "JSON"})"""
    env_kwargs: str = "{}"
    """keywords of the environment, as JSON"""

    def make(self, **more: Any) -> TextEnv:
        """The environment; `more` are keywords that --env-kwargs may replace."""
        kwargs = read_object("--env-kwargs", self.env_kwargs)
        return collm_envs.make(self.env, **{**more, **kwargs})

    def named(self) -> dict[str, str]:
        """{agent: policy} of the flags --agent; ValueError for one that is no AGENT=POLICY."""
        if wrong := [pair for pair in self.agent if "=" not in pair]:
            raise ValueError(f"--agent must be AGENT=POLICY, got {wrong[0]!r}")
        return {agent: policy for agent, _, policy in (pair.partition("=") for pair in self.agent)}


def viewing(env: str, path: Path) -> str:
    """The command that shows recorded episodes of an environment."""
    return shlex.join(["collm", "view", str(path), *(["--env", env] if ":" in env else [])])
