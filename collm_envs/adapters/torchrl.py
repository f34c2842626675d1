"""A TorchRL `EnvBase` of an environment: texts as `NonTensor` entries under each agent's name.

    environment = env("StrBuild-v0")
    environment.rollout(10, policy)      # policy(td): td.set((agent, "action"), a text) for every agent

Keys: (agent, "observation") and (agent, "action") are texts, (agent, "reward") a float of shape (1,), and
"done", "terminated", "truncated" are shared.  TorchRL's own `PettingZooWrapper` accepts a text environment
and hands every agent the constant "a string"; its multi-process `ParallelEnv` cannot carry texts, so several
environments in one process are a `SerialEnv`, and trajectories lie in a `LazyStackStorage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from collm_envs.adapters.framework import load_framework
from collm_envs.registry import make

VERSION = "0.14"


def env(id: str, **make_kwargs: Any) -> Any:
    """A `torchrl.envs.EnvBase` with batch size ().

    `reset(seed=..., options=...)` as `TextEnv.reset`; `set_seed(s)` makes the next reset that of seed s.
    `parallel` is the environment within.  Raises ImportError without TorchRL.
    """
    base = load_framework("torchrl.envs", VERSION, "torchrl").EnvBase
    TensorDict = load_framework("tensordict", VERSION).TensorDict
    import torch

    class CollmEnv(base):
        def __init__(self) -> None:
            super().__init__(device="cpu", batch_size=[])
            self.parallel = make(id, **make_kwargs)
            self.seed_of_next: int | None = None
            for name, spec in specs_of(self.parallel.possible_agents).items():
                setattr(self, name, spec)

        def _set_seed(self, seed: int | None) -> None:
            self.seed_of_next = seed

        def _reset(self, tensordict: Any = None, *, seed: int | None = None, options: Any = None) -> Any:
            seed = self.seed_of_next if seed is None else seed
            self.seed_of_next = None
            observations, _ = self.parallel.reset(seed=seed, options=options)
            return self._written(observations, {}, False, False)

        def _step(self, tensordict: Any) -> Any:
            agents = self.parallel.possible_agents
            if missing := [agent for agent in agents if "action" not in tensordict[agent].keys()]:  # noqa: SIM118
                raise ValueError(f"{id}: no text of {missing[0]}; set ({missing[0]!r}, 'action')")
            texts = {agent: tensordict[agent, "action"] for agent in agents}
            observations, rewards, terminations, truncations, _ = self.parallel.step(texts)
            return self._written(observations, rewards, all(terminations.values()), all(truncations.values()))

        def _written(
            self, observations: dict[str, str], rewards: dict[str, float], terminated: bool, truncated: bool
        ) -> Any:
            written = TensorDict(
                {
                    "done": torch.tensor([terminated or truncated]),
                    "terminated": torch.tensor([terminated]),
                    "truncated": torch.tensor([truncated]),
                }
            )
            for agent, observation in observations.items():
                written.set_non_tensor((agent, "observation"), observation)
            for agent, reward in rewards.items():
                written[agent, "reward"] = torch.tensor([reward], dtype=torch.float32)
            return written

    return CollmEnv()


def specs_of(agents: Sequence[str]) -> dict[str, Any]:
    """{attribute of an `EnvBase`: its spec} of an environment of these agents."""
    import torch

    specs = load_framework("torchrl.data", VERSION, "torchrl")
    text = partial(specs.NonTensor, shape=(), example_data="")
    number = partial(specs.Unbounded, shape=(1,))
    flag = partial(specs.Categorical, n=2, dtype=torch.bool, shape=(1,))

    def of_agents(name: str, spec: Any) -> Any:
        return specs.Composite({agent: specs.Composite({name: spec()}) for agent in agents})

    return {
        "observation_spec": of_agents("observation", text),
        "action_spec": of_agents("action", text),
        "reward_spec": of_agents("reward", number),
        "done_spec": specs.Composite({name: flag() for name in ("done", "terminated", "truncated")}),
    }
