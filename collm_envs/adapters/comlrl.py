"""CoMLRL's trainers (MAGRPO, IAC, MAAC) on an environment.

    plugged = plug("StrBuild-v0")
    MAGRPOTrainer(agent_model=..., num_agents=2, reward_func=plugged.reward_func,
                  formatters=plugged.formatters, external_transition=plugged.external_transition,
                  train_dataset=plugged.train_dataset, eval_dataset=plugged.eval_dataset,
                  args=MAGRPOConfig(num_agents=2, num_turns=4, early_termination_threshold=None))

CoMLRL grows a tree of turns and tells its reward function neither turn nor history, so these callables
remember where in the tree it is: a formatter called for an item begins a tree, `external_transition` enters
a branch, and rewards are those of the branch entered last.  A branch is a copy of the environment, played
once.  One reward a joint sample, the team's; 0 and an empty prompt after an episode's end.

CoMLRL keeps no history, so environments are made with `self_contained=True`, and it tokenizes prompts as they
are, without a chat template.  One `Plug` serves one trainer.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.adapters.framework import load_framework
from collm_envs.env import TextEnv
from collm_envs.registry import make
from collm_envs.task import takes_turns

VERSION = "1.4.3"
Joint = tuple[str, ...]
"""one text of each agent, in the agents' order"""


class Plug(NamedTuple):
    """What CoMLRL's trainers take, under the names of their arguments."""

    reward_func: Callable[..., list[float]]
    """(texts of agent 0, texts of agent 1, ..., batch_items=[row]) -> one reward for each joint sample"""
    formatters: list[Callable[..., str]]
    """for each agent: (row, external_prompts=None) -> prompt"""
    external_transition: Callable[..., list[str]]
    train_dataset: Any
    """rows of prompt, item, split, seed; the seed is the item's index"""
    eval_dataset: Any


def plug(id: str, **make_kwargs: Any) -> Plug:
    """The callables and data sets of `make(id, **make_kwargs)`.

    Warns, for an environment of several turns, of CoMLRL's default early stop.  Raises ImportError without
    CoMLRL, ValueError where agents write one after the other.
    """
    load_framework("comlrl", VERSION)
    datasets = load_framework("datasets", "3")
    env = make(id, **{"self_contained": True, **make_kwargs})
    if takes_turns(env.task):
        raise ValueError(
            f"{id}: agents take turns (order='sequential'), and CoMLRL samples all agents at every turn"
        )
    if env.task.max_turns > 1 and env.max_cycles != 1:
        warnings.warn(
            f"{id}: CoMLRL's default early_termination_threshold=-0.2 ends an episode after any turn whose "
            "mean reward is above it, so that later turns are hardly trained; set it to None",
            stacklevel=2,
        )
    tree = _Tree(env)
    return Plug(
        tree.reward,
        [_formatter(tree, agent) for agent in env.possible_agents],
        tree.enter,
        *(datasets.Dataset.from_list(_rows(env, split)) for split in ("train", "eval")),
    )


def _rows(env: TextEnv, split: str) -> list[dict[str, Any]]:
    rows = []
    for seed, item in enumerate(env.items(split)):
        observations, _ = env.reset(seed=seed, options={"item": item.id, "split": split})
        prompt = observations[env.possible_agents[0]]
        rows.append({"prompt": prompt, "item": item.id, "split": split, "seed": seed})
    return rows


def _formatter(tree: _Tree, agent: str) -> Callable[..., str]:
    def prompt(row: Mapping[str, Any], external_prompts: str | None = None) -> str:
        return tree.opening(row, agent) if external_prompts is None else tree.passed(external_prompts)

    return prompt


class _Tree:
    """Where CoMLRL is in the tree of one row: the branch, and every environment played so far."""

    def __init__(self, env: TextEnv):
        self.root = env
        self.row: dict[str, Any] = {}
        self.branch: tuple[Joint, ...] = ()
        self.waiting = False
        """for rewards: prompts have been read since the last; MAGRPO.evaluate reads one more before each"""
        self.played: dict[tuple[Joint, ...], tuple[TextEnv, dict[str, str], float]] = {}
        """branch -> (environment, {agent: next message}, reward of the last turn)"""

    def opening(self, row: Mapping[str, Any], agent: str) -> str:
        """The first prompt of `agent`; begins the row's tree unless that has begun just now."""
        if not row.keys() >= {"item", "split", "seed"}:
            raise ValueError(
                f"{self.root.spec.id}: need rows of plug(...)'s data sets, with item, split and seed; "
                f"got the columns {sorted(row)}"
            )
        key = {name: row[name] for name in ("item", "split", "seed")}
        if not self.waiting or key != self.row:
            self.row, self.branch, self.waiting = key, (), True
            options = {"item": key["item"], "split": key["split"]}
            observations, _ = self.root.reset(seed=key["seed"], options=options)
            self.played = {(): (self.root, observations, 0.0)}
        return self.played[()][1][agent]

    def passed(self, prompt: str) -> str:
        self.waiting = True
        return prompt

    def enter(
        self,
        prompt: str,
        agent_completions: Sequence[str],
        num_agents: int,
        prompt_history_per_agent: Sequence[Sequence[str]] | None = None,
        response_history_per_agent: Sequence[Sequence[str]] | None = None,
    ) -> list[str]:
        """CoMLRL's `external_transition`: the next prompts after these texts, one for each agent."""
        history = response_history_per_agent or [[text] for text in agent_completions]
        self._check(history)
        self.branch = tuple(zip(*history, strict=True))
        observations = self._play(self.branch)[1]
        return [observations[agent] for agent in self.root.possible_agents]

    def reward(self, *completions: Sequence[str], batch_items: Any = None) -> list[float]:
        """CoMLRL's `reward_func`: what each joint sample earns as the next turn of the branch."""
        self._check(completions)
        self.waiting = False
        return [self._play((*self.branch, joint))[2] for joint in zip(*completions, strict=True)]

    def _check(self, columns: Sequence[Sequence[str]]) -> None:
        agents, lengths = self.root.possible_agents, [len(column) for column in columns]
        if len(columns) != len(agents) or len({*lengths}) != 1:
            raise ValueError(f"{self.root.spec.id}: need as many texts of each of {agents}, got {lengths}")
        if not self.row:
            raise RuntimeError(f"{self.root.spec.id}: no prompt was read yet; pass plug(...).formatters too")

    def _play(self, branch: tuple[Joint, ...]) -> tuple[TextEnv, dict[str, str], float]:
        if branch not in self.played:
            before, observations, _ = self._play(branch[:-1])
            if not before.agents:
                return before, dict.fromkeys(observations, ""), 0.0
            env = copy.deepcopy(before)
            observations, rewards, *_ = env.step(dict(zip(env.possible_agents, branch[-1], strict=True)))
            self.played[branch] = env, observations, rewards[env.possible_agents[0]]
        return self.played[branch]
