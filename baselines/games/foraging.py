"""Level-based foraging (package lbforaging; Papoudakis et al. 2021, arXiv:2006.07869), as PettingZoo.

Every agent gets the sum of all agents' rewards of the turn, so an episode pays 1 if all food is eaten.  The
package has no state; it is made of the players and the field.  Positions are divided by the side of the
field and levels by the highest food level, in observations too (the package: whole numbers), so that
untrained networks start with small values.  The time limit (50 turns) truncates; the package reports it as a
termination.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
import lbforaging  # noqa: F401  (registers its ids with gymnasium)
import numpy as np
from gymnasium.spaces import Box
from pettingzoo import ParallelEnv

from baselines.games.game import Game, consecutive


class Foraging(ParallelEnv):
    """One of lbforaging's ids, e.g. "Foraging-8x8-2p-2f-coop-v3".

    State: `players` (N, 3) and `food` (F, 3), columns (row, column, level); eaten food has level 0.
    """

    metadata: ClassVar = {"name": "foraging", "render_modes": []}
    render_mode = None

    def __init__(self, id: str):
        env: Any = gymnasium.make(id, disable_env_checker=True).unwrapped
        self._env, self._food = env, np.zeros((env.max_num_food, 2), int)
        self.possible_agents = [f"agent_{k}" for k in range(len(env.players))]
        self.agents: list[str] = []
        space = env.observation_space[0]  # triples, food before players: row, column, level
        unit = np.array([*env.field_size, space.high[2]], np.float32)
        self._unit = np.tile(unit, len(env.players) + env.max_num_food)
        self.state_space = Box(0.0, 1.0, self._unit.shape, np.float32)
        space = Box(space.low / self._unit, space.high / self._unit, dtype=np.float32)
        self.observation_spaces = dict.fromkeys(self.possible_agents, space)
        self.action_spaces = dict(zip(self.possible_agents, env.action_space, strict=True))

    def observation_space(self, agent: str) -> gymnasium.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> gymnasium.Space:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        for player in self._env.players:
            player.position = (
                None  # else the package spawns around the last episode's positions, whatever the seed
            )
        obs, _ = self._env.reset(seed=seed)
        cells = np.argwhere(self._env.field > 0)
        self._food = np.zeros_like(self._food)  # food that was not placed: level 0 at row 0, column 0
        self._food[: len(cells)] = cells
        self.agents = list(self.possible_agents)
        return self._by_agent(obs), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
        agents = self.agents
        obs, rewards, done, _, _ = self._env.step([int(actions[agent]) for agent in self.possible_agents])
        eaten = not self._env.field.any()
        if done:
            self.agents = []
        return (
            self._by_agent(obs),
            dict.fromkeys(agents, float(sum(rewards))),
            dict.fromkeys(agents, bool(done and eaten)),
            dict.fromkeys(agents, bool(done and not eaten)),
            {agent: {} for agent in agents},
        )

    def state(self) -> np.ndarray:
        players = [(*player.position, player.level) for player in self._env.players]
        food = [(row, column, self._env.field[row, column]) for row, column in self._food]
        return np.array([*players, *food], np.float32).reshape(-1) / self._unit

    def _by_agent(self, obs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        return {agent: row / self._unit for agent, row in zip(self.possible_agents, obs, strict=True)}


def foraging(id: str) -> Game:
    """The game `Foraging` with the fields of its state."""
    env = Foraging(id)
    return Game(env, consecutive({"players": (len(env.possible_agents), 3), "food": (len(env._food), 3)}))
