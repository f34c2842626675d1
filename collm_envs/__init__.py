"""Text environments in which language models learn to work together.

    env = collm_envs.make("StrBuild-v0")
    observations, infos = env.reset(seed=0)
    observations, rewards, terminations, truncations, infos = env.step({"agent_0": ..., "agent_1": ...})
"""

from collm_envs.env import EnvSpec, TextEnv, TextSpace
from collm_envs.registry import make, make_task, pprint_registry, register, registry, spec
from collm_envs.task import Item, Rejected, Scene, Score, Task

__all__ = [
    "EnvSpec",
    "Item",
    "Rejected",
    "Scene",
    "Score",
    "Task",
    "TextEnv",
    "TextSpace",
    "make",
    "make_task",
    "pprint_registry",
    "register",
    "registry",
    "spec",
]
