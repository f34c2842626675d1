"""CoLLM-CC and CoLLM-DC: multi-agent actor-critic for language models (arXiv:2601.21972).  One agent: AC.

CC has one critic V(h_t) of the joint history, DC one critic V_i(h_{i,t}) of each agent's own; both are read
where the agents are about to write, and neither exists at execution.

    delta_t  = r_t + gamma V(h_{t+1}) - V(h_t)                       V = 0 after the task's last turn
    A_t      = sum_k (gamma lambda)^k delta_{t+k}        lambda: 0 is TD(0), the papers'; 1 is Monte Carlo
    grad J_i = E[ sum_t  rho_{i,t} A_t  grad log pi_i(a_{i,t} | h_{i,t}) ],    rho = pi_i / pi_i,old
    L(V)     = mean_t (V(h_t) - sg[A_t + V(h_t)])^2

`credit` turns the team's A into one for each agent (credit/rules.py); shared, the default, leaves it alone.

Where we differ from the paper:
- One critic step per batch, whatever the number of agents (the published code steps the central critic once
  for each agent on the same inputs), and `critic_epochs` passes where asked for.  A critic on the actor takes
  no steps of its own: value_coef L(V) is added to the policy's loss.
- Advantages are not normalised unless `normalize` is set: then each agent's batch by itself.
- lambda is a choice; its default is the paper's TD(0).
- The critic reads a whole conversation once and gives the values of all its turns.
- V only: a critic Q(h, a) as the baseline of the same a takes the signal away as it becomes accurate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from baselines.credit import rules
from baselines.formulas.advantages import gae
from baselines.lm.history import Segment
from baselines.lm.optimizer import Optimizer
from baselines.play.episode import Node, episodes, table
from baselines.play.rollout import play, starts, summary
from baselines.train.critic import Critic, joint_histories, local_histories
from baselines.train.settings import Settings
from baselines.train.team import Team, build, optimizer
from baselines.train.update import Beside, Lesson, improve_team
from collm_envs import Task

VALUE_COEF = 0.6
"""the published weight of the value loss"""
ValueLoss = Callable[..., float]
"""adds the gradient of `coef` times a critic's loss; returns the loss"""


