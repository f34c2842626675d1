"""CoLLM-CC and CoLLM-DC: multi-agent actor-critic for language models (arXiv:2601.21972).  One agent: AC.

CC has one critic V(h_t) of the joint history, DC one critic V_i(h_{i,t}) of each agent's own; both are read
where the agents are about to write, and neither exists at execution.

    delta_t  = r_t + gamma V(h_{t+1}) - V(h_t)                       V = 0 after the task's last turn
    A_t      = sum_k (gamma lambda)^k delta_{t+k}        lambda: 0 is TD(0), the papers'; 1 is Monte Carlo
    grad J_i = E[ sum_t  rho_{i,t} A_t  grad log pi_i(a_{i,t} | h_{i,t}) ],    rho = pi_i / pi_i,old
    L(V)     = mean_t (V(h_t) - sg[A_t + V(h_t)])^2

`credit` turns the team's A into one for each agent (credit/rules.py); shared, the default, leaves it alone.

Both assume that V is nearly right for the policies of this step: with lambda 0 an error of V biases the
gradient, with lambda 1 it adds noise.  At first V is 0, and A is the reward (lambda 1: the return) without a
baseline.  A critic of DC cannot predict what depends on texts of others that its agent has not read.

To read on, in order: play/rollout.py (episodes), train/critic.py (V), formulas/advantages.py (A),
credit/rules.py (p and m), train/team.py (lessons to policies), lm/learning.py (the passes),
formulas/losses.py (importance ratio rho, both losses).

Where we differ from the paper:
- One critic step per batch, whatever the number of agents (the published code steps the central critic once
  for each agent on the same inputs), and `critic_epochs` passes where asked for.  A critic on the actor takes
  no steps of its own: value_coef L(V) is added to the policy's loss.
- Advantages are not normalised unless `normalize` is set: then each agent's batch by itself.
- lambda is 0.9; the paper has TD(0), lambda 0, which `--paper` keeps.  CoLLM-CC with TD(0) ended lower in all
  five cells of 4 and 8 turns paid at the end in which both were run, two of them with the embedded model, and
  in 8 turns of the game paid at once; in 2 turns of it the two are not told apart (studies/claim.py).
- The critic reads a conversation once and gives the values of all its turns (critic_history="full").
- V only: a critic Q(h, a) as the baseline of the same a takes the signal away as it becomes accurate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from baselines.credit import rules
from baselines.formulas.advantages import gae, returns_to_go
from baselines.formulas.diagnostics import explained_variance
from baselines.lm.history import Segment
from baselines.lm.learning import Beside, Lesson
from baselines.lm.policy import History
from baselines.play.episode import Node, by_turn, episodes, rollout_metrics
from baselines.play.rollout import play, starts
from baselines.train.critic import Critic, CriticSettings, joint_texts
from baselines.train.settings import Settings
from baselines.train.team import Team, build_team
from collm_envs import Task, takes_turns

VALUE_COEF = 0.6
"""the published weight of the value loss"""


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
    critic_history: History = "full"
    """what a central critic reads: the joint history, or its newest turn alone, which is shorter and enough
    where that says all that later rewards hang on; a decentral critic reads what its agent does: `history`"""
    value_coef: float = VALUE_COEF
    """weight of the value loss beside the policy's, with critic_on_actor"""
    value_clip: float | None = None
    """clip of the value's change over several critic_epochs; None leaves it unclipped"""
    gamma: float = 0.9
    """discount between turns"""
    lam: float = 0.9
    """lambda of GAE: 0 for TD(0), as published, 1 for Monte Carlo"""

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
        if self.critic_history not in get_args(History):
            raise ValueError(
                f"critic_history must be one of {', '.join(get_args(History))}, got {self.critic_history!r}"
            )
        if self.critic_history != "full" and self.critic == "decentral":
            raise ValueError(
                "critic_history is for the central critic; a decentral one reads what its agent does: history"
            )


