"""Returns, targets and baselines: pure functions on float64 tensors.

Shapes: E episodes, H turns, I groups, G samples of a group.  An advantage never overwrites a reward.
"""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor

Baseline = Literal["none", "mean", "leave-one-out", "max"]


def returns_to_go(rewards: Tensor, gamma: float) -> Tensor:
    """R_t = sum_{k >= t} gamma^(k-t) r_k.   rewards: (..., H), zero after an episode's end -> (..., H)"""
    out = torch.zeros_like(rewards)
    tail = torch.zeros_like(rewards[..., 0])
    for t in reversed(range(rewards.shape[-1])):
        tail = rewards[..., t] + gamma * tail
        out[..., t] = tail
    return out


def td_errors(rewards: Tensor, values: Tensor, gamma: float) -> Tensor:
    """delta_t = r_t + gamma V(h_{t+1}) - V(h_t), V = 0 after the last turn (Sutton & Barto 2018, eq. 6.5).

    rewards, values: (..., H), both zero after an episode's end -> (..., H)
    """
    following = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], dim=-1)
    return rewards + gamma * following - values


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """A_t = sum_k (gamma lambda)^k delta_{t+k} (Schulman et al. 2016, eq. 16): TD(0) at 0, Monte Carlo at 1.

    rewards, values: (..., H), both zero after an episode's end -> (..., H)
    """
    return returns_to_go(td_errors(rewards, values, gamma), gamma * lam)


def group_baseline(returns: Tensor, baseline: Baseline) -> Tensor:
    """b_g of each sample from its group.   returns: (I, G) -> (I, G)

    none: 0; mean: the group's mean (MAGRPO, GRPO); leave-one-out: the mean of the other G - 1 (RLOO,
    Ahmadian et al. 2024); max: the group's best, which gives the best sample itself no advantage.
    """
    G = returns.shape[1]
    if baseline == "none":
        return torch.zeros_like(returns)
    if baseline == "mean":
        return returns.mean(dim=1, keepdim=True).expand_as(returns)
    if baseline == "max":
        return returns.max(dim=1, keepdim=True).values.expand_as(returns)
    if G < 2:
        raise ValueError(f"leave-one-out needs groups of at least 2 samples, got {G}")
    return (returns.sum(dim=1, keepdim=True) - returns) / (G - 1)


def left_out_residual(x: Tensor, v: Tensor) -> Tensor:
    """x_e - (a + b v_e), with a and b fitted to the other samples, never to e itself.   (E,), (E,) -> (E,)

    Least squares with a penalty on the slope worth one sample; leaving one out has the closed form
    residual / (1 - leverage).  So what is subtracted from x_e depends on v_e and on other samples alone.
    Without a spread of v it is the mean of the others; a lone sample has no others: 0.
    """
    E = len(x)
    if E < 2:
        return torch.zeros_like(x)
    v = v - v.mean()
    spread = v.square().sum() * (1 + 1 / E)
    slope = (v * x).sum() / spread if spread > 0 else 0.0
    leverage = 1 / E + (v.square() / spread if spread > 0 else 0.0)
    return (x - x.mean() - slope * v) / (1 - leverage)


def divide_by_std(advantages: Tensor, eps: float = 1e-6) -> Tensor:
    """A / (std + eps) over the last dimension (population std); a group without spread stays at zero.

    advantages: (I, G), already centred -> (I, G)
    """
    return advantages / (advantages.std(dim=-1, correction=0, keepdim=True) + eps)


def whiten(advantages: Tensor, eps: float = 1e-6) -> Tensor:
    """(A - mean) / (std + eps) over one agent's batch, never across agents.   advantages: (M,) -> (M,)"""
    return divide_by_std(advantages - advantages.mean(dim=-1, keepdim=True), eps)


def normalized(advantages: Tensor) -> Tensor:
    """`whiten`; a single advantage, which has no deviation, stays as it is, with a warning.   (M,) -> (M,)"""
    if len(advantages) > 1:
        return whiten(advantages)
    warnings.warn(
        "normalize: a step with a single text of an agent has nothing to be scaled by; its advantage stays "
        "as it is (said once; more episodes a step give more texts)",
        stacklevel=2,
    )
    return advantages
