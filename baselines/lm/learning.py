"""How a policy learns from its texts: lessons, the passes of one step, and the optimizer.

The loss is a function of token log-probabilities alone (formulas/losses.py), so the weights may be local or
remote.  Local: `logp` returns log-probabilities with their graph, `backward` adds gradients to the weights,
and the optimizer steps them.  Remote: `logp` returns fetched numbers as leaf tensors, `backward` leaves d
loss / d logp in their `.grad`, and the policy's `optimizer.step()` sends that to the process with the
weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from baselines.formulas import losses
from baselines.formulas.losses import Objective
from baselines.lm.history import Move
from baselines.lm.scoring import Scorer, Scores, reference_logp, token_gap, token_logp

Schedule = Literal["constant", "linear", "cosine"]


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


class Beside(NamedTuple):
    """Additional losses in the policy's optimizer steps: those of critics which share the policy's trunk."""

    passes: int
    """number of optimizer steps, from the first on, that include these losses"""
    losses: Sequence[Callable[[], float]]
    """each adds the gradient of a value loss and returns it"""


class Stepper(Protocol):
    """What `learn` needs of an optimizer."""

    def zero_grad(self) -> None:
        """Forget the gradient."""
        ...

    def step(self) -> float:
        """Apply the gradient accumulated since `zero_grad`; returns its norm before clipping."""
        ...


class TrainedPolicy(Scorer, Protocol):
    """What `learn` needs of a policy, whether its weights are local or remote."""

    @property
    def optimizer(self) -> Stepper | None:
        """None where the policy is not trained."""
        ...


def learn(
    policy: TrainedPolicy, lesson: Lesson, objective: Objective, beside: Beside | None = None
) -> dict[str, float]:
    """`objective.epochs` optimizer steps of one policy on a lesson.   -> numbers to log

    pi_old in the importance ratio comes from the first pass, before any weight has changed, and not from the
    sampler, whose arithmetic may differ (bfloat16, another engine): so the ratio starts at exactly 1.  The
    difference between the two is logged as `sampled_vs_scored`: |log-probability difference| of a whole text
    in nats, averaged over texts.  Where `objective.max_gap` bounds it, `token_gap` is the same for a token.
    `value_loss`: the mean of the losses of `beside`.

    Raises FloatingPointError with the texts of the micro-batch for a loss that is not finite, before the
    policy's optimizer has used it.
    """
    if policy.optimizer is None:
        raise ValueError(f"{policy.name}: cannot learn, it was opened without an optimizer")
    frozen = reference_logp(policy, lesson.moves) if objective.kl else None
    old: list[Tensor] = []  # of each micro-batch; their order is the same in every pass
    logged: dict[str, float] = {}
    value_losses: list[float] = []
    norm = 0.0
    for k in range(max(objective.epochs, beside.passes if beside else 0)):
        policy.optimizer.zero_grad()
        if k < objective.epochs:
            logged |= _backward(policy, lesson, objective, frozen, old)
        if beside and k < beside.passes:
            value_losses += [backward() for backward in beside.losses]
        norm = policy.optimizer.step()
    policy.optimizer.zero_grad()  # gradients of all policies at once would only take memory
    values = {"value_loss": fmean(value_losses)} if value_losses else {}
    return {**logged, **values, "grad_norm": norm}


def _backward(
    policy: TrainedPolicy,
    lesson: Lesson,
    objective: Objective,
    frozen: list[Tensor] | None,
    old: list[Tensor],
) -> dict[str, float]:
    """Add the gradient of one pass over the moves; returns the sums to log.

    `old` holds log pi_old of each micro-batch; the first pass finds it empty and fills it.
    """
    moves = lesson.moves
    advantages, weights = (torch.tensor(x, dtype=torch.float32) for x in (lesson.advantages, lesson.weights))
    first, gaps = not old, torch.zeros(2, dtype=torch.float64)
    sums = torch.zeros(3, dtype=torch.float64)
    for batch, scores in enumerate(policy.logp(moves, entropy=objective.entropy != 0)):
        if first:
            old.append(scores.logp.detach())
            gaps += _gaps(moves, scores)
        device = scores.logp.device
        written = [lp for k in scores.moves for lp in moves[k].logp] if objective.truncate else None
        terms = losses.lesson_loss(
            objective,
            scores.logp,
            old[batch],
            advantages[scores.moves].to(device),
            weights[scores.moves].to(device),
            scores.owner,
            reference=None if frozen is None else torch.cat([frozen[k] for k in scores.moves]),
            entropy=scores.entropy,
            sampled=None if written is None else torch.tensor(written, device=device),
        )
        _check_finite(policy.name, terms.loss, moves, scores.moves)
        terms.loss.backward()
        sums += torch.stack([terms.surrogate, terms.kl, terms.entropy]).detach().double().cpu()
    logged: dict[str, float] = {}
    for name, value in zip(("policy_loss", "kl", "entropy"), sums.tolist(), strict=True):
        logged[name] = value
    if first:
        logged["sampled_vs_scored"] = float(gaps[0]) / max(1, len(moves))
    if first and objective.max_gap is not None:
        logged["token_gap"] = float(gaps[1]) / max(1, sum(len(move.ids) for move in moves))
        _check_gap(policy, moves, logged["token_gap"], objective.max_gap)
    return logged


def _gaps(moves: Sequence[Move], scores: Scores) -> Tensor:
    """|log pi scored - log pi sampled| of a micro-batch's texts, and of its tokens, summed.   -> (2,)"""
    sampled = torch.tensor([lp for k in scores.moves for lp in moves[k].logp], dtype=torch.float64)
    apart = scores.logp.detach().double().cpu() - sampled
    texts = losses.per_move(apart, scores.owner.cpu(), len(scores.moves))
    return torch.stack([texts.abs().sum(), apart.abs().sum()])


