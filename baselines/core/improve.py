"""One improvement step of policies on moves with advantages: the same for every algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from baselines.core import losses
from baselines.core.advantages import whiten
from baselines.core.episode import Move
from baselines.core.lm import LM
from baselines.core.optim import Optimizer
from baselines.core.settings import Settings
from baselines.core.team import Team


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


def improve_team(team: Team, lessons: dict[str, Lesson], settings: Settings) -> dict[str, float]:
    """`settings.epochs` optimizer steps of every policy on the moves of its agents.   -> averages to log"""
    metrics: dict[str, list[float]] = {}
    for name, agents in team.members().items():
        joined = Lesson()
        for agent in agents:
            lesson = lessons[agent]
            advantages = torch.tensor(lesson.advantages, dtype=torch.float64)
            if settings.normalize:
                if len(advantages) < 2:
                    raise ValueError(
                        f"normalize needs at least 2 texts of {agent} in a step, got "
                        f"{len(advantages)}: the one would always have advantage 0; raise episodes"
                    )
                advantages = whiten(advantages)  # each agent by itself, also where weights are shared
            joined.moves += lesson.moves
            joined.advantages += advantages.tolist()
            joined.weights += [weight / len(agents) for weight in lesson.weights]
        policy, optimizer = team.policy(name), team.optimizers[name]
        for key, value in improve(policy, optimizer, joined, settings, team.references.get(name)).items():
            metrics.setdefault(key, []).append(value)
    return {key: sum(values) / len(values) for key, values in metrics.items()}


def improve(
    policy: LM, optimizer: Optimizer, lesson: Lesson, settings: Settings, reference: LM | None = None
) -> dict[str, float]:
    """`settings.epochs` optimizer steps on

        sum_m w_m [ -surrogate(rho_m, A_m) + kl * KL(pi || reference) - entropy * H(pi) ]

    `reference` is the frozen policy of the KL term (with LoRA the policy itself: its adapter is off then).
    Raises FloatingPointError with the texts of the micro-batch for a loss that is not finite, before this
    policy's optimizer has used it.
    """
    moves, device = lesson.moves, policy.device
    advantage = torch.tensor(lesson.advantages, dtype=torch.float32, device=device)
    weight = torch.tensor(lesson.weights, dtype=torch.float32, device=device)
    frozen = reference_logp(reference, moves, policy) if reference is not None else None
    logged: dict[str, float] = {}
    for _ in range(settings.epochs):
        optimizer.zero_grad()
        sums = torch.zeros(3, dtype=torch.float64)
        for scores in policy.logp(moves, entropy=settings.entropy != 0):
            index = torch.tensor(scores.moves, device=device)
            old = torch.tensor([lp for k in scores.moves for lp in moves[k].logp], device=device)
            per_move = losses.policy_loss(
                scores.logp,
                old,
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
        logged = dict(zip(("policy_loss", "kl", "entropy"), sums.tolist(), strict=True))
        logged["grad_norm"] = optimizer.step()
    return logged


def reference_logp(reference: LM, moves: Sequence[Move], policy: LM) -> list[Tensor]:
    """Token log-probabilities of each move under the frozen policy."""
    out: list[Tensor] = [torch.empty(0)] * len(moves)
    with torch.no_grad():
        for scores in reference.logp(moves, reference=reference is policy):
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
