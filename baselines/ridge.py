"""A ridge critic: a central critic of what a task measures; by itself it costs next to nothing.  Ours.

A task measures its states itself (`Score.metrics`).  In training these numbers x(s) are known, and so is what
a turn would have come to without agent i, since a task is pure and plays any turn again:

    V_t(s)   = mean R_t + w_t . (x(s) - mean x)    ridge regression of returns on x, turn by turn
    delta_t  = r_t + gamma V(s_{t+1}) - V(s_t)                          V = 0 after the task's last turn
    A_t      = sum_k (gamma lambda)^k delta_{t+k}
    c_{i,t}  = mean_k r(s_t, a_{-i}, a'_k) + gamma V(s'(s_t, a_{-i}, a'_k))      with `counterfactual`, else 0
    grad J_i = E[ sum_t (A_t - c_{i,t} - its prediction) grad log pi_i(a_{i,t} | h_{i,t}) ]

a'_k are silence, or other texts of agent i at the same history (`alternatives`). A - c is what the team can
expect beyond what it could with i's text drawn anew (or left out) and the others' fixed: CoLLM-CC's advantage
(maac.py) less the others' part of it. With alternatives c averages over agent i's own texts, as in COMA
(Foerster et al. 2018, arXiv:1705.08926) and C3 (arXiv:2603.06859); what the turn is worth later is in it by
V, so no more than the turn is played again.

**What stays right.** w is fitted to earlier steps alone. c_i reads s_t, the others' texts of the turn, which
are written unseen by each other, and alternatives, which are drawn beside a_{i,t}. The prediction of A - c
is a line in V(s_t) fitted to the step's other episodes (advantages.left_out_residual). None of them depends
on a_{i,t}, so whatever w is, what is subtracted has no expectation under grad log pi_i. With lambda = 1 the
gradient is the team's, exactly; below 1 an error of V biases it, as in any GAE.

**What it assumes.** That a task's metrics say much of what a state is worth, and, with `counterfactual`,
that playing a turn once more for each agent is cheap.  No policy reads any of it, and there is nothing to
keep for execution.  A task's metrics hold its own score, so that to this critic a reward at the end of an
episode is not sparse.

**What came of it** (studies/claim.py). It explains 0.07 to 0.47 of the variance of returns where CoLLM-CC's
critic explains 0.00 to 0.13, at half the CPU seconds, and its policies are not reliably better for it. With
the embedded model and the reward at the end of eight turns of HouseBuild-v1 it ended above CoLLM-CC in ten
seeds from one warm start and not in ten from another; in four turns it is beyond neither CoLLM-CC nor
leave-one-out by a hundredth of the best return on any of three tasks, five seeds, of which two fell on
StrBuild-v0 at the rate that its trials chose. Four alternatives are five times the tokens, and after the run
nothing tells them from leave-one-out. In one turn, where nothing is measured before, ridge by itself is
behind leave-one-out. In a game in tables, whose metrics are all there is to know, it learns sooner than
CoLLM-CC.

To read on, in order: play/rollout.py (episodes), formulas/regression.py (V), formulas/advantages.py (A),
train/team.py (lessons to policies).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from baselines.formulas.advantages import gae, left_out_residual, returns_to_go
from baselines.formulas.diagnostics import explained_variance
from baselines.formulas.regression import Sums, added, no_samples, predicted
from baselines.lm.learning import Lesson
from baselines.play.episode import Node, by_turn, episodes, lasting, rollout_metrics
from baselines.play.replays import silenced
from baselines.play.rollout import play, play_turns, starts
from baselines.train.settings import Settings
from baselines.train.team import Team, build_team
from collm_envs import Task

Measures = Mapping[str, float]
"""what a task has measured of a state: the newest value of each metric"""


@dataclass
class Config(Settings):
    """Settings of the ridge critic."""

    gamma: float = 1.0
    """discount between turns"""
    lam: float = 0.9
    """lambda of GAE: 0 for TD(0), 1 for Monte Carlo"""
    memory: float = 0.8
    """share of the regression's old samples that every step keeps"""
    counterfactual: bool = False
    """subtract c_i, what a turn would have come to without the agent; off: the critic alone, c = 0"""
    alternatives: int = 0
    """with counterfactual: other texts of the agent at the same history, never played on; 0: it is silent"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory must be at least 0 and below 1, got {self.memory}")
        if self.alternatives < 0:
            raise ValueError(f"alternatives must be at least 0, got {self.alternatives}")
        if self.alternatives and not self.counterfactual:
            raise ValueError(f"alternatives={self.alternatives} changes nothing without counterfactual=True")
        if self.credit != "shared":
            raise ValueError(f"ridge divides what a turn earns itself: leave credit, got {self.credit!r}")


@dataclass
class Ridged(Team):
    """A team and the regressions of its critic, which are kept in its checkpoints."""

    names: list[str] = field(default_factory=list)
    """the metrics that are regressed on, in the order of the columns; empty before the first step"""
    sums: list[Sums] = field(default_factory=list)
    """of every turn"""

    def V(self, t: int, measures: Sequence[Measures]) -> Tensor:
        """V_t of states with these measures.   -> (len(measures),); 0 where nothing was fitted yet"""
        if t >= len(self.sums):
            return torch.zeros(len(measures), dtype=torch.float64)
        return predicted(self.sums[t], self.columns(measures))

    def columns(self, measures: Sequence[Measures]) -> Tensor:
        """x(s), a row for each state; a metric without a value yet counts as 0.   -> (len(measures), D)"""
        rows = [[m.get(name, 0.0) for name in self.names] for m in measures]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(measures), len(self.names))

    def fit(
        self, paths: Sequence[Sequence[Node]], before: Mapping[int, Measures], R: Tensor, keep: float
    ) -> None:
        """Regress returns on what was measured before each turn of these episodes.   R: (E, H)"""
        if not self.names:
            self.names = sorted({name for path in paths for node in path for name in node.score.metrics})
        for t in range(R.shape[1]):
            if t == len(self.sums):
                self.sums.append(no_samples(len(self.names)))
            live = lasting(paths, t)
            x = self.columns([before[id(paths[e][t])] for e in live])
            self.sums[t] = added(self.sums[t], x, R[live, t], keep)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "names": [*self.names], "sums": [tuple(sums) for sums in self.sums]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.names, self.sums = list(state["names"]), [Sums(*sums) for sums in state["sums"]]


def team(config: Config, task: Task) -> Ridged:
    """Actors alone.  Raises ValueError for mixed_batches where agents take turns."""
    config.check_task(task)
    return Ridged(**vars(build_team(config, task.agents)))


def train(config: Config, task: Task, team: Ridged) -> Iterator[dict[str, float]]:
    """Take `config.steps` steps; yields what to log after each."""
    while team.step < config.steps:
        drawn = starts(task, config.seed, team.step, config.episodes)
        seed = f"{config.seed}/{team.step}"
        nodes = play(task, drawn, team.policies, seed, alternatives=config.alternatives)
        paths = episodes(nodes)
        before = measured(paths)
        V = values(team, paths, before)
        rewards = by_turn(paths, lambda node: node.reward)
        A, R = gae(rewards, V, config.gamma, config.lam), returns_to_go(rewards, config.gamma)
        lessons = {agent: Lesson() for agent in task.agents}
        for agent, lesson in lessons.items():
            c = without(agent, config, task, team, paths, before) if config.counterfactual else 0.0
            own = centred(A - c, V, paths)
            for e, path in enumerate(paths):
                for t, node in enumerate(path):
                    if agent in node.moves:
                        lesson.add(node.moves[agent], float(own[e, t]), 1 / len(paths))
        live = by_turn(paths, lambda node: 1.0) > 0
        logged = {"explained_variance": explained_variance(V[live], R[live])}
        team.fit(paths, before, R, config.memory)
        logged |= team.learn(lessons, config)
        team.step += 1
        yield {**rollout_metrics(nodes), **logged}


def measured(paths: Sequence[Sequence[Node]]) -> dict[int, Measures]:
    """id of a node -> what was measured before it, the newest value of each metric; {} at turn 1."""
    before: dict[int, Measures] = {}
    for path in paths:
        newest: Measures = {}
        for node in path:
            before[id(node)] = newest
            newest = {**newest, **node.score.metrics}
    return before


def values(team: Ridged, paths: Sequence[Sequence[Node]], before: Mapping[int, Measures]) -> Tensor:
    """V_t(s_t) of every turn, zero after an episode's end.   -> (E, H)"""
    V = torch.zeros(len(paths), max(map(len, paths)), dtype=torch.float64)
    for t in range(V.shape[1]):
        live = lasting(paths, t)
        V[live, t] = team.V(t, [before[id(paths[e][t])] for e in live])
    return V