def _check_gap(policy: Scorer, moves: Sequence[Move], gap: float, bound: float) -> None:
    """Raise ValueError where texts were written by other weights, or another arithmetic, than score them.

    The weights without their adapter are tried, to tell why.
    """
    if gap <= bound:
        return
    few = moves[:8]
    bare = token_gap(token_logp(policy, few, reference=True), few)
    why = (
        "the server wrote without this policy's adapter"
        if bare < bound
        else "the server has other weights (another model, or another run publishes under the same name) "
        "or computes in much lower precision, which sampler_gap may allow"
    )
    raise ValueError(
        f"{policy.name}: log-probabilities of its texts are {gap:.2g} nats a token from those scored here, "
        f"more than sampler_gap={bound:g}: {why}; no weight was changed"
    )


def _check_finite(name: str, loss: Tensor, moves: Sequence[Move], index: Sequence[int]) -> None:
    if not torch.isfinite(loss):
        texts = "\n".join(f"  {moves[k].text[:200]!r}" for k in index[:8])
        raise FloatingPointError(
            f"{name}: the loss of a micro-batch of {len(index)} moves is {loss.item()}; its "
            f"optimizer has not used it, and the last checkpoint is whole.  The texts begin with\n{texts}"
        )


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) of one policy or critic: no weight decay, clipped gradients.

    `heads` are parameters with a learning rate of their own, `head_lr`, on the same schedule.  `steps` and
    `warmup` count calls of `step`, which are as many for each step of a run as there are passes in it.
    """

    def __init__(
        self,
        parameters: Sequence[nn.Parameter],
        lr: float,
        *,
        steps: int,
        schedule: Schedule = "constant",
        warmup: int = 0,
        max_grad_norm: float = 1.0,
        heads: Sequence[nn.Parameter] = (),
        head_lr: float = 0.0,
    ):
        self.parameters = [*parameters, *heads]
        self.rates = [lr, head_lr] if heads else [lr]
        self.steps, self.warmup = steps, warmup
        self.schedule: Schedule = schedule
        self.max_grad_norm = max_grad_norm
        groups = [{"params": [*parameters]}, *([{"params": [*heads]}] if heads else [])]
        self.adam = torch.optim.AdamW(groups, lr=lr, weight_decay=0.0)
        self.taken = 0
        self.reduce: Callable[[Sequence[nn.Parameter]], None] | None = None
        """adds up the gradients of all processes that step the same weights; None: there is this one"""

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.adam.zero_grad(set_to_none=True)

    def step(self) -> float:
        """Clip, step, and return the norm of the gradient before clipping.  Raises where it is not finite."""
        if self.reduce is not None:
            self.reduce(self.parameters)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {float(norm)}; no weight was changed")
        for group, lr in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = learning_rate(lr, self.taken, self.steps, self.schedule, self.warmup)
        self.adam.step()
        self.taken += 1
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"adam": self.adam.state_dict(), "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.adam.load_state_dict(state["adam"])
        self.taken = state["taken"]


def learning_rate(lr: float, step: int, steps: int, schedule: Schedule, warmup: int) -> float:
    """The rate of step 0, 1, ...: a rise over `warmup` steps, then constant, or down to 0 at `steps`."""
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return lr
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return lr * (1 - done) if schedule == "linear" else lr * 0.5 * (1 + math.cos(math.pi * done))
