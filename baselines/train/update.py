"""One improvement step of policies on moves with advantages: the same for every algorithm."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.formulas import losses
from baselines.formulas.advantages import whiten
from baselines.lm.history import Move
from baselines.lm.optimizer import Optimizer
from baselines.lm.policy import LM, Scores
from baselines.train.settings import Settings
from baselines.train.team import Team


@dataclass
class Lesson:
    """What one agent learns from a step: moves, their advantages, and the weight of each in the loss.

    The weights make the sum over moves an average over episodes: 1/E for each move of E episodes, and in a
    tree a K-th of that with every branching, so that late turns do not outvote early ones.
    """

    moves: list[Move] = field(default_factory=list)
    advantages: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    def add(self, move: Move, advantage: float, weight: float) -> None:
        self.moves.append(move)
        self.advantages.append(advantage)
        self.weights.append(weight)


class Beside(NamedTuple):
    """A loss that steps together with the policy's: of critics that share the policy's trunk."""

    passes: int
    """the first so many optimizer steps have it"""
    backward: Callable[[], None]
    """adds its gradient"""


def improve_team(
    team: Team,
    lessons: dict[str, Lesson],
    settings: Settings,
    beside: Mapping[str, Beside] = MappingProxyType({}),
) -> dict[str, float]:
    """`settings.epochs` optimizer steps of every policy on the moves of its agents.   -> averages to log

    `beside`: by policy name, what else its steps learn from.
    """
    metrics: dict[str, list[float]] = {}
    for name, agents in team.members().items():
        joined = Lesson()
        for agent in agents:
            lesson = lessons[agent]
            advantages = torch.tensor(lesson.advantages, dtype=torch.float64)
            if settings.normalize:  # each agent by itself, also where weights are shared
                advantages = normalized(advantages)
            joined.moves += lesson.moves
            joined.advantages += advantages.tolist()
            joined.weights += [weight / len(agents) for weight in lesson.weights]
        logged = improve(
            team.policy(name),
            team.optimizers[name],
            joined,
            settings,
            team.references.get(name),
            beside.get(name),
        )
        for key, value in logged.items():
            metrics.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in metrics.items()}


def normalized(advantages: Tensor) -> Tensor:
    """Advantages of a step with mean 0 and deviation 1; a lone one stays as it is, with a warning.

    (M,) -> (M,)
    """
    if len(advantages) > 1:
        return whiten(advantages)
    warnings.warn(
        "normalize: a step with a single text of an agent has nothing to be scaled by; its advantage stays "
        "as it is (said once; more episodes a step give more texts)",
        stacklevel=2,
    )
    return advantages


def improve(
    policy: LM,
    optimizer: Optimizer,
    lesson: Lesson,
    settings: Settings,
    reference: LM | None = None,
    beside: Beside | None = None,
) -> dict[str, float]:
    """`settings.epochs` optimizer steps on

        sum_m w_m [ -surrogate(rho_m, A_m) + kl * KL(pi || reference) - entropy * H(pi) ]

    pi_old in rho is what the first pass says, before any weight has changed: a sampler whose arithmetic is
    another (bfloat16, another engine) then leaves no mark on rho, whose first value is 1.  How far apart the
    two are is logged, `sampled_vs_scored`: nats of a whole text, the mean over texts.

    `reference` is the frozen policy of the KL term (with LoRA the policy itself: its adapter is off then).
    Raises FloatingPointError with the texts of the micro-batch for a loss that is not finite, before this
    policy's optimizer has used it.
    """
    moves = lesson.moves
    frozen = reference_logp(reference, moves, policy) if reference is not None else None
    old: list[Tensor] = []  # of each micro-batch; their order is the same in every pass
    logged: dict[str, float] = {}
    norm = 0.0
    for k in range(max(settings.epochs, beside.passes if beside else 0)):
        optimizer.zero_grad()
        if k < settings.epochs:
            logged |= _backward(policy, lesson, settings, frozen, old)
        if beside and k < beside.passes:
            beside.backward()
        norm = optimizer.step()
    return {**logged, "grad_norm": norm}


def _backward(
    policy: LM, lesson: Lesson, settings: Settings, frozen: list[Tensor] | None, old: list[Tensor]
) -> dict[str, float]:
    """Add the gradient of one pass over the moves; returns the sums to log.

    `old` holds log pi_old of each micro-batch; the first pass finds it empty and fills it.
    """
    moves, device = lesson.moves, policy.device
    advantage = torch.tensor(lesson.advantages, dtype=torch.float32, device=device)
    weight = torch.tensor(lesson.weights, dtype=torch.float32, device=device)
    first, gap = not old, 0.0
    sums = torch.zeros(3, dtype=torch.float64)
    for batch, scores in enumerate(policy.logp(moves, entropy=settings.entropy != 0)):
        if first:
            old.append(scores.logp.detach())
            gap += _gap(moves, scores)
        index = torch.tensor(scores.moves, device=device)
        per_move = losses.policy_loss(
            scores.logp,
            old[batch],
            advantage[index],
            scores.owner,
            clip=settings.clip,
            ratio=settings.ratio,
            length=settings.length,
        )
        token_weight = weight[index][scores.owner]
        loss = surrogate = (weight[index] * per_move).sum()
        kl = entropy = torch.zeros((), device=device)
        if frozen is not None:
            kl = (
                token_weight * losses.kl_k3(scores.logp, torch.cat([frozen[k] for k in scores.moves]))
            ).sum()
            loss = loss + settings.kl * kl
        if scores.entropy is not None:
            entropy = (token_weight * scores.entropy).sum()
            loss = loss - settings.entropy * entropy
        _check_finite(policy, loss, moves, scores.moves)
        loss.backward()
        sums += torch.stack([surrogate, kl, entropy]).detach().double().cpu()
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


def reference_logp(reference: LM, moves: Sequence[Move], policy: LM) -> list[Tensor]:
    """Token log-probabilities of each move under the frozen policy."""
    return token_logp(reference, moves, reference=reference is policy)


def token_logp(lm: LM, moves: Sequence[Move], *, reference: bool = False) -> list[Tensor]:
    """Token log-probabilities of each move as the trainer scores them, without gradient.

    With `reference` the policy's adapter is off.
    """
    out: list[Tensor] = [torch.empty(0)] * len(moves)
    with torch.no_grad():
        for scores in lm.logp(moves, reference=reference):
            lengths = [len(moves[k].ids) for k in scores.moves]
            for k, logp in zip(scores.moves, scores.logp.split(lengths), strict=True):
                out[k] = logp
    return out


def _check_finite(policy: LM, loss: Tensor, moves: Sequence[Move], index: Sequence[int]) -> None:
    if not torch.isfinite(loss):
        texts = "\n".join(f"  {moves[k].text[:200]!r}" for k in index[:8])
        raise FloatingPointError(
            f"{policy.name}: the loss of a micro-batch of {len(index)} moves is {loss.item()}; its "
            f"optimizer has not used it, and the last checkpoint is whole.  The texts begin with\n{texts}"
        )


def log_ratios(policy: LM, reference: LM | None, moves: Sequence[Sequence[Move]]) -> list[list[Tensor]]:
    """log pi / pi_0 of every token drawn, at the prompt that was read; zeros without a reference.

    Both are scored alike: a policy that samples in lower precision is scored anew, or its rounding would be
    a distance that it pays for.

    moves: episodes of one model's texts -> for each a (tokens,) float64 tensor
    """
    flat = [move for episode in moves for move in episode]
    if reference is None:
        ratios = [torch.zeros(len(move.ids), dtype=torch.float64) for move in flat]
    else:
        frozen = reference_logp(reference, flat, policy)
        own = token_logp(policy, flat) if policy.autocast else [torch.tensor(move.logp) for move in flat]
        ratios = [a.double().cpu() - b.double().cpu() for a, b in zip(own, frozen, strict=True)]
    some = iter(ratios)
    return [[next(some) for _ in episode] for episode in moves]
