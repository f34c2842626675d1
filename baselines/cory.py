"""CORY: sequential cooperative fine-tuning of one language model (Ma et al. 2024, arXiv:2410.06101).

The model is duplicated.  The pioneer answers the query s_0; the observer reads s_0 and that answer, and
answers s_0 too.  Both are paid the sum of what the two answers earn, each by itself pays for leaving the
untrained model pi_0 at its own prompt x, and every T steps they exchange roles:

    a_1 ~ pi_pio(. | s_0)      a_2 ~ pi_obs(. | s_0, a_1)      r = r(s_0, a_1) + r(s_0, a_2)
    r_i = -eta log pi(w_i | x, w_<i) / pi_0(w_i | x, w_<i),  + r at the last token        x: its own prompt

    ppo    every token is a move, gamma = 1:  A_i = GAE(lambda) of r_i with V(x, w_<i)
    group  a text is one move:  A_g = sum_i r_{i,g} - mean_g of that, over the G answers to a query (the G
           observers read different answers, so what the pioneers earned stays in A_g as noise)

Afterwards either model works alone on s_0; evaluation and `save_pretrained` take each by itself.

CORY assumes that whoever has read another's answer can write a better one.  If the observer ignores the
pioneer's answer, two models learn alone, each with the other's reward as noise; if it copies the whole
answer, it explores nothing of its own.  The KL to pi_0 keeps both from writing the same answer for ever.

To read on, in order: tasks/observed.py (what the observer reads), play/rollout.py (episodes), train/pair.py
(payments, the KL of every token), formulas/advantages.py (A), train/critic.py (V),
lm/learning.py (the passes), formulas/losses.py (importance ratio, clip, loss).

Roles are exchanged, weights stay: which of llm_0 and llm_1 is pioneer follows from the step's number, so
optimizer, critic, KL weight and log lines stay with their model.  `observer` has the controls: "blind" reads
the query alone (no transfer), "none" is one model by itself at the very same settings; `exchange_every=0`
never exchanges.

Where we differ:
- The paper's algorithm 1 pays the observer r(s_0, a_1) in line 13; its text and code pay r(s_0, a_2).
- The published code exchanges by saving and reloading, which forgets Adam's moments and the KL weight.
- It z-scores rewards for CORY and not for its baseline, which changes eta; here `scale_rewards` is off.
- It samples with a repetition penalty that its probabilities ignore; here what is sampled is what is scored.
- The KL of a token is the log-ratio of the one that was drawn (k1: unbiased), as in the code; the paper
  writes the exact KL.
- V is a model of its own with steps of its own; published is a head on the policy's model and one loss for
  both (`critic_on_actor` has the head: its own steps disturb a small policy).
- Tasks of several turns: each model plays an episode of its own, the observer reads at turn t what the
  pioneer wrote at turn t, and rewards are summed turn by turn.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from baselines.formulas.advantages import gae, group_baseline, normalized, returns_to_go
from baselines.formulas.diagnostics import explained_variance, mean_variance
from baselines.formulas.losses import Objective
from baselines.lm.history import Move
from baselines.lm.learning import Lesson
from baselines.play.episode import Node, episodes, rollout_metrics
from baselines.play.rollout import play, starts
from baselines.tasks.observed import Observed, observed
from baselines.train.critic import NO_CRITICS, CriticSettings
from baselines.train.pair import Pair, by_episode, payments, texts
from baselines.train.settings import Settings
from baselines.train.team import build_team
from collm_envs import Task

LLMS = ("llm_0", "llm_1")
PROMPT = "{query}\n\nSomebody answered:\n{text}\n\nAnswer the same yourself, as well as you can.\n"
PROMPTS = {"Sentiment-v0": '"{query} {text}" could sound happier.\n{query}'}
"""environment -> how its observer is asked; `PROMPT` for all others"""


@dataclass
class Config(Settings):
    """Settings of CORY."""

    observer: Literal["reads", "blind", "none"] = "reads"
    """reads: the pioneer's text (CORY); blind: the query alone; none: one model by itself, the control"""
    observer_prompt: str = ""
    """what the observer is asked, with {query} and {text}; empty: the one for the environment"""
    exchange_every: int = 5
    """T: steps between exchanges of the roles; 0 never exchanges"""
    estimator: Literal["ppo", "group"] = "ppo"
    """ppo: every token a move, with a critic; group: a text a move, less the mean of its group"""
    group: int = 4
    """G: answers of each role to a query, for estimator="group" """
    lam: float = 0.95
    """lambda of GAE over tokens"""
    critic_on_actor: bool = False
    """the critic is a value head on its model, as published, and not a model of its own"""
    critic_lr: float = 1.41e-5
    """the critic's learning rate"""
    value_clip: float | None = 0.2
    """clip of the value's change over a step; None leaves it unclipped"""
    kl: float = 0.3
    """eta: price of a nat between a model and its untrained self, paid token by token"""
    kl_target: float | None = None
    """adapt each model's eta until its episodes are so many nats away (arXiv:1909.08593); None: eta stays"""
    kl_horizon: int = 10_000
    """episodes over which eta adapts"""
    scale_rewards: bool = False
    """divide summed rewards by their running deviation"""
    lr: float = 1.41e-5
    """AdamW's learning rate"""
    epochs: int = 4
    """passes over the episodes of a step, the critic's too; more than one needs `clip`"""
    clip: float | None = 0.2
    """PPO's clip of the importance ratio; None leaves it unclipped"""
    normalize: bool = True
    """scale each model's advantages of a step to mean 0 and deviation 1, as the published code does"""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.env_kwargs = {"num_agents": 1, **self.env_kwargs}
        if self.env_kwargs["num_agents"] != 1:
            raise ValueError(
                f"CORY trains one agent's texts: num_agents must be 1, got {self.env_kwargs['num_agents']}"
            )
        if self.estimator == "ppo" and self.length != "sum":
            raise ValueError("length is for estimator='group': with ppo every token is a move of its own")
        if self.shared or self.models:
            raise ValueError("CORY duplicates one `model`: leave out shared and models")
        if self.credit != "shared":
            raise ValueError(f"CORY pays both models the sum: credit must be shared, got {self.credit!r}")
        if self.mixed_batches:
            raise ValueError("CORY's models write one after the other: mixed_batches has nothing to mix")
        if self.exchange_every < 0:
            raise ValueError(f"exchange_every must be at least 0, got {self.exchange_every}")
        if self.kl_horizon < 1:
            raise ValueError(f"kl_horizon must be at least 1, got {self.kl_horizon}")
        if self.estimator == "group" and self.group < 2:
            raise ValueError(f"group must be at least 2, got {self.group}: the baseline is the group's mean")
        if self.estimator == "group":
            self.check_group(self.group)
        if self.kl_target is not None and not (self.kl_target > 0 and self.kl > 0):
            raise ValueError(f"kl_target and kl must be above 0, got {self.kl_target} and {self.kl}")
        fields = {name for _, name, _, _ in string.Formatter().parse(self.template) if name is not None}
        if fields != ({"query"} if self.observer == "blind" else {"query", "text"}):
            raise ValueError(f"observer_prompt needs {{query}} and {{text}}, got {self.template!r}")

    @property
    def objective(self) -> Objective:
        """PPO's, without a KL term: the KL is among the rewards."""
        return replace(super().objective, kl=0.0)

    @property
    def template(self) -> str:
        """What the observer is asked."""
        if self.observer == "blind":
            return "{query}"
        return self.observer_prompt or PROMPTS.get(self.env.rpartition(":")[2], PROMPT)


