"""Our text environments with discrete actions: an action chooses one of a few texts for the current item.

So value decomposition and the text trainers can be compared on one task, with its own rules and reward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Box, Discrete, Space
from pettingzoo import ParallelEnv

import collm_envs
from baselines.games.game import Game, consecutive
from collm_envs import Item, TextEnv

Lists = Callable[[Any, Item], Mapping[str, Sequence[str]]]
"""(task, item) -> {agent: texts to choose from}; the same number for every item"""


class TextChoice(ParallelEnv):
    """A `TextEnv` on its train split, whose agents choose among fixed texts.

    Observation: turn and item (both one-hot) and the last reward.  State: these and all agents' last choices.
    """

    metadata: ClassVar = {"name": "text_choice", "render_modes": []}
    render_mode = None

    def __init__(self, env: TextEnv, lists: Lists):
        self.env, self.possible_agents = env, list(env.possible_agents)
        self.agents: list[str] = []
        items = env.items("train")
        self._number = {item.id: k for k, item in enumerate(items)}
        self.texts = [lists(env.task, item) for item in items]
        self.n_texts = len(self.texts[0]["agent_0"])
        self.shapes = {
            "turn": (env.task.max_turns,),
            "item": (len(items),),
            "reward": (1,),
            "choices": (len(self.possible_agents), self.n_texts),
        }
        width = env.task.max_turns + len(items) + 1
        low, high = min(0.0, *env.task.reward_range), max(1.0, *env.task.reward_range)
        observed, actions = Box(low, high, (width,), np.float32), Discrete(self.n_texts)
        self.observation_spaces = dict.fromkeys(self.possible_agents, observed)
        self.action_spaces = dict.fromkeys(self.possible_agents, actions)
        self.state_space = Box(low, high, (width + len(self.possible_agents) * self.n_texts,), np.float32)
        self._reward, self._chosen = 0.0, np.zeros(self.shapes["choices"], np.float32)

    def observation_space(self, agent: str) -> Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Space:
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
        _, infos = self.env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        self._reward, self._chosen = 0.0, np.zeros(self.shapes["choices"], np.float32)
        return self._observations(), infos

    def step(self, actions: Mapping[str, int]) -> tuple[dict[str, Any], ...]:
        texts = self.texts[self._item()]
        chosen = {agent: texts[agent][int(actions[agent])] for agent in self.agents}
        self._chosen = np.eye(self.n_texts, dtype=np.float32)[[int(actions[a]) for a in self.possible_agents]]
        _, rewards, terminated, truncated, infos = self.env.step(chosen)
        self._reward, self.agents = rewards["agent_0"], list(self.env.agents)
        return self._observations(), rewards, terminated, truncated, infos

    def state(self) -> np.ndarray:
        return np.concatenate([self._observation(), self._chosen.reshape(-1)])

    def _item(self) -> int:
        assert self.env.item is not None
        return self._number[self.env.item.id]

    def _observation(self) -> np.ndarray:
        turn = np.arange(self.env.task.max_turns) == len(self.env.turns)  # all 0 after the last turn
        item = np.arange(len(self.texts)) == self._item()
        return np.concatenate([turn, item, [self._reward]]).astype(np.float32)

    def _observations(self) -> dict[str, np.ndarray]:
        return {agent: self._observation() for agent in self.possible_agents}


def word_texts(task: Any, item: Item) -> dict[str, Sequence[str]]:
    """StrBuild: nothing; all cells in the first block; even or odd cells, cycling through all blocks.

    The best turn of two agents, worth 2: one chooses the even cells and the other the odd ones.
    """
    cells = sorted(task.scene(task.start(item, 0)).target)
    even, odd = [c for c in cells if sum(c) % 2 == 0], [c for c in cells if sum(c) % 2]
    return {
        agent: ["", _set(cells, blocks[:1]), _set(even, blocks), _set(odd, blocks)]
        for agent, blocks in zip(task.agents, task.blocks, strict=True)
    }


def _set(cells: Sequence[tuple[int, int, int]], blocks: Sequence[str]) -> str:
    return "\n".join(f"/setblock {x} {y} {z} {blocks[k % len(blocks)]}" for k, (x, y, z) in enumerate(cells))


def house_texts(task: Any, item: Item) -> dict[str, Sequence[str]]:
    """HouseBuild: nothing; /kill; the left half; the right half; the left half and /kill.

    The best turn of two agents, worth 1: one chooses the last of these and the other the right half.
    """
    scene = task.scene(task.start(item, 0))
    left, right = (
        "\n".join(
            f"/fill {x} {y} {z} {x} {y} {z} {block}"
            for (x, y, z), block in sorted(scene.target.items())
            if (2 * x < scene.size[0]) == first
        )
        for first in (True, False)
    )
    texts = ("", "/kill", left, right, f"{left}\n/kill")
    return dict.fromkeys(task.agents, texts)


LISTS: Mapping[str, Lists] = {"StrBuild-v0": word_texts, "HouseBuild-v0": house_texts}


def text_game(id: str) -> Game:
    """The game on the environment `id` with its list of texts and the fields of its state."""
    env = TextChoice(collm_envs.make(id), LISTS[id])
    return Game(env, _fields(env))


def _fields(env: TextChoice) -> dict[str, np.ndarray]:
    return consecutive(env.shapes)
