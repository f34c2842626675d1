"""The two-step and the one-turn games played by many independent tabular policies at once.

Runs of 20,000 steps and hundreds of seeds take hours one by one; here a tensor holds all seeds (S) and all
episodes of a step.  Advantages and losses are the trainers' own functions; a test compares a step of this
with a step of the trainers on the same words.
"""

from __future__ import annotations

import torch
from torch import Tensor
from toy_games import BRANCH_B

from baselines.formulas import losses
from baselines.formulas.advantages import Baseline, divide_by_std, gae, group_baseline, returns_to_go

PAYOFF = torch.tensor(BRANCH_B, dtype=torch.float64)


def draw(logits: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """n words of each table of logits.   (..., K) -> (..., n)"""
    rows = logits.softmax(-1).flatten(0, -2)
    return rows.multinomial(n, replacement=True, generator=generator).view(*logits.shape[:-1], n)


def push(logits: Tensor, words: Tensor, advantage: Tensor) -> Tensor:
    """The gradient ascent direction of each table's mean over its texts.

    (..., K), (..., n), (..., n) -> (..., K)
    """
    leaf = logits.detach().requires_grad_()
    logp = leaf.log_softmax(-1).gather(-1, words).flatten()
    loss = losses.policy_loss(logp, logp.detach(), advantage.flatten(), torch.arange(logp.numel()))
    (grad,) = torch.autograd.grad(loss.sum() / words.shape[-1], leaf)
    return -grad


def one_turn(
    payoff: Tensor,
    *,
    steps: int,
    lr: float,
    seeds: int,
    first_seed: int = 0,
    group: int = 16,
    baseline: Baseline = "mean",
    std: bool = False,
) -> Tensor:
    """The two policies of every seed after training from uniform on a matrix game.   -> (2, S, K)"""
    generator = torch.Generator().manual_seed(first_seed)
    tables = torch.zeros(2, seeds, len(payoff), dtype=torch.float64)
    for _ in range(steps):
        words = draw(tables, group, generator)
        R = payoff[words[0], words[1]]
        A = R - group_baseline(R, baseline)
        if std:
            A = divide_by_std(A)
        tables += lr * push(tables, words, A.expand_as(words))
    return tables.softmax(-1)


class TwoStep:
    """All seeds' policies of the two-step game: agent_0's first word, and both agents' words in branch B."""

    def __init__(self, seeds: int, first: float = 0.0, first_seed: int = 0):
        self.generator = torch.Generator().manual_seed(first_seed)
        self.tables = torch.zeros(3, seeds, 2, dtype=torch.float64)
        self.first, *self.later = self.tables  # views
        self.first[:, 1] = first
        self.values = torch.zeros(seeds, 3, dtype=torch.float64)
        """V of the start, of branch A and of branch B"""

    def chain_step(self, lr: float, *, n: int = 16, critic_lr: float | None = None, lam: float = 0.0) -> None:
        """n episodes: MA-REINFORCE, or with `critic_lr` CoLLM-CC."""
        words = draw(self.tables, n, self.generator)
        branch, row, column = words
        last = torch.where(branch == 1, PAYOFF[row, column], 7.0)
        rewards = torch.stack([torch.zeros_like(last), last], dim=-1)
        if critic_lr is None:
            A = returns_to_go(rewards, 1.0)
        else:
            V = torch.stack([self.values[:, :1].expand_as(last), self.values.gather(1, 1 + branch)], dim=-1)
            A = gae(rewards, V, 1.0, lam)
            place = torch.stack([torch.zeros_like(branch), 1 + branch], dim=-1).flatten(1)
            pull = torch.zeros_like(self.values).scatter_add_(1, place, A.flatten(1))
            visits = torch.zeros_like(pull).scatter_add_(1, place, torch.ones_like(A).flatten(1))
            self.values += critic_lr * pull / visits.clamp(min=1)
        in_b = A[..., 1] * (branch == 1)
        self.tables += lr * push(self.tables, words, torch.stack([A[..., 0], in_b, in_b]))

    def tree_step(self, lr: float, *, group: int = 4, std: bool = False) -> None:
        """MAGRPO: `group` first words, and `group` joint words after each."""
        S = len(self.first)
        branch = draw(self.first, group, self.generator)
        words = draw(self.tables[1:], group * group, self.generator)
        last = torch.where(branch[..., None] == 1, PAYOFF[words[0], words[1]].view(S, group, group), 7.0)
        advantages = []
        for R in (last.view(S * group, group), last.mean(-1)):
            A = R - group_baseline(R, "mean")
            advantages.append(divide_by_std(A) if std else A)
        in_b = (advantages[0].view(S, group, group) * (branch == 1)[..., None]).flatten(1)
        later = push(self.tables[1:], words, in_b.expand_as(words))
        self.first += lr * push(self.first, branch, advantages[1])
        self.tables[1:] += lr * later

    def better_branch(self) -> Tensor:
        """Which seeds prefer branch B.   -> (S,) bool"""
        return self.first.softmax(-1)[:, 1] > 0.5

    def expected_return(self) -> Tensor:
        """(S,)"""
        p = self.first.softmax(-1)[:, 1]
        row, column = (table.softmax(-1) for table in self.later)
        in_b = torch.einsum("sr,rc,sc->s", row, PAYOFF, column)
        return (1 - p) * 7 + p * in_b