def team(config: Config, task: Task) -> Pair:
    """Two copies of one model, or two adapters on it; with observer="none" one.  One frozen reference."""
    if len(task.agents) != 1:
        raise ValueError(
            f"CORY trains one agent's texts, {config.env} has {len(task.agents)} agents: set num_agents to 1"
        )
    names = LLMS[: 1 if config.observer == "none" else 2]
    critics = CriticSettings(
        names,
        on_actor=config.critic_on_actor,
        lr=config.critic_lr,
        epochs=config.epochs,
        max_context=config.max_context,
    )
    built = build_team(config, names, critics if config.estimator == "ppo" else NO_CRITICS)
    return Pair(**vars(built), eta=dict.fromkeys(names, config.kl))


def roles(config: Config, step: int) -> tuple[str, ...]:
    """Who is pioneer and who observer in this step; the one model there is with observer="none"."""
    if config.observer == "none":
        return LLMS[:1]
    exchanged = config.exchange_every and step // config.exchange_every % 2
    return LLMS[::-1] if exchanged else LLMS


def train(config: Config, task: Task, team: Pair) -> Iterator[dict[str, float]]:
    """Take `config.steps` steps; yields what to log after each."""
    while team.step < config.steps:
        played = answer(config, task, team)
        rewards = payments({name: episodes(roots) for name, roots in played.items()})
        if config.scale_rewards:
            rewards = team.scaled(rewards)
        moves = {name: [texts(path) for path in episodes(roots)] for name, roots in played.items()}
        ratios = {name: team.policies[name].log_ratios([*chain(*moves[name])]) for name in played}
        logs = {
            name: learn(config, team, name, moves[name], by_episode(ratios[name], moves[name]), rewards[name])
            for name in played
        }
        metrics: dict[str, float] = {}
        for role, (name, roots) in enumerate(played.items()):
            metrics[f"{name}/return"] = rollout_metrics(roots)["return"]
            metrics[f"{name}/pioneer"] = float(role == 0)
            for key, value in {key: log[key] for log in logs[name] for key in log}.items():
                metrics[f"{name}/{key}"] = value
                metrics[key] = metrics.get(key, 0.0) + value / len(played)
        team.step += 1
        yield {**rollout_metrics([root for roots in played.values() for root in roots]), **metrics}


