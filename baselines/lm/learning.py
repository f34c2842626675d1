"""How a policy learns from its texts: lessons, scores, and the passes of one step.

The loss is a function of token log-probabilities alone (formulas/losses.py), so the weights may be local or
remote.  Local: `logp` returns log-probabilities with their graph, `backward` adds gradients to the weights,
and the optimizer steps them.  Remote: `logp` returns fetched numbers as leaf tensors, `backward` leaves d
loss / d logp in their `.grad`, and the policy's `optimizer.step()` sends that to the process with the
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from baselines.formulas import losses
from baselines.formulas.losses import Objective
from baselines.lm.history import Move


@dataclass
class Lesson:
    """The training data of one step: moves, their advantages, and the weight of each in the loss.

    The weights make the sum over moves an average over episodes: 1/E for each move of E episodes, and in a
    tree a K-th of that with every branching, so that late turns do not outvote early ones.
    """

    moves: list[Move] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, move: Move, advantage: float, weight: float) -> None:
        """One move more."""
        self.moves.append(move)
        self.advantages.append(advantage)
        self.weights.append(weight)


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


class Beside(NamedTuple):
    """An additional loss in the policy's optimizer steps: that of critics which share the policy's trunk."""

    passes: int
    """number of optimizer steps, from the first on, that include this loss"""
    backward: Callable[[], None]
    """adds the gradient of this loss"""


class Stepper(Protocol):
    """What `learn` needs of an optimizer."""

    def zero_grad(self) -> None:
        """Forget the gradient."""
        ...

    def step(self) -> float:
        """Apply the gradient accumulated since `zero_grad`; returns its norm before clipping."""
        ...


class Scorer(Protocol):
    """What `learn` needs of a policy, whether its weights are local or remote."""

    @property
    def name(self) -> str:
        """What the policy is called in errors."""
        ...

    @property
    def device(self) -> torch.device:
        """Where tensors of a lesson are made."""
        ...

    @property
    def optimizer(self) -> Stepper | None:
        """None where the policy is not trained."""
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


def learn(
    policy: Scorer, lesson: Lesson, objective: Objective, beside: Beside | None = None
) -> dict[str, float]:
    """`objective.epochs` optimizer steps of one policy on a lesson.   -> numbers to log

    pi_old in the importance ratio comes from the first pass, before any weight has changed, and not from the
    sampler, whose arithmetic may differ (bfloat16, another engine): so the ratio starts at exactly 1.  The
    difference between the two is logged as `sampled_vs_scored`: |log-probability difference| of a whole text
    in nats, averaged over texts.

    Raises FloatingPointError with the texts of the micro-batch for a loss that is not finite, before the
    policy's optimizer has used it.
    """
    if policy.optimizer is None:
        raise ValueError(f"{policy.name}: cannot learn, it was opened without an optimizer")
    frozen = reference_logp(policy, lesson.moves) if objective.kl else None
    old: list[Tensor] = []  # of each micro-batch; their order is the same in every pass
    logged: dict[str, float] = {}
    norm = 0.0
    for k in range(max(objective.epochs, beside.passes if beside else 0)):
        policy.optimizer.zero_grad()
        if k < objective.epochs:
            logged |= _backward(policy, lesson, objective, frozen, old)
        if beside and k < beside.passes:
            beside.backward()
        norm = policy.optimizer.step()
    return {**logged, "grad_norm": norm}


def _backward(
    policy: Scorer, lesson: Lesson, objective: Objective, frozen: list[Tensor] | None, old: list[Tensor]
) -> dict[str, float]:
    """Add the gradient of one pass over the moves; returns the sums to log.

    `old` holds log pi_old of each micro-batch; the first pass finds it empty and fills it.
    """
    moves, device = lesson.moves, policy.device
    advantage = torch.tensor(lesson.advantages, dtype=torch.float32, device=device)
    weight = torch.tensor(lesson.weights, dtype=torch.float32, device=device)
    first, gap = not old, 0.0
    sums = torch.zeros(3, dtype=torch.float64)
    for batch, scores in enumerate(policy.logp(moves, entropy=objective.entropy != 0)):
        if first:
            old.append(scores.logp.detach())
            gap += _gap(moves, scores)
        index = torch.tensor(scores.moves, device=device)
        terms = losses.lesson_loss(
            objective,
            scores.logp,
            old[batch],
            advantage[index],
            weight[index],
            scores.owner,
            reference=None if frozen is None else torch.cat([frozen[k] for k in scores.moves]),
            entropy=scores.entropy,
        )
        _check_finite(policy.name, terms.loss, moves, scores.moves)
        terms.loss.backward()
        sums += torch.stack([terms.surrogate, terms.kl, terms.entropy]).detach().double().cpu()
    logged: dict[str, float] = {}
    for name, value in zip(("policy_loss", "kl", "entropy"), sums.tolist(), strict=True):
        logged[name] = value
    if first:
        logged["sampled_vs_scored"] = gap / len(moves)
    return logged


def _gap(moves: Sequence[Move], scores: Scores) -> float:
    """|log pi scored - log pi sampled| of every text of a micro-batch, summed."""
    sampled = torch.tensor([lp for k in scores.moves for lp in moves[k].logp], dtype=torch.float64)
    apart = scores.logp.detach().double().cpu() - sampled
    return float(losses.per_move(apart, scores.owner.cpu(), len(scores.moves)).abs().sum())


def _check_finite(name: str, loss: Tensor, moves: Sequence[Move], index: Sequence[int]) -> None:
    if not torch.isfinite(loss):
        texts = "\n".join(f"  {moves[k].text[:200]!r}" for k in index[:8])
        raise FloatingPointError(
            f"{name}: the loss of a micro-batch of {len(index)} moves is {loss.item()}; its "
            f"optimizer has not used it, and the last checkpoint is whole.  The texts begin with\n{texts}"
        )


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
