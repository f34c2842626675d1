"""Ray RLlib's `MultiAgentEnv` of an environment, for new-API-stack modules that read and write texts.

    register_env("StrBuild-v0", lambda config: make_env("StrBuild-v0", **config))

RLlib's own `ParallelPettingZooEnv` orders agents by hash, writes "__all__" into the environment's dicts, and
breaks in `render`; this one does none of it.  RLlib has no model for texts: give it an `RLModule` of your
own, whose actions are `np.array([...], dtype=object)` (a list of `str` would be unbatched into characters).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from collm_envs.adapters.framework import load_framework
from collm_envs.registry import make

VERSION = "2.60"


def make_env(id: str, **make_kwargs: Any) -> Any:
    """A `ray.rllib.env.multi_agent_env.MultiAgentEnv`; agents in the environment's own order.

    All agents end together: "__all__" is in what terminated at the task's own end, in what was truncated at
    `max_cycles`.  `parallel` is the environment within.  Raises ImportError without RLlib.
    """
    base = load_framework("ray.rllib.env.multi_agent_env", VERSION, "ray").MultiAgentEnv
    gymnasium = load_framework("gymnasium", "1.0")

    class TextMultiAgentEnv(base):
        def __init__(self) -> None:
            super().__init__()
            self.parallel = make(id, **make_kwargs)
            self.metadata, self.render_mode = self.parallel.metadata, self.parallel.render_mode
            self.possible_agents = list(self.parallel.possible_agents)
            self.agents = list(self.possible_agents)
            self.observation_spaces = dict(self.parallel.observation_spaces)
            self.action_spaces = dict(self.parallel.action_spaces)
            self.observation_space = gymnasium.spaces.Dict(self.observation_spaces)
            self.action_space = gymnasium.spaces.Dict(self.action_spaces)

        def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> Any:
            """({agent: first message}, {agent: info}); `options` as in `TextEnv.reset`."""
            observations, infos = self.parallel.reset(seed=seed, options=options)
            self.agents = list(self.parallel.agents)
            return observations, infos

        def step(self, action_dict: Mapping[str, str]) -> Any:
            """Play one turn; raises what `TextEnv.step` raises."""
            observations, rewards, terminations, truncations, infos = self.parallel.step(action_dict)
            self.agents = list(self.parallel.agents)
            terminated = {**terminations, "__all__": all(terminations.values())}
            truncated = {**truncations, "__all__": all(truncations.values())}
            return observations, rewards, terminated, truncated, infos

        def render(self) -> str | np.ndarray | None:
            """As `TextEnv.render`."""
            return self.parallel.render()

        def close(self) -> None:
            self.parallel.close()

    return TextMultiAgentEnv()
