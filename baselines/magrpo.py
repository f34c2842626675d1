"""MAGRPO: multi-agent group-relative policy optimisation (Liu et al. 2025, arXiv:2508.04652; a baseline of
arXiv:2601.21972).  With one agent it is GRPO.

At every joint history h_t the agents sample K texts each.  The joint turns they make (aligned: the g-th texts
of all agents together; cross: all K^N combinations) branch into subtrees.  With r_g the reward of branch g:

    R_g  = r_g + gamma * mean of the returns of the branches that follow g
    A_g  = R_g - mean_g R_g                           the group's mean is the baseline, there is no critic
    grad J_i = E[ sum_t mean_g  A_{t,g}  grad log pi_i(a_{i,t,g} | h_{i,t}) ]         each agent by itself

`credit` turns the team's A into one for each agent (credit/rules.py); shared, the default, leaves it alone.

MAGRPO assumes that the branches of a group differ in their texts only, so that their mean return estimates
the value of h_t.  There is no gradient where all branches of a group earn the same.  The group's mean
contains each text's own return, which shrinks the gradient by the factor 1 - 1/K.

To read on, in order: play/rollout.py (the tree), credit/rules.py (p and m), formulas/advantages.py (mean),
train/team.py (lessons to policies), lm/learning.py (passes), formulas/losses.py (importance ratio, loss).

Where we differ from the paper:
- `divide_by_std` is off.  Dividing by a group's deviation gives every group the same weight, however little
  its returns differ: on the two-step game of the QMIX paper nearly every run then ends in the worse branch
  (7, not 8); without it the runs reach 8 (tests/baselines/test_known_answers.py shows both).
- cross: a text's return is the mean, not the sum, over the joint turns that contain it, so that the size of a
  step does not depend on the number of agents.
- The probability of a text includes temperature, top-p and its end-of-text token: texts are scored by the
  distribution that they were sampled from.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from baselines.credit import rules
from baselines.credit.rules import Shares
from baselines.formulas.advantages import divide_by_std, group_baseline
from baselines.lm.history import Move
from baselines.lm.learning import Lesson
from baselines.play.episode import Node, rollout_metrics
from baselines.play.rollout import play, starts
from baselines.train.settings import Settings
from baselines.train.team import Team, build_team
from collm_envs import Task, takes_turns

IDLE = (
    "credit={!r} with joint='cross' changes nothing: every text of an agent meets the same texts of the "
    "others, so what is subtracted is the same for all of them; take joint='aligned'"
)


@dataclass
class Config(Settings):
    """Settings of MAGRPO."""

    group: int = 4
    """K: texts each agent samples at a history; a start becomes K^turns episodes, and is played whole"""
    joint: Literal["aligned", "cross"] = "aligned"
    """which joint turns the K texts of each agent make"""
    gamma: float = 1.0
    """discount between turns"""
    divide_by_std: bool = False
    """divide advantages by their group's standard deviation, as GRPO does"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group < 2:
            raise ValueError(f"group must be at least 2, got {self.group}: the baseline is the group's mean")
        self.check_group(self.group)
        if self.joint == "cross" and self.credit in ("difference", "counterfactual"):
            raise ValueError(IDLE.format(self.credit))


def team(config: Config, task: Task) -> Team:
    """Actors alone: MAGRPO has no critic.

    Raises ValueError for joint="cross" or mixed_batches where agents take turns.
    """
    config.check_task(task)
    if config.joint == "cross" and takes_turns(task):
        raise ValueError(
            "joint='cross' crosses texts of one step, and in this task (order='sequential') one is written"
        )
    divided = rules.make(config.credit, config.credit_samples, task, config.checked_turns)
    if config.joint == "cross" and divided.blind:
        raise ValueError(IDLE.format(config.credit))
    grown = width(config, task) ** task.max_turns
    if grown > config.episodes:
        warnings.warn(
            f"a step plays {grown} episodes, not {config.episodes}: one start with group={config.group}, "
            f"joint={config.joint!r} grows as many in {task.max_turns} turns of {len(task.agents)} agents",
            stacklevel=2,
        )
    return replace(build_team(config, task.agents), credit=divided)


def width(config: Config, task: Task) -> int:
    """Joint turns that follow one history."""
    return config.group if config.joint == "aligned" else config.group ** len(task.agents)


def train(config: Config, task: Task, team: Team) -> Iterator[dict[str, float]]:
    """Take `config.steps` steps; yields what to log after each."""
    siblings = width(config, task)
    roots = max(1, config.episodes // siblings**task.max_turns)
    while team.step < config.steps:
        nodes = play(
            task,
            starts(task, config.seed, team.step, roots),
            team.policies,
            f"{config.seed}/{team.step}",
            copies=[config.group] * task.max_turns,
            joint=config.joint,
            alternatives=team.credit.alternatives,
        )
        shares = team.credit.divide(task, nodes)
        lessons = {agent: Lesson() for agent in task.agents}
        for k in range(0, len(nodes), siblings):
            collect(nodes[k : k + siblings], config, shares, lessons, 1 / roots)
        metrics = team.learn(lessons, config)
        team.step += 1
        checked = team.credit.agreement(task, nodes, shares)
        yield {**rollout_metrics(nodes), **shares.metrics, **checked, **metrics}


def collect(
    group: Sequence[Node], config: Config, shares: Shares, lessons: dict[str, Lesson], weight: float
) -> list[float]:
    """Learn from these siblings, which weigh `weight` together, and all who follow; returns their R_g."""
    returns = []
    for node in group:
        following = [0.0]
        if node.children:
            following = collect(node.children, config, shares, lessons, weight / len(group))
        returns.append(node.reward + config.gamma * sum(following) / len(following))
    for agent in [agent for agent in lessons if agent in group[0].moves]:  # the same in all siblings
        texts, turns = texts_in(group, agent)
        p, m = shares.p(group, agent), shares.m(group[:1], agent)  # siblings follow one state: one weight
        own = (torch.tensor(returns, dtype=torch.float64) + p).tolist()
        R = torch.tensor([[sum(own[g] for g in taken) / len(taken) for taken in turns]], dtype=torch.float64)
        A = R - group_baseline(R, "mean")
        if config.divide_by_std:
            A = divide_by_std(A)
        for move, advantage in zip(texts, (m * A)[0].tolist(), strict=True):
            lessons[agent].add(move, advantage, weight / len(texts))
    return returns


def texts_in(group: Sequence[Node], agent: str) -> tuple[list[Move], list[list[int]]]:
    """The K texts of an agent in a group, and for each the indices of the nodes in which it was played."""
    moves = {id(node.moves[agent]): node.moves[agent] for node in group}
    turns: dict[int, list[int]] = {text: [] for text in moves}
    for g, node in enumerate(group):
        turns[id(node.moves[agent])].append(g)
    return [*moves.values()], [*turns.values()]
