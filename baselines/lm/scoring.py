"""Token log-probabilities of texts as a trainer computes them, by a policy or its frozen reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from baselines.lm.history import Move
from baselines.lm.reading import message_after
from baselines.lm.served import Reach
from baselines.lm.template import Renderer


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


class Rereader(Scorer, Protocol):
    """Scores texts after other prompts than those that were read."""

    @property
    def renderer(self) -> Renderer:
        """Turns messages into tokens."""
        ...

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
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


def prompt_gains(policy: Rereader, moves: Sequence[Move], prompts: Sequence[str]) -> list[float | None]:
    """log pi(text | what was read) - log pi(text | the same with this last prompt), of each move, in nats.

    None where the policy cannot read that much.
    """
    pairs: dict[int, tuple[Move, Move]] = {}
    for k, (move, prompt) in enumerate(zip(moves, prompts, strict=True)):
        assert move.parent is not None
        message = message_after(policy.renderer, move.parent.parent, prompt)
        if message.length + len(move.ids) <= policy.limit.tokens:
            pairs[k] = move, Move(message, move.ids, text=move.text)
    scored = token_logp(policy, [move for pair in pairs.values() for move in pair])
    sums = torch.tensor([float(logp.double().sum()) for logp in scored]).reshape(len(pairs), 2)
    gains = dict(zip(pairs, (sums[:, 0] - sums[:, 1]).tolist(), strict=True))
    return [gains.get(k) for k in range(len(moves))]


def token_gap(scored: Sequence[Tensor], moves: Sequence[Move]) -> float:
    """|log pi scored - log pi sampled| in nats, averaged over all tokens of these moves."""
    sampled = torch.tensor([logp for move in moves for logp in move.logp], dtype=torch.float64)
    return float((torch.cat([*scored]).double().cpu() - sampled).abs().mean())