def without(
    agent: str,
    config: Config,
    task: Task,
    team: Ridged,
    paths: Sequence[Sequence[Node]],
    before: Mapping[int, Measures],
) -> Tensor:
    """c_{i,t}: what each turn would have come to without the agent's text, by replay.   -> (E, H)"""
    turns = [
        (e, t, node, texts)
        for e, path in enumerate(paths)
        for t, node in enumerate(path)
        for texts in replaced(task, node, agent)
    ]
    states = play_turns(task, [(node.before, texts) for _, _, node, texts in turns])
    c = torch.zeros(len(paths), max(map(len, paths)), dtype=torch.float64)
    times = torch.zeros_like(c)
    follow: dict[int, list[tuple[int, Measures]]] = {}
    for (e, t, node, _), state in zip(turns, states, strict=True):
        score = task.score(state)
        c[e, t] += score.reward
        times[e, t] += 1
        if not task.done(state):
            follow.setdefault(t, []).append((e, {**before[id(node)], **score.metrics}))
    for t, states_after in follow.items():
        V = config.gamma * team.V(t + 1, [measures for _, measures in states_after])
        c[:, t].index_add_(0, torch.tensor([e for e, _ in states_after]), V)
    return c / times.clamp(min=1)


def replaced(task: Task, node: Node, agent: str) -> list[dict[str, str]]:
    """The texts of a turn with the agent's alternatives in place of its own; where it has none, silent."""
    silent = silenced(task, node, agent)
    return [{**silent, agent: other.text} for other in node.alternatives.get(agent, ())] or [silent]


def centred(x: Tensor, V: Tensor, paths: Sequence[Sequence[Node]]) -> Tensor:
    """x less what V(s) predicts of it by a line through the other episodes of its turn.   (E, H) -> (E, H)"""
    out = torch.zeros_like(x)
    for t in range(x.shape[1]):
        live = lasting(paths, t)
        out[live, t] = left_out_residual(x[live, t], V[live, t])
    return out
