"""AdamW with gradient clipping and a learning rate that is a function of the step alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

Schedule = Literal["constant", "linear", "cosine"]


def learning_rate(lr: float, step: int, steps: int, schedule: Schedule, warmup: int) -> float:
    """The rate of step 0, 1, ...: a rise over `warmup` steps, then constant, or down to 0 at `steps`."""
    if step < warmup:
        return lr * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return lr
    done = min(1.0, (step - warmup) / max(1, steps - warmup))
    return lr * (1 - done) if schedule == "linear" else lr * 0.5 * (1 + math.cos(math.pi * done))


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019) without weight decay, over one policy's or critic's parameters.

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

    def zero_grad(self) -> None:
        self.adam.zero_grad(set_to_none=True)

    def step(self) -> float:
        """Clip, step, and return the norm of the gradient before clipping.  Raises where it is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient's norm is {float(norm)}; no weight was changed")
        for group, lr in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = learning_rate(lr, self.taken, self.steps, self.schedule, self.warmup)
        self.adam.step()
        self.taken += 1
        return float(norm)

    def state_dict(self) -> dict[str, Any]:
        return {"adam": self.adam.state_dict(), "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.adam.load_state_dict(state["adam"])
        self.taken = state["taken"]
