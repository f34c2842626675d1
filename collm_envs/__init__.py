"""Text environments in which language models learn to work together.

env = collm_envs.make("StrBuild-v0")
observations, infos = env.reset(seed=0)
observations, rewards, terminations, truncations, infos = env.step({"agent_0": ..., "agent_1": ...})
"""

from collm_envs.env import TextEnv
from collm_envs.envspec import EnvSpec
from collm_envs.registry import make, make_task, pprint_registry, register, registry, spec
from collm_envs.space import TextSpace
from collm_envs.task import (
    Item,
    Rejected,
    Scene,
    Score,
    Task,
    in_parallel,
    silence,
    takes_turns,
    writers,
)
from collm_envs.vector import VecEnv, make_vec

__all__ = [
    "EnvSpec",
    "Item",
    "Rejected",
    "Scene",
    "Score",
    "Task",
    "TextEnv",
    "TextSpace",
    "VecEnv",
    "in_parallel",
    "make",
    "make_task",
    "make_vec",
    "pprint_registry",
    "register",
    "registry",
    "silence",
    "spec",
    "takes_turns",
    "writers",
]
