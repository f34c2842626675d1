"""Any PettingZoo parallel environment with discrete actions, as arrays, for value decomposition.

Observations are flattened and padded with zeros to one width; the team's reward is the mean over the
agents (of a shared reward: that reward); the global state is the environment's `state()`, or all
observations concatenated if it has none.  Agents must start and end an episode together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.spaces.utils import flatdim, flatten
from pettingzoo import ParallelEnv

Fields = Mapping[str, np.ndarray]
"""{name: integer array of any shape}: indices of the field's entries in the flat state"""


class Layout(NamedTuple):
    """The sizes of a game."""

    agents: tuple[str, ...]
    obs_dim: int
    """width of the observations, padded to the widest agent's"""
    n_actions: tuple[int, ...]
    """number of actions of each agent"""
    state_dim: int
    fields: Fields
    """names of the state's entries, for functions written by people or language models"""


class Sight(NamedTuple):
    """Observations and state before a turn: obs (N, obs_dim) and state (state_dim,), both float32."""

    obs: np.ndarray
    state: np.ndarray


class Step(NamedTuple):
    """The result of a turn.  `terminated`: the game is over; `truncated`: only the time limit ended it."""

    view: Sight
    reward: float
    terminated: bool
    truncated: bool


def consecutive(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Fields of these shapes that are consecutive in the flat state."""
    fields, start = {}, 0
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        fields[name] = np.arange(start, start + size).reshape(shape)
        start += size
    return fields


class Game:
    """A parallel environment with arrays for observations, state and actions.

    `fields` names the entries of the flat state; without it the state is one field called "state".
    Raises TypeError for actions that are not `Discrete`, ValueError for fields beyond the state.
    """

    def __init__(self, env: ParallelEnv, fields: Fields | None = None):
        self.env = env
        agents = tuple(env.possible_agents)
        self._spaces = [env.observation_space(agent) for agent in agents]
        n_actions = tuple(_n_actions(env, agent) for agent in agents)
        self._widths = [flatdim(space) for space in self._spaces]
        env.reset(seed=0)
        try:
            env.state()
            self._has_state = True
        except NotImplementedError:
            self._has_state = False
        self.layout = Layout(agents, max(self._widths), n_actions, 0, {})
        size = self.reset(0).state.size
        fields = {"state": np.arange(size)} if fields is None else fields
        beyond = [name for name, index in fields.items() if index.size and index.max() >= size]
        if beyond:
            raise ValueError(f"{env}: fields {beyond} lie beyond the state of {size} entries")
        self.layout = self.layout._replace(state_dim=size, fields=fields)

    def reset(self, seed: int) -> Sight:
        """Start an episode with `seed`; its first view."""
        obs, _ = self.env.reset(seed=seed)
        return self._view(obs)

    def step(self, actions: np.ndarray) -> Step:
        """Play one turn; `actions` is (N,) int.  Raises RuntimeError if only some of the agents end."""
        agents = self.layout.agents
        obs, rewards, terminated, truncated, _ = self.env.step(
            {agent: int(action) for agent, action in zip(agents, actions, strict=True)}
        )
        ended = [terminated[agent] or truncated[agent] for agent in agents]
        if any(ended) and not all(ended):
            gone = [agent for agent, end in zip(agents, ended, strict=True) if end]
            raise RuntimeError(f"{self.env}: agents must end together, only {gone} have")
        reward = sum(float(rewards[agent]) for agent in agents) / len(agents)
        done = all(terminated[agent] for agent in agents)
        return Step(self._view(obs), reward, done, all(ended) and not done)

    def _view(self, obs: Mapping[str, Any]) -> Sight:
        rows = np.zeros((len(self.layout.agents), self.layout.obs_dim), np.float32)
        for k, agent in enumerate(self.layout.agents):
            rows[k, : self._widths[k]] = np.asarray(flatten(self._spaces[k], obs[agent]))
        if not self._has_state:
            return Sight(rows, rows.reshape(-1).copy())
        return Sight(rows, np.asarray(self.env.state(), np.float32).reshape(-1))


def _n_actions(env: ParallelEnv, agent: str) -> int:
    space = env.action_space(agent)
    if not isinstance(space, Discrete) or space.start != 0:
        raise TypeError(f"{env}: need Discrete actions from 0 for {agent}, got {space}")
    return int(space.n)
