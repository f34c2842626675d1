"""One distribution over next tokens, used to sample and to score: what is sampled is what is scored."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Sampling:
    """How a policy picks its next token."""

    temperature: float = 1.0
    """divides the logits; 0 takes the likeliest token"""
    top_p: float = 1.0
    """smallest set of tokens with at least this much probability; 1 keeps all"""
    top_k: int = 0
    """at most so many of the likeliest tokens; 0 keeps all"""
    max_new_tokens: int = 256
    """a text longer than this is cut"""

    def __post_init__(self) -> None:
        if self.temperature < 0 or not 0 < self.top_p <= 1 or self.top_k < 0 or self.max_new_tokens < 1:
            raise ValueError(
                "sampling: need temperature >= 0, 0 < top_p <= 1, top_k >= 0 and max_new_tokens >= 1, "
                f"got {self}"
            )


def log_probs(logits: Tensor, sampling: Sampling, taken: Tensor | None = None) -> Tensor:
    """log pi(. | h) of the distribution `sampling` draws from: -inf for tokens it never draws.

    `taken` (N,) are tokens drawn earlier: they stay in the set, so that a policy that has moved since can
    still score what it once said.   logits: (N, V) -> (N, V) in float32
    """
    logits = logits.float()
    if sampling.temperature not in (0.0, 1.0):
        logits = logits / sampling.temperature
    if sampling.top_p < 1 or 0 < sampling.top_k < logits.shape[-1]:
        logits = logits.masked_fill(~_kept(logits.detach(), sampling, taken), -torch.inf)
    return logits.log_softmax(-1)


def draw(logits: Tensor, sampling: Sampling, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A token for each row and its log-probability.   logits: (N, V) -> (N,), (N,)"""
    logp = log_probs(logits, sampling)
    if sampling.temperature == 0:
        token = logp.argmax(-1)
    else:
        cdf = logp.double().exp().cumsum(-1)  # double: the tail of a large vocabulary must keep its mass
        u = torch.rand(len(cdf), 1, generator=generator, dtype=cdf.dtype, device=cdf.device)
        token = torch.searchsorted(cdf, u * cdf[:, -1:] * (1 - 1e-12), right=True).squeeze(-1)
    return token, logp.gather(-1, token[:, None]).squeeze(-1)


def _kept(logits: Tensor, sampling: Sampling, taken: Tensor | None) -> Tensor:
    """Which tokens are in the set: top-k first, then top-p of what is left.   (N, V) -> (N, V) bool"""
    V = logits.shape[-1]
    ranked, order = logits.topk(min(sampling.top_k or 256, V), dim=-1)
    probs = (ranked - (ranked if sampling.top_k else logits).logsumexp(-1, keepdim=True)).exp()
    if not sampling.top_k and probs.sum(-1).min() < sampling.top_p:
        ranked, order = logits.sort(dim=-1, descending=True)  # a flat distribution: 256 are not enough
        probs = ranked.softmax(-1)
    keep = probs.cumsum(-1) - probs < sampling.top_p  # the token that crosses top_p stays
    kept = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, keep)
    if taken is not None:
        kept.scatter_(-1, taken[:, None], True)
    return kept
