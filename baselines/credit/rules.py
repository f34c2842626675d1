"""Credit assignment: an advantage for each agent in place of the team's (`--credit NAME`).

An algorithm has one advantage A_t of a joint turn for all agents.  With credit agent i learns from

    A_{i,t} = m_{i,t} (A_t + p_{i,t} - its expectation)

    name            p_{i,t}                              m_{i,t}      what it is
    shared          0                                    1            the algorithm as it is, bit by bit
    difference      -r(a_{-i}, silence_i)                1            difference reward, Wolpert & Tumer 2001
    shapley         phi_i - r                            1            Shapley value, exact: 2^N coalitions
    counterfactual  -mean_k r(a_{-i}, a'_{i,k})          1            C3 (arXiv:2603.06859), COMA by samples
    learned         0                                    N w_i(s)     credit/learned.py
    qllm:FILE       baseline: -b_i(s, a_{-i})            1            a pinned function, credit/written.py
                    weights:  0                          N w_i(s)
                    mix:      alpha / (1 - alpha) c_i    1 - alpha    (1 - alpha) A_t + alpha c_i

r is the reward of turn t, s the state before it, a'_{i,k} are other texts of agent i at the same history; w
sums to 1 and has a floor.  Turns are played again by themselves (credit/coalitions.py).

**What stays right.**  Only the turn's own reward is divided: what follows it stays the team's, since by then
others have read what agent i wrote.  So p of difference, counterfactual and baseline never depends on
a_{i,t} (the texts of a turn are written unseen by each other), and the gradient is the team's, with other
noise: E[p grad log pi_i(a_{i,t})] = 0.  Weights scale a state's gradient and leave its direction as it is; an
optimizer like Adam, one for each agent, takes a constant factor out again, so what counts is how they vary
over states.  shapley and mix are other objectives: phi_i counts what a text does in coalitions that never
act, so where texts need each other it pulls less, or more, than the team's reward does.

**Its expectation.**  Where an algorithm subtracts a baseline from returns (MA-REINFORCE, MAGRPO), p is added
to the turn's return before that, and its expectation goes with the baseline: unbiased with leave-one-out,
shrunk by 1 - 1/G with the mean, left in with none.  With critics it is predicted from V(h_t) by a line fitted
to the other episodes of the step at that turn (advantages.left_out_residual), so it never holds the sample's
own p.  The critics keep predicting the team's return: a value of each agent's own share would be bootstrapped
through shares of later turns, whose silent part does depend on what agent i wrote before.

Credit exists in training alone; no policy that acts reads any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import torch
from torch import Tensor

from baselines.credit import coalitions
from baselines.credit.coalitions import MOST_AGENTS
from baselines.credit.features import extract
from baselines.credit.language import Refused
from baselines.credit.learned import Learned
from baselines.credit.written import Written, load_written
from baselines.formulas.advantages import left_out_residual
from baselines.formulas.diagnostics import agreement
from baselines.play.episode import Node, by_turn, lasting, walk
from baselines.play.replays import Replays
from collm_envs import Task, in_parallel

FEW_AGENTS = 4
"""largest team whose credit is checked: 2^4 coalitions of a turn"""
Rule = Callable[[Replays, Sequence[Node]], tuple[Tensor, Tensor]]
"""joint turns -> p and m, (B, N) float64 each"""


@dataclass(frozen=True)
class Shares:
    """p and m of the joint turns of a step, and the number of replays they took."""

    plus: Tensor
    times: Tensor
    rows: Mapping[int, int]
    """id of a node -> its row"""
    columns: Mapping[str, int]
    """agent -> its column"""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def p(self, nodes: Sequence[Node], agent: str) -> Tensor:
        """Added to the returns of these turns.   -> (len(nodes),)"""
        return self.plus[[self.rows[id(node)] for node in nodes], self.columns[agent]]

    def m(self, nodes: Sequence[Node], agent: str) -> Tensor:
        """Multiplied with their advantages.   -> (len(nodes),)"""
        return self.times[[self.rows[id(node)] for node in nodes], self.columns[agent]]

    def own(self, agent: str, paths: Sequence[Sequence[Node]], A: Tensor, V: Tensor) -> Tensor:
        """The agent's advantages where a critic's V was subtracted.   A, V: (E, H) -> (E, H)"""
        p = by_turn(paths, lambda node: float(self.p([node], agent)))
        m = by_turn(paths, lambda node: float(self.m([node], agent)))
        out = torch.zeros_like(A)
        for t in range(A.shape[1]):
            live = lasting(paths, t)
            out[live, t] = m[live, t] * (A[live, t] + left_out_residual(p[live, t], V[live, t]))
        return out


@dataclass
class Credit:
    """How the reward of a turn is divided; `Credit()` leaves it shared."""

    rule: Rule | None = None
    alternatives: int = 0
    """alternative texts that every agent must write at each history (`rollout.play`)"""
    learner: Learned | None = None
    blind: bool = False
    """whether p_i depends on the other agents' texts alone, so that it cancels when groups are crossed"""
    sha256: str = ""
    """of the written function's source; a resumed run must use the same one"""
    checked: int = 0
    """turns of a step at which it is compared with exact Shapley values"""

    def state_dict(self) -> dict[str, Any]:
        """The state of learned credit, or the hash of a written function; empty for all other credits."""
        learned = {"learned": self.learner.state_dict()} if self.learner else {}
        return {**learned, **({"sha256": self.sha256} if self.sha256 else {})}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises Refused where the run began with another written function."""
        if self.sha256 and state["sha256"] != self.sha256:
            raise Refused(
                f"this run began with the credit function {state['sha256'][:12]}... and the file holds "
                f"{self.sha256[:12]}... now; go on with the first one or begin another run"
            )
        if self.learner:
            self.learner.load_state_dict(state["learned"])

    def divide(self, task: Task, roots: Sequence[Node]) -> Shares:
        """p and m of all joint turns of these trees; `credit_replays`: replays for each."""
        nodes = list(walk(roots))
        rows = {id(node): b for b, node in enumerate(nodes)}
        columns = {agent: i for i, agent in enumerate(task.agents)}
        if self.rule is None:
            shape = len(nodes), len(columns)
            return Shares(torch.zeros(shape).double(), torch.ones(shape).double(), rows, columns)
        replays = Replays(task, nodes)
        plus, times = self.rule(replays, nodes)
        return Shares(plus, times, rows, columns, {"credit_replays": replays.played / len(nodes)})

    def agreement(self, task: Task, roots: Sequence[Node], shares: Shares) -> dict[str, float]:
        """`credit_agreement`: rank correlation of m (r + p), what each agent learns from of a turn's reward,
        with exact Shapley values, at `checked` turns of these trees; {} where Shapley says nothing.

        They are the same turns in every run, and nothing that is learned depends on it.
        """
        if not self.checked:
            return {}
        nodes = list(walk(roots))
        nodes = Random(0).sample(nodes, min(self.checked, len(nodes)))
        drawn = [shares.rows[id(node)] for node in nodes]
        own = shares.times[drawn] * (team_rewards(nodes)[:, None] + shares.plus[drawn])
        rank = agreement(own, coalitions.shapley_values(Replays(task, nodes), nodes))
        return {} if rank is None else {"credit_agreement": rank}


def make(credit: str, samples: int, task: Task, checked: int = 0) -> Credit:
    """The credit of this name (`NAMES`, or "qllm:FILE") for a task.

    `samples`: alternative texts for each agent, for counterfactual.  `checked`: turns of a step to compare
    with exact Shapley values; none of a lone agent, of more than `shapley` can take, or of a task whose
    replays wait for a sandbox.  Raises ValueError for a team of one and for more agents than `shapley` can
    take, FileNotFoundError for a function that is not there, `Refused` for one that may not be used.
    """
    n = len(task.agents)
    return replace(_named(credit, samples, n), checked=checked if cheap_to_check(task) else 0)


def cheap_to_check(task: Task) -> bool:
    """Whether exact Shapley values of a few turns a step cost next to nothing."""
    return 1 < len(task.agents) <= FEW_AGENTS and not in_parallel(task)


def _named(credit: str, samples: int, n: int) -> Credit:
    check_name(credit)
    name, _, file = credit.partition(":")
    if name == "shared":
        return Credit()
    if n < 2:
        raise ValueError(f"credit={credit!r} divides a reward among agents and there is one: leave it")
    if name == "shapley" and n > MOST_AGENTS:
        raise ValueError(f"credit='shapley' plays 2^N turns for one: at most {MOST_AGENTS} agents, got {n}")
    if name == "learned":
        learner = Learned(n)
        return Credit(lambda replays, nodes: weighted(learner(replays, nodes)), learner=learner)
    if name == "qllm":
        function = load_written(file)
        return Credit(written(function), blind=function.mode == "baseline", sha256=function.sha256)
    alternatives = samples if name == "counterfactual" else 0
    return Credit(RULES[name], alternatives, blind=name != "shapley")


def added(p: Tensor) -> tuple[Tensor, Tensor]:
    """p alone.   (B, N) -> p, m"""
    return p, torch.ones_like(p)


def weighted(w: Tensor) -> tuple[Tensor, Tensor]:
    """Weights alone.   w: (B, N), rows sum to 1 -> p, m"""
    return torch.zeros_like(w), w.shape[1] * w


def mixed(c: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """(1 - alpha) A + alpha c as p and m.   c: (B, N)"""
    return alpha / (1 - alpha) * c, torch.full_like(c, 1 - alpha)


def difference(replays: Replays, nodes: Sequence[Node]) -> tuple[Tensor, Tensor]:
    """p = D_i - r: minus the turn's reward without agent i."""
    return added(coalitions.difference_rewards(replays, nodes) - team_rewards(nodes)[:, None])


