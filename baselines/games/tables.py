"""Matrix games of one or two turns with known optima.

climbing, penalty   Claus & Boutilier 1998        best 11 at (0, 0); 10 at (0, 0) and (2, 2)
qtran               Son et al. 2019, 1905.05408   best 8 at (0, 0)
two-step            Rashid et al. 2018, 1803.11485   best 8; the other branch always pays 7
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

from baselines.games.game import Game

Table = Sequence[Sequence[float]]
"""rows: action of agent_0, columns: action of agent_1"""


def penalty(k: float) -> Table:
    """The penalty game: `k` for meeting at opposite corners."""
    return ((10, 0, k), (0, 2, 0), (k, 0, 10))


PAYOFFS: Mapping[str, Table] = {
    "climbing": ((11, -30, 0), (-30, 7, 6), (0, 0, 5)),
    "penalty-0": penalty(0),
    "penalty-25": penalty(-25),
    "penalty-100": penalty(-100),
    "qtran": ((8, -12, -12), (-12, 0, 0), (-12, 0, 0)),
}


class Tables(ParallelEnv):
    """Two agents who observe the current table (one-hot); both get the entry of their joint action.

    `payoffs[s]` is table s, `follows[s]` the next table of each joint action, -1 for the end.
    """

    metadata: ClassVar = {"name": "tables", "render_modes": []}
    render_mode = None

    def __init__(self, payoffs: Sequence[Table], follows: Sequence[Sequence[Sequence[int]]]):
        self.payoffs, self.follows = [np.array(p, float) for p in payoffs], [np.array(f) for f in follows]
        self.possible_agents = ["agent_0", "agent_1"]
        self.agents: list[str] = []
        one_hot = Box(0.0, 1.0, (len(payoffs),), np.float32)
        self.observation_spaces = dict.fromkeys(self.possible_agents, one_hot)
        sizes = self.payoffs[0].shape
        self.action_spaces = {a: Discrete(n) for a, n in zip(self.possible_agents, sizes, strict=True)}
        self.state_space = one_hot
        self._at = 0

    def observation_space(self, agent: str) -> Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        self._at, self.agents = 0, list(self.possible_agents)
        return self._observations(), {agent: {} for agent in self.agents}

    def step(self, actions: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
        agents, joint = self.agents, tuple(int(actions[agent]) for agent in self.possible_agents)
        reward, follows = float(self.payoffs[self._at][joint]), int(self.follows[self._at][joint])
        done = follows < 0
        self._at = self._at if done else follows
        if done:
            self.agents = []
        return (
            self._observations(),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, done),
            dict.fromkeys(agents, False),
            {agent: {} for agent in agents},
        )

    def state(self) -> np.ndarray:
        return np.eye(len(self.payoffs), dtype=np.float32)[self._at]

    def _observations(self) -> dict[str, np.ndarray]:
        return {agent: self.state() for agent in self.possible_agents}


def matrix(payoff: Table) -> Tables:
    """A game of one turn with one table."""
    return Tables([payoff], [[[-1] * len(row) for row in payoff]])


def two_step() -> Tables:
    """agent_0's first action chooses the second table: A, 7 everywhere, or B, [[0, 1], [1, 8]]."""
    end = [[-1, -1], [-1, -1]]
    return Tables([((0, 0), (0, 0)), ((7, 7), (7, 7)), ((0, 1), (1, 8))], [[[1, 1], [2, 2]], end, end])


def game(env: Tables) -> Game:
    """The game with its state as the field `table` (number of tables,), one-hot."""
    return Game(env, {"table": np.arange(len(env.payoffs))})
