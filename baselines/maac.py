"""CoLLM-CC and CoLLM-DC: multi-agent actor-critic for language models (arXiv:2601.21972).  One agent: AC.

CC has one critic V(h_t) of the joint history, DC one critic V_i(h_{i,t}) of each agent's own; both are read
where the agents are about to write, and neither exists at execution.

    delta_t  = r_t + gamma V(h_{t+1}) - V(h_t)                       V = 0 after the task's last turn
    A_t      = sum_k (gamma lambda)^k delta_{t+k}        lambda: 0 is TD(0), the papers'; 1 is Monte Carlo
    grad J_i = E[ sum_t  rho_{i,t} A_t  grad log pi_i(a_{i,t} | h_{i,t}) ],    rho = pi_i / pi_i,old
    L(V)     = mean_t (V(h_t) - sg[A_t + V(h_t)])^2

`credit` turns the team's A into one for each agent (core/credit.py); shared, the default, leaves it alone.

Where we differ from the paper:
- One critic step per batch, whatever the number of agents (the published code steps the central critic once
  for each agent on the same inputs), and `critic_epochs` passes where asked for.
- Advantages are not normalised unless `normalize` is set: then each agent's batch by itself.
- lambda is a choice; its default is the paper's TD(0).
- The critic reads a whole conversation once and gives the values of all its turns.
- V only: a critic Q(h, a) as the baseline of the same a takes the signal away as it becomes accurate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from baselines.core import credit
from baselines.core.advantages import gae
from baselines.core.critic import joint_histories, local_histories
from baselines.core.episode import Node, Segment, episodes, table
from baselines.core.improve import Lesson, improve_team
from baselines.core.rollout import play, starts, summary
from baselines.core.settings import Settings
from baselines.core.team import Team, build
from collm_envs import Task, takes_turns


@dataclass
class Config(Settings):
    """Settings of CoLLM-CC and CoLLM-DC."""

    critic: Literal["central", "decentral"] = "central"
    """central: one V of the joint history, CoLLM-CC; decentral: one V_i of each agent's own, CoLLM-DC"""
    critic_model: str = ""
    """folder or hub name of the critic's trunk; empty: the model of the agent it judges"""
    critic_on_actor: bool = False
    """the critic is a value head on the actor itself, not a model of its own"""
    critic_lr: float = 5e-6
    """the critic's learning rate"""
    critic_epochs: int = 1
    """passes of the critic over a step's episodes"""
    critic_max_context: int = 16_384
    """tokens of one history the critic reads"""
    value_coef: float = 0.6
    """weight of the value loss"""
    value_clip: float | None = None
    """clip of the value's change over several critic_epochs; None leaves it unclipped"""
    gamma: float = 0.9
    """discount between turns"""
    lam: float = 0.0
    """lambda of GAE: 0 for TD(0), 1 for Monte Carlo"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.critic_on_actor and self.critic == "central" and not self.shared:
            raise ValueError(
                "critic_on_actor with a central critic needs shared=True: one agent's own model "
                "must not learn from the joint history"
            )
        if self.critic_model and self.critic == "decentral":
            raise ValueError(
                "critic_model is for the central critic; a decentral one reads its agent's tokens"
            )


def team(config: Config, task: Task) -> Team:
    """Actors and their critics.  Raises ValueError for decentral critics where agents take turns."""
    if config.critic == "decentral" and takes_turns(task):
        raise ValueError(
            "critic='decentral' values every step by what the agent has just read, and in this task "
            "(order='sequential') some read nothing; use critic='central'"
        )
    divided = credit.make(config, task)
    made = build(
        config,
        task.agents,
        ["central"] if config.critic == "central" else list(task.agents),
        critic_model=config.critic_model,
        critic_on_actor=config.critic_on_actor,
        critic_lr=config.critic_lr,
        critic_epochs=config.critic_epochs,
        critic_max_context=config.critic_max_context,
    )
    return replace(made, credit=divided)


def train(config: Config, task: Task, team: Team) -> Iterator[dict[str, float]]:
    """Take `config.steps` steps; yields what to log after each."""
    while team.step < config.steps:
        nodes = play(
            task,
            starts(task, config.seed, team.step, config.episodes),
            team.policies,
            f"{config.seed}/{team.step}",
            alternatives=team.credit.alternatives,
        )
        shares = team.credit.divide(task, nodes)
        paths = episodes(nodes)
        lessons = {agent: Lesson() for agent in task.agents}
        metrics: dict[str, float] = {}
        rewards = table(paths, lambda node: node.reward)
        for name, critic in team.critics.items():
            histories = [h for path in paths for h in histories_of(name, path, team)]
            old = critic.values(histories)
            V = per_turn(old, paths)
            A = gae(rewards, V, config.gamma, config.lam)
            for _ in range(config.critic_epochs):
                fitted = critic.fit(
                    team.critic_optimizers[name],
                    histories,
                    torch.cat([A[e, : len(path)] + V[e, : len(path)] for e, path in enumerate(paths)]),
                    coef=config.value_coef,
                    clip=config.value_clip,
                    old=old,
                )
                for key, value in fitted.items():
                    metrics[key] = metrics.get(key, 0.0) + value / len(team.critics) / config.critic_epochs
            for agent in task.agents if name == "central" else [name]:
                own = shares.own(agent, paths, A, V)
                for e, path in enumerate(paths):
                    for t, node in enumerate(path):
                        if agent in node.moves:
                            lessons[agent].add(node.moves[agent], float(own[e, t]), 1 / len(paths))
            metrics["value"] = metrics.get("value", 0.0) + float(old.mean()) / len(team.critics)
        metrics |= improve_team(team, lessons, config)
        team.step += 1
        yield {**summary(nodes), **shares.metrics, **metrics}


def histories_of(name: str, path: Sequence[Node], team: Team) -> list[Segment]:
    """What the critic reads before each turn of an episode: the joint history, or one agent's own."""
    if name == "central":
        return joint_histories(path, team.critics[name].lm)
    return local_histories(path, name)


def per_turn(values: Tensor, paths: Sequence[Sequence[Node]]) -> Tensor:
    """The values of all turns laid end to end, as a table.   (turns,) -> (E, H), zero after an end"""
    place = iter(values.tolist())
    return table(paths, lambda node: next(place))