def shapley(replays: Replays, nodes: Sequence[Node]) -> tuple[Tensor, Tensor]:
    """p = phi_i - r: the Shapley value in place of the reward."""
    return added(coalitions.shapley_values(replays, nodes) - team_rewards(nodes)[:, None])


def counterfactual(replays: Replays, nodes: Sequence[Node]) -> tuple[Tensor, Tensor]:
    """p = minus the mean reward with agent i's alternative texts."""
    return added(-coalitions.counterfactual_rewards(replays, nodes))


def written(function: Written) -> Rule:
    """The rule of a written function, by its mode."""

    def rule(replays: Replays, nodes: Sequence[Node]) -> tuple[Tensor, Tensor]:
        features = extract(replays, nodes, pairs=function.mode == "mix")
        values = function.credit(features, team_rewards(nodes))
        if function.mode == "baseline":
            return added(-values)
        return weighted(values) if function.mode == "weights" else mixed(values, function.alpha)

    return rule


def team_rewards(nodes: Sequence[Node]) -> Tensor:
    """(B,) float64"""
    return torch.tensor([node.reward for node in nodes], dtype=torch.float64)


RULES: dict[str, Rule] = {
    "difference": difference,
    "shapley": shapley,
    "counterfactual": counterfactual,
}
"""credits without a state or a file of their own"""
NAMES = ("shared", *RULES, "learned")
"""values of `--credit`; "qllm:FILE" besides"""


def check_name(credit: str) -> None:
    """Raise ValueError unless `credit` names a credit."""
    if credit not in NAMES and not (credit.startswith("qllm:") and len(credit) > 5):
        raise ValueError(f"credit must be one of {', '.join(NAMES)}, qllm:FILE, got {credit!r}")
