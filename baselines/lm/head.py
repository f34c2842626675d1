"""The output layer in training: log-probabilities of few tokens out of a vocabulary of 50,000 and more.

Logits of T places are T x V numbers.  They are made once here, and in float32; what autograd would keep, one
copy for each operation between them and the loss, is not made, and where top-k or top-p keep K tokens, the
products of the backward pass are T x K in place of T x V.  For plain output layers alone: logits = h W'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from baselines.lm.llama import LlamaEngine
from baselines.lm.packing import Scored
from baselines.lm.sampling import Sampling, choices

ROWS = 64
"""rows of which intermediate results are made at a time"""


def token_logp(hidden: Tensor, weight: Tensor, taken: Tensor, sampling: Sampling) -> Tensor:
    """log pi(taken | h) under `sampling`, as `choices(...).of(taken)` has it.

    hidden: (T, d) input of the output layer; weight: (V, d); taken: (T,) -> (T,)
    """
    with torch.no_grad():
        logits = F.linear(hidden, weight)
    if sampling.top_p == 1 and not 0 < sampling.top_k < len(weight):
        return _Whole.apply(hidden, weight, logits, taken, sampling.temperature or 1.0)
    options = choices(logits, sampling, taken, lambda kept: _Kept.apply(hidden, weight, logits, kept))
    return options.of(taken)


def plain_head(model: Any, autocast: torch.dtype | None) -> bool:
    """Whether a model's logits are its last hidden states times a matrix, in float32."""
    return type(model) in LlamaEngine.MODELS and model.dtype == torch.float32 and autocast is None


def hidden_at(model: Any, inputs: Mapping[str, Any], targets: Scored) -> Tensor:
    """Inputs of the output layer that predict these tokens.   -> (T, d)"""
    states = model.base_model(**inputs, use_cache=False).last_hidden_state
    return states[targets.row, targets.column]


def logits_at(model: Any, inputs: Mapping[str, Any], targets: Scored) -> Tensor:
    """Logits that predict these tokens, whatever a model does behind its output layer.   -> (T, V)

    That layer is by far the largest matrix product of a small batch and needed at few positions: a hook
    gathers its input first.
    """

    def gather(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (args[0][targets.row, targets.column][None], *args[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(gather)
    try:
        return model(**inputs, use_cache=False).logits[0]
    finally:
        handle.remove()


class _Kept(Function):
    """Logits of a few tokens: (T, K) of the given (T, V)."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, logits: Tensor, kept: Tensor) -> Tensor:
        ctx.save_for_backward(hidden, weight, kept)
        return logits.gather(-1, kept)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, kept = ctx.saved_tensors
        grad, to_hidden, to_weight = grads[0], None, None
        if ctx.needs_input_grad[0]:  # sums of K rows of the weight
            to_hidden = F.embedding_bag(kept, weight, per_sample_weights=grad, mode="sum")
        if ctx.needs_input_grad[1]:
            to_weight = torch.zeros_like(weight)
            size = max(1, 16_384 // kept.shape[1])
            for h, g, k in zip(hidden.split(size), grad.split(size), kept.split(size), strict=True):
                to_weight.index_add_(0, k.flatten(), (g[:, :, None] * h[:, None]).flatten(0, 1))
        return to_hidden, to_weight, None, None


class _Whole(Function):
    """log softmax(logits / temperature) at one token a row: (T,) of the given (T, V), which it overwrites."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, logits: Tensor, taken: Tensor, temperature: float
    ) -> Tensor:
        if temperature != 1.0:
            logits.div_(temperature)
        for rows in logits.split(ROWS):
            rows.sub_(rows.logsumexp(-1, keepdim=True))
        ctx.save_for_backward(hidden, weight, logits, taken)
        ctx.temperature = temperature
        return logits.gather(-1, taken[:, None]).squeeze(-1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, logp, taken = ctx.saved_tensors
        grad = (grads[0] / ctx.temperature)[:, None]
        to_logits = logp.exp_().mul_(-grad).scatter_add_(-1, taken[:, None], grad)
        to_hidden = to_logits @ weight if ctx.needs_input_grad[0] else None
        to_weight = to_logits.t() @ hidden if ctx.needs_input_grad[1] else None
        return to_hidden, to_weight, None, None, None
