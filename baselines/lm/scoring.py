"""Token log-probabilities of texts as a trainer computes them, by a policy or its frozen reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from baselines.lm.history import Move


@dataclass
class Scores:
    """Token log-probabilities of some moves: T tokens laid end to end."""

    logp: Tensor
    """(T,)"""
    owner: Tensor
    """(T,) position in `moves` of each token's move"""
    moves: list[int]
    """indices of these moves in the list that was scored"""
    entropy: Tensor | None
    """(T,) of the whole next-token distribution, in nats"""
    tokens: int
    """tokens of the forward pass, without padding"""


class Scorer(Protocol):
    """Scores texts, with weights that are local or remote."""

    @property
    def name(self) -> str:
        """What the policy is called in errors."""
        ...

    @property
    def rescored(self) -> bool:
        """Whether texts are written by another arithmetic than that of `logp`: half precision, a server."""
        ...

    @property
    def reference(self) -> Scorer | None:
        """The frozen policy of the KL term, or None; the policy itself where its adapter goes off."""
        ...

    def logp(
        self, moves: Sequence[Move], *, entropy: bool = False, reference: bool = False
    ) -> Iterator[Scores]:
        """Log-probabilities of every token of these moves, in micro-batches, the same ones at every call."""
        ...


def reference_logp(policy: Scorer, moves: Sequence[Move]) -> list[Tensor]:
    """Token log-probabilities of each move under the policy's frozen reference."""
    if policy.reference is None:
        raise ValueError(f"{policy.name}: a KL term needs a reference, and it was opened without one")
    return token_logp(policy.reference, moves, reference=policy.reference is policy)


def token_logp(policy: Scorer, moves: Sequence[Move], *, reference: bool = False) -> list[Tensor]:
    """Token log-probabilities of each move as a trainer scores them, without gradient.

    With `reference` the policy's adapter is off.
    """
    out: list[Tensor] = [torch.empty(0)] * len(moves)
    with torch.no_grad():
        for scores in policy.logp(moves, reference=reference):
            lengths = [len(moves[k].ids) for k in scores.moves]
            for k, logp in zip(scores.moves, scores.logp.split(lengths), strict=True):
                out[k] = logp
    return out


def log_ratios(policy: Scorer, moves: Sequence[Move]) -> list[Tensor]:
    """log pi / pi_0 of every token of these moves, at the prompt that was read; zeros without a reference.

    Both are computed by the same arithmetic: another one, that texts were written by, would add its rounding
    error to the KL.   -> for each move a (tokens,) float64 tensor
    """
    if policy.reference is None:
        return [torch.zeros(len(move.ids), dtype=torch.float64) for move in moves]
    frozen = reference_logp(policy, moves)
    own = token_logp(policy, moves) if policy.rescored else [torch.tensor(move.logp) for move in moves]
    return [p.double().cpu() - p_0.double().cpu() for p, p_0 in zip(own, frozen, strict=True)]


def token_gap(scored: Sequence[Tensor], moves: Sequence[Move]) -> float:
    """|log pi scored - log pi sampled| in nats, averaged over all tokens of these moves."""
    sampled = torch.tensor([logp for move in moves for logp in move.logp], dtype=torch.float64)
    return float((torch.cat([*scored]).double().cpu() - sampled).abs().mean())