def answer(config: Config, task: Task, team: Pair) -> dict[str, list[Node]]:
    """What pioneer and observer, in this order, make of the step's queries: an observer for each pioneer."""
    group = config.group if config.estimator == "group" else 1
    queries = starts(task, config.seed, team.step, max(1, config.episodes // group))
    seed = f"{config.seed}/{team.step}"
    pioneer, *observers = roles(config, team.step)
    seated = team.lineups(task.agents)
    first = play(task, queries, seated[pioneer], f"{seed}/pioneer", copies=group)
    played = {pioneer: first}
    for observer in observers:
        shown = [
            (observed(path[0].item, [move.text for move in texts(path)]), path[0].seed)
            for path in episodes(first)
        ]
        view: Any = Observed(task, config.template)
        played[observer] = play(view, shown, seated[observer], f"{seed}/observer")
    return played


def learn(
    config: Config,
    team: Pair,
    name: str,
    moves: Sequence[Sequence[Move]],
    ratios: Sequence[Sequence[Tensor]],
    rewards: Sequence[list[float]],
) -> list[Mapping[str, float]]:
    """One step of one model on its own episodes, and of its eta.   -> numbers to log, the latter prevail

    ratios: log pi / pi_0 of every text's tokens
    """
    kl = sum(float(ratio.sum()) for episode in ratios for ratio in episode) / len(moves)
    distance = {"kl": kl, "eta": team.eta[name]}
    r = [[-team.eta[name] * ratio for ratio in episode] for episode in ratios]
    for turns, paid in zip(r, rewards, strict=True):
        for t, reward in enumerate(paid):
            turns[t][-1] += reward
    estimate = by_token if config.estimator == "ppo" else by_text
    logs = estimate(config, team, name, moves, r)
    if config.kl_target is not None:
        team.eta[name] *= 1 + len(moves) / config.kl_horizon * max(-0.2, min(0.2, kl / config.kl_target - 1))
    return [*logs, distance]


def by_token(
    config: Config, team: Pair, name: str, moves: Sequence[Sequence[Move]], r: Sequence[Sequence[Tensor]]
) -> list[Mapping[str, float]]:
    """PPO with every token a move; then the critic.   r: the rewards of every text's tokens"""
    tokens = [[token for move in episode for token in move.tokens()] for episode in moves]
    critic, lengths = team.critics[name], [len(episode) for episode in tokens]
    histories = critic.before([token for episode in tokens for token in episode])
    old = torch.as_tensor(critic.values(histories), dtype=torch.float64)
    V = pad_sequence(list(old.split(lengths)), batch_first=True)
    A = gae(pad_sequence([torch.cat([*turns]) for turns in r], batch_first=True), V, 1.0, config.lam)
    advantages = torch.cat([A[e, :n] for e, n in enumerate(lengths)])
    logs = step(config, team, name, tokens, advantages)
    for _ in range(config.epochs):
        logs.append(critic.fit(histories, advantages + old, clip=config.value_clip, old=old))
    returns = torch.cat([returns_to_go(torch.cat([*turns]), 1.0) for turns in r])
    explained = explained_variance(old, returns)
    return [*logs, {"value": float(old.mean()), "explained_variance": explained}]


def by_text(
    config: Config, team: Pair, name: str, moves: Sequence[Sequence[Move]], r: Sequence[Sequence[Tensor]]
) -> list[Mapping[str, float]]:
    """One advantage per text: its return minus the group's mean at that turn.

    Once all others of the group have ended, minus nothing.
    """
    sums = [torch.stack([turn.sum() for turn in turns]) for turns in r]
    R = returns_to_go(pad_sequence(sums, batch_first=True), 1.0)
    A = torch.zeros_like(R)
    for k in range(0, len(moves), config.group):
        for t in range(R.shape[1]):
            playing = [g for g in range(k, k + config.group) if t < len(moves[g])]
            if playing:
                group = R[playing, t][None]
                A[playing, t] = (group - group_baseline(group, "mean" if len(playing) > 1 else "none"))[0]
    advantages = torch.cat([A[e, : len(episode)] for e, episode in enumerate(moves)])
    return step(config, team, name, moves, advantages)


def step(
    config: Config, team: Pair, name: str, moves: Sequence[Sequence[Move]], advantages: Tensor
) -> list[Mapping[str, float]]:
    """PPO's passes over episodes of moves, whose advantages are laid end to end; the KL is among these."""
    variance = mean_variance([advantages.tolist()])
    if config.normalize:
        advantages = normalized(advantages)
    lesson = Lesson()
    flat = (move for episode in moves for move in episode)
    for move, advantage in zip(flat, advantages.tolist(), strict=True):
        lesson.add(move, advantage, 1 / len(moves))
    learned = team.policies[name].learn(lesson, config.objective)
    return [learned, {"advantage_variance": variance}]
