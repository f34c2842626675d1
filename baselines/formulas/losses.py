"""The actor's and the critic's loss, once for all algorithms: pure functions of log-probabilities.

Shapes: M moves, T tokens of all moves laid end to end; `owner` (T,) names the move of each token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Ratio = Literal["turn", "token"]
Length = Literal["sum", "mean"]


@dataclass(frozen=True)
class Objective:
    """What a step of a policy minimises, and in how many passes."""

    epochs: int = 1
    """optimizer steps on the same moves; more than one needs `clip`"""
    clip: float | None = None
    """of the importance ratio; None leaves it unclipped"""
    ratio: Ratio = "turn"
    length: Length = "sum"
    kl: float = 0.0
    """weight of the KL to a frozen reference"""
    entropy: float = 0.0
    """weight of an entropy bonus"""
    truncate: float | None = None
    """C of `truncated_ratio`, for texts that another engine wrote; None: they count as written by pi_old"""
    max_gap: float | None = None
    """nats a token between that engine's log-probabilities and ours above which a step is refused"""


class Terms(NamedTuple):
    """A loss and its parts before their weights: four numbers."""

    loss: Tensor
    surrogate: Tensor
    kl: Tensor
    entropy: Tensor


def lesson_loss(
    objective: Objective,
    logp: Tensor,
    old: Tensor,
    advantage: Tensor,
    weight: Tensor,
    owner: Tensor,
    *,
    reference: Tensor | None = None,
    entropy: Tensor | None = None,
    sampled: Tensor | None = None,
) -> Terms:
    """sum_m w_m [ L_m + kl KL(pi || reference) - entropy H(pi) ], with L_m of `policy_loss`

    logp, old, owner, reference, entropy, sampled: (T,); advantage, weight: (M,).  Log-probabilities are all
    it sees of a policy: d loss / d logp is all that a policy whose weights are elsewhere must be sent.  (The
    entropy of whole distributions is no function of `logp`: that bonus is for policies whose weights are
    here.)
    """
    per_text = policy_loss(
        logp,
        old,
        advantage,
        owner,
        clip=objective.clip,
        ratio=objective.ratio,
        length=objective.length,
        sampled=sampled if objective.truncate else None,
        truncate=objective.truncate or 1.0,
    )
    token_weight = weight[owner]
    loss = surrogate = (weight * per_text).sum()
    kl = bonus = torch.zeros((), device=logp.device)
    if reference is not None:
        kl = (token_weight * kl_k3(logp, reference)).sum()
        loss = loss + objective.kl * kl
    if entropy is not None:
        bonus = (token_weight * entropy).sum()
        loss = loss - objective.entropy * bonus
    return Terms(loss, surrogate, kl, bonus)


def per_move(tokens: Tensor, owner: Tensor, moves: int) -> Tensor:
    """Sum of each move's tokens.   tokens: (T,), owner: (T,) -> (M,)"""
    return torch.zeros(moves, dtype=tokens.dtype, device=tokens.device).index_add(0, owner, tokens)


def surrogate(log_ratio: Tensor, advantage: Tensor, clip: float | None) -> Tensor:
    """-min(rho A, clip(rho, 1 - eps, 1 + eps) A) with rho = pi / pi_old (Schulman et al. 2017, eq. 7).

    Without `clip` it is -rho A, whose gradient at rho = 1 is REINFORCE's -A grad log pi.   all: (N,) -> (N,)
    """
    rho = log_ratio.exp()
    if clip is None:
        return -rho * advantage
    return -torch.minimum(rho * advantage, rho.clamp(1 - clip, 1 + clip) * advantage)


def policy_loss(
    logp: Tensor,
    old: Tensor,
    advantage: Tensor,
    owner: Tensor,
    *,
    clip: float | None = None,
    ratio: Ratio = "turn",
    length: Length = "sum",
    sampled: Tensor | None = None,
    truncate: float = 1.0,
) -> Tensor:
    """Loss of each move.   logp, old, owner, sampled: (T,); advantage: (M,) -> (M,)

    ratio="turn": one rho_{i,t} = pi(a_{i,t} | h_{i,t}) / pi_old(...) for the whole text, the paper's macro
    action; with length="mean" its exponent is divided by the number of tokens (GSPO's ratio).
    ratio="token": PPO's per-token ratio, summed or averaged over the tokens.

    `sampled` are the log-probabilities of the engine that wrote the texts, where they differ from pi_old's:
    each text (or token) is weighed by `truncated_ratio` of pi_old to that engine, C = `truncate`.
    """
    moves = advantage.shape[0]
    lengths = per_move(torch.ones_like(logp), owner, moves).clamp(min=1)

    def text_ratio(tokens: Tensor) -> Tensor:
        log_ratio = per_move(tokens, owner, moves)
        return log_ratio / lengths if length == "mean" else log_ratio

    if ratio == "turn":
        if sampled is not None:
            advantage = advantage * truncated_ratio(text_ratio(old - sampled), truncate)
        return surrogate(text_ratio(logp - old), advantage, clip)
    A = advantage[owner]
    if sampled is not None:
        A = A * truncated_ratio(old - sampled, truncate)
    loss = per_move(surrogate(logp - old, A, clip), owner, moves)
    return loss / lengths if length == "mean" else loss


def truncated_ratio(log_ratio: Tensor, C: float) -> Tensor:
    """min(pi_old / mu, C), mu the engine that wrote: truncated importance sampling (Ionides 2008; for engines
    whose arithmetic differs, Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You Off-Policy RL
    Training").   (N,) -> (N,)"""
    return log_ratio.exp().clamp(max=C)


def kl_k3(logp: Tensor, reference: Tensor) -> Tensor:
    """k3 = e^(ref - logp) - (ref - logp) - 1 of each token: estimates KL(pi || ref) without bias and is never
    negative (Schulman 2020, "Approximating KL divergence").   (T,) -> (T,)

    As a loss, as GRPO uses it, it pulls along grad KL(ref || pi): the same zero, another strength on the way.
    """
    gap = reference - logp
    return gap.exp() - gap - 1


def value_loss(value: Tensor, target: Tensor, old: Tensor | None = None, clip: float | None = None) -> Tensor:
    """(V - target)^2, or with `clip` PPO's max of the plain and the clipped one.   (N,) -> (N,)"""
    loss = (value - target).square()
    if clip is None or old is None:
        return loss
    clipped = old + (value - old).clamp(-clip, clip)
    return torch.maximum(loss, (clipped - target).square())