@dataclass
class Config(Settings):
    """Settings of CoLLM-CC and CoLLM-DC."""

    critic: Literal["central", "decentral"] = "central"
    """central: one V of the joint history, CoLLM-CC; decentral: one V_i of each agent's own, CoLLM-DC"""
    critic_model: str = ""
    """folder or hub name of the critic's trunk; empty: the model of the agent it judges"""
    critic_on_actor: bool = False
    """the critic is a value head on the actor itself, not a model of its own: both step together"""
    critic_lr: float = 5e-6
    """the critic's learning rate; with critic_on_actor the head's, whose trunk steps by `lr`"""
    critic_epochs: int = 1
    """passes of the critic over a step's episodes"""
    critic_max_context: int = 16_384
    """tokens of one history the critic reads"""
    value_coef: float = VALUE_COEF
    """weight of the value loss beside the policy's, with critic_on_actor"""
    value_clip: float | None = None
    """clip of the value's change over several critic_epochs; None leaves it unclipped"""
    gamma: float = 0.9
    """discount between turns"""
    lam: float = 0.0
    """lambda of GAE: 0 for TD(0), 1 for Monte Carlo"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.value_coef < float("inf"):
            raise ValueError(f"value_coef must be above 0 and finite, got {self.value_coef}")
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
    """Actors and their critics."""
    divided = rules.make(config, task)
    names = ["central"] if config.critic == "central" else list(task.agents)
    if config.critic_on_actor:
        return replace(with_heads(config, build(config, task.agents), names), credit=divided)
    if config.value_coef != VALUE_COEF:
        raise ValueError(
            f"value_coef={config.value_coef:g} changes nothing here: AdamW steps of a critic with weights of "
            "its own do not depend on its loss's scale; set critic_lr, or critic_on_actor=True, where the "
            "value loss stands beside the policy's"
        )
    made = build(
        config,
        task.agents,
        names,
        critic_model=config.critic_model,
        critic_lr=config.critic_lr,
        critic_epochs=config.critic_epochs,
        critic_max_context=config.critic_max_context,
    )
    return replace(made, credit=divided)


def with_heads(config: Config, team: Team, names: Sequence[str]) -> Team:
    """The team with critics that are value heads on its policies: one optimizer steps a policy and its heads.

    names: "central", or the agents that are judged.
    """
    for name in names:
        actor = team.policies[next(iter(team.policies)) if name == "central" else name]
        team.critics[name] = Critic(actor, config.critic_max_context)
    for name in team.members():
        policy = team.policy(name)
        heads = [p for c in team.critics.values() if c.lm is policy for p in c.head.parameters()]
        passes = max(config.epochs, config.critic_epochs)
        team.optimizers[name] = optimizer(
            policy.parameters(), config, config.lr, passes, heads, config.critic_lr
        )
    return team


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
        on_actors: dict[str, list[ValueLoss]] = {}
        for name, critic in team.critics.items():
            histories = [h for path in paths for h in histories_of(name, path, team)]
            old = critic.values(histories)
            V = per_turn(old, paths)
            A = gae(rewards, V, config.gamma, config.lam)
            targets = torch.cat([A[e, : len(path)] + V[e, : len(path)] for e, path in enumerate(paths)])
            if config.critic_on_actor:
                loss = partial(critic.backward, histories, targets, clip=config.value_clip, old=old)
                on_actors.setdefault(critic.lm.name, []).append(loss)
            else:
                fitted = fit(config, critic, team.critic_optimizers[name], histories, targets, old)
                add(metrics, fitted, 1 / len(team.critics))
            for agent in task.agents if name == "central" else [name]:
                own = shares.own(agent, paths, A, V)
                for e, path in enumerate(paths):
                    for t, node in enumerate(path):
                        lessons[agent].add(node.moves[agent], float(own[e, t]), 1 / len(paths))
            add(metrics, {"value": float(old.mean())}, 1 / len(team.critics))
        metrics |= improve_team(team, lessons, config, beside(config, on_actors, metrics))
        team.step += 1
        yield {**summary(nodes), **shares.metrics, **metrics}


def fit(
    config: Config,
    critic: Critic,
    optimizer: Optimizer,
    histories: Sequence[Segment],
    targets: Tensor,
    old: Tensor,
) -> dict[str, float]:
    """`critic_epochs` steps of a critic with weights of its own.   -> averages to log"""
    metrics: dict[str, float] = {}
    for _ in range(config.critic_epochs):
        fitted = critic.fit(
            optimizer, histories, targets, coef=config.value_coef, clip=config.value_clip, old=old
        )
        add(metrics, fitted, 1 / config.critic_epochs)
    return metrics


def beside(
    config: Config, losses: Mapping[str, Sequence[ValueLoss]], metrics: dict[str, float]
) -> dict[str, Beside]:
    """What each policy's steps learn from beside its texts: value_coef times the mean loss of its heads."""
    heads = sum(map(len, losses.values()))

    def backward(name: str) -> None:
        for loss in losses[name]:
            value_loss = loss(coef=config.value_coef / len(losses[name]))
            add(metrics, {"value_loss": value_loss}, 1 / heads / config.critic_epochs)

    return {name: Beside(config.critic_epochs, partial(backward, name)) for name in losses}


def add(metrics: dict[str, float], more: Mapping[str, float], share: float) -> None:
    """Count `share` of these metrics into the others."""
    for key, value in more.items():
        metrics[key] = metrics.get(key, 0.0) + value * share


def histories_of(name: str, path: Sequence[Node], team: Team) -> list[Segment]:
    """What the critic reads before each turn of an episode: the joint history, or one agent's own."""
    if name == "central":
        return joint_histories(path, team.critics[name].lm)
    return local_histories(path, name)


def per_turn(values: Tensor, paths: Sequence[Sequence[Node]]) -> Tensor:
    """The values of all turns laid end to end, as a table.   (turns,) -> (E, H), zero after an end"""
    place = iter(values.tolist())
    return table(paths, lambda node: next(place))