def team(config: Config, task: Task) -> Team:
    """Actors and their critics.

    Raises ValueError for decentral critics or mixed_batches where agents take turns.
    """
    config.check_task(task)
    if config.critic == "decentral" and takes_turns(task):
        raise ValueError(
            "critic='decentral' values every step by what the agent has just read, and in this task "
            "(order='sequential') some read nothing; use critic='central'"
        )
    divided = rules.make(config.credit, config.credit_samples, task, config.checked_turns)
    if config.value_coef != VALUE_COEF and not config.critic_on_actor:
        raise ValueError(
            f"value_coef={config.value_coef:g} changes nothing here: AdamW steps of a critic with weights of "
            "its own do not depend on its loss's scale; set critic_lr, or critic_on_actor=True, where the "
            "value loss stands beside the policy's"
        )
    critics = CriticSettings(
        ("central",) if config.critic == "central" else tuple(task.agents),
        config.critic_model,
        on_actor=config.critic_on_actor,
        one_loss=config.critic_on_actor,
        lr=config.critic_lr,
        epochs=config.critic_epochs,
        max_context=config.critic_max_context,
    )
    return replace(build_team(config, task.agents, critics), credit=divided)


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
        histories = {name: histories_of(critic, name, paths, config) for name, critic in team.critics.items()}
        values = {name: critic.values(histories[name]) for name, critic in team.critics.items()}
        judgements: list[Judgement] = []
        logs: list[Mapping[str, float]] = []
        for name, critic in team.critics.items():
            judgement = judge(config, critic, histories[name], values[name], paths)
            judgements.append(judgement)
            logs.append({"value": float(judgement.old.mean()), "explained_variance": judgement.explained})
            if not config.critic_on_actor:
                logs += fit(config, judgement)
            for agent in task.agents if name == "central" else [name]:
                A = shares.own(agent, paths, judgement.A, judgement.V)
                for e, path in enumerate(paths):
                    for t, node in enumerate(path):
                        if agent in node.moves:
                            lessons[agent].add(node.moves[agent], float(A[e, t]), 1 / len(paths))
        heads = beside(config, judgements) if config.critic_on_actor else {}
        updated = team.learn(lessons, config, heads)
        team.step += 1
        checked = team.credit.agreement(task, nodes, shares)
        yield {**rollout_metrics(nodes), **shares.metrics, **checked, **mean_of(logs), **updated}


class Judgement(NamedTuple):
    """What a critic says of a step's episodes: E of them, H turns at most, zero after an episode's end."""

    critic: Critic
    histories: Sequence[Segment]
    """what it read before every turn, episode by episode"""
    old: Tensor
    """(turns,) V of each of these histories"""
    V: Tensor
    """(E, H) the same values by episode and turn"""
    A: Tensor
    """(E, H) the team's advantages"""
    targets: Tensor
    """(turns,) A + V: what it is fitted to"""
    explained: float
    """share of the variance of the returns from each turn on that V explains"""


def histories_of(critic: Critic, name: str, paths: Sequence[list[Node]], config: Config) -> Sequence[Segment]:
    """What the central critic, or the one of the agent `name`, reads of these episodes, turn by turn."""
    if name != "central":
        return critic.before([node.moves[name] for path in paths for node in path])
    texts = [joint_texts(path) for path in paths]
    if config.critic_history == "last turn":  # every turn a history of its own
        texts = [[text] for of_path in texts for text in of_path]
    return critic.joint(texts)


def judge(
    config: Config,
    critic: Critic,
    histories: Sequence[Segment],
    values: Sequence[float] | Tensor,
    paths: Sequence[list[Node]],
) -> Judgement:
    """V and A of these episodes; `values`: V of each history."""
    lengths = [len(path) for path in paths]
    old = torch.as_tensor(values, dtype=torch.float64)
    V = pad_sequence(list(old.split(lengths)), batch_first=True)
    rewards = by_turn(paths, lambda node: node.reward)
    A = gae(rewards, V, config.gamma, config.lam)
    R = returns_to_go(rewards, config.gamma)
    targets, returns = (torch.cat([x[e, :n] for e, n in enumerate(lengths)]) for x in (A + V, R))
    return Judgement(critic, histories, old, V, A, targets, explained_variance(old, returns))


def fit(config: Config, judgement: Judgement) -> list[Mapping[str, float]]:
    """`critic_epochs` steps of a critic with weights of its own; returns what to log of each."""
    return [
        judgement.critic.fit(
            judgement.histories,
            judgement.targets,
            coef=config.value_coef,
            clip=config.value_clip,
            old=judgement.old,
        )
        for _ in range(config.critic_epochs)
    ]


def beside(config: Config, judgements: Sequence[Judgement]) -> dict[str, Beside]:
    """By policy, what its steps learn from beside its texts: value_coef times the mean loss of its heads."""
    by_policy: dict[str, list[Judgement]] = {}
    for judgement in judgements:
        by_policy.setdefault(judgement.critic.actor, []).append(judgement)
    return {
        name: Beside(
            config.critic_epochs,
            [
                partial(
                    head.critic.backward,
                    head.histories,
                    head.targets,
                    coef=config.value_coef / len(heads),
                    clip=config.value_clip,
                    old=head.old,
                )
                for head in heads
            ],
        )
        for name, heads in by_policy.items()
    }


def mean_of(logs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of every number over the dicts that have it."""
    keys = dict.fromkeys(key for log in logs for key in log)
    return {key: fmean(log[key] for log in logs if key in log) for key in keys}
