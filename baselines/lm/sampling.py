"""The next token's distribution under temperature, top-k and top-p; texts are sampled and scored by it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
import torch.nn.functional as F
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
        for name, least in (("temperature", 0), ("top_k", 0), ("max_new_tokens", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"sampling: need {name} >= {least}, got {getattr(self, name)}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"sampling: need 0 < top_p <= 1, got {self.top_p}")


def check_honoured(sampling: Sampling, engine: str, **fixed: float) -> None:
    """Raise ValueError naming the settings that `engine` cannot honour.  fixed: setting -> its only value"""
    values = {name: (getattr(sampling, name), only) for name, only in fixed.items()}
    refused = [f"{name}={value:g} (only {only:g})" for name, (value, only) in values.items() if value != only]
    if refused:
        raise ValueError(f"{engine} cannot honour {', '.join(refused)}")


class Choices(NamedTuple):
    """The tokens that each of N rows may draw, and their log-probabilities."""

    logp: Tensor
    """(N, K) log pi(. | h) in float32; -inf for a column that is never drawn"""
    tokens: Tensor | None
    """(N, K) token id of each column; None: the whole vocabulary in its order"""

    def name(self, column: Tensor) -> Tensor:
        """Token ids of these columns, one column a row.   (N,) -> (N,)"""
        return column if self.tokens is None else self.tokens.gather(-1, column[:, None]).squeeze(-1)

    def of(self, taken: Tensor) -> Tensor:
        """log pi(taken | h), for the `taken` these choices were made with.   (N,) -> (N,)"""
        column = taken if self.tokens is None else torch.zeros_like(taken)
        return self.logp.gather(-1, column[:, None]).squeeze(-1)


def choices(
    logits: Tensor,
    sampling: Sampling,
    taken: Tensor | None = None,
    gather: Callable[[Tensor], Tensor] | None = None,
    sort_all: bool = False,
) -> Choices:
    """The distribution `sampling` draws from.   logits: (N, V)

    Where top-k or top-p keeps a part of the vocabulary, only that part is normalised.  `taken` (N,) are
    tokens drawn earlier: they are always kept, in column 0, so that a policy whose weights have changed since
    can still score them.  `gather` takes kept tokens (N, K) to their logits (N, K), where these have a graph
    that `logits` has not.  With `sort_all` top-p sorts the whole vocabulary, so that no shape depends on the
    logits, and nothing waits for a device.
    """
    V, tokens = logits.shape[-1], None
    if sampling.top_p < 1 or 0 < sampling.top_k < V:
        if sort_all and not 0 < sampling.top_k < V:
            tokens, keep = _sorted(logits.detach().float(), sampling)
        else:
            tokens, keep = _kept(logits.detach().float(), sampling)
        if taken is not None:
            keep = torch.cat([torch.ones_like(keep[:, :1]), keep & (tokens != taken[:, None])], dim=-1)
            tokens = torch.cat([taken[:, None], tokens], dim=-1)
        kept = logits.gather(-1, tokens) if gather is None else gather(tokens)
        logits = kept.masked_fill(~keep, -torch.inf)
    logits = logits.float()
    if sampling.temperature not in (0.0, 1.0):
        logits = logits / sampling.temperature
    return Choices(logits.log_softmax(-1), tokens)


def draw_tokens(logits: Tensor, sampling: Sampling, dice: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
    """A token for each row, by its own generator, and its log-probability.   logits: (N, V) -> (N,), (N,)"""
    options = choices(logits, sampling)
    column = draw_from(options.logp, sampling, dice)
    return options.name(column), options.logp.gather(-1, column[:, None]).squeeze(-1)


def draw_from(logp: Tensor, sampling: Sampling, dice: Sequence[torch.Generator]) -> Tensor:
    """One column of each row.   logp: (N, K) -> (N,)"""
    return logp.argmax(-1) if sampling.temperature == 0 else columns_at(logp, uniforms(dice))


def columns_at(logp: Tensor, u: Tensor) -> Tensor:
    """The column of each row in which its share u of the probability lies.   (N, K), (N, 1) -> (N,)"""
    cdf = logp.double().exp().cumsum(-1)  # double: the tail of a large vocabulary must keep its mass
    return torch.searchsorted(cdf, u * cdf[:, -1:] * (1 - 1e-12), right=True).squeeze(-1)


def uniforms(dice: Sequence[torch.Generator]) -> Tensor:
    """A number in [0, 1) a row; adjacent rows of one generator draw in one call.   -> (N, 1) float64"""
    runs = [list(neighbours) for _, neighbours in groupby(dice, key=id)]
    draws = [
        torch.rand(len(run), 1, generator=run[0], dtype=torch.float64, device=run[0].device) for run in runs
    ]
    return draws[0] if len(draws) == 1 else torch.cat(draws)


def _kept(logits: Tensor, sampling: Sampling, width: int = 256) -> tuple[Tensor, Tensor]:
    """The likeliest tokens, and which of them are in the set: top-k first, then top-p of what is left.

    A set is looked for among the `width` likeliest tokens, then among 8 times as many, then in all of them.
    (N, V) -> (N, K) tokens, (N, K) bool
    """
    V = logits.shape[-1]
    T = sampling.temperature or 1.0
    ranked, order = _topk(logits, min(sampling.top_k or width, V))
    if sampling.top_p == 1:
        return order, torch.ones_like(order, dtype=torch.bool)
    totals = [
        (rows / T).logsumexp(-1, keepdim=True) for rows in (ranked if sampling.top_k else logits).split(64)
    ]
    probs = (ranked / T - torch.cat(totals)).exp()
    keep = probs.cumsum(-1) - probs < sampling.top_p  # the token that crosses top_p stays
    flat = probs.sum(-1) < sampling.top_p  # `width` tokens are not enough
    if sampling.top_k or not bool(flat.any()):
        return order, keep
    if 128 * width <= V:
        wide, kept = _kept(logits[flat], sampling, 8 * width)
        K = int(kept.sum(-1).max())
        return _widened(order, keep, flat, wide[:, :K], kept[:, :K])
    return _widened(order, keep, flat, *_sorted_set(logits[flat], sampling))


def _sorted(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """All tokens from the likeliest on, and which of them top-p keeps.   (M, V) -> (M, V), (M, V) bool"""
    ranked, order = logits.sort(dim=-1, descending=True)
    probs = (ranked / (sampling.temperature or 1.0)).softmax(-1)
    return order, probs.cumsum(-1) - probs < sampling.top_p


def _sorted_set(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """The kept tokens of flat distributions, by sorting the vocabulary.   (M, V) -> (M, K), (M, K) bool"""
    order, keep = _sorted(logits, sampling)
    K = int(keep.sum(-1).max())
    return order[:, :K], keep[:, :K]


def _widened(order: Tensor, keep: Tensor, rows: Tensor, wide: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """`order`, `keep` (N, k) with the sets `wide`, `kept` (M, K) in these rows.   -> (N, max(k, K)) each"""
    more = max(0, wide.shape[1] - order.shape[1])
    order, keep = F.pad(order, (0, more)), F.pad(keep, (0, more))
    order[rows, : wide.shape[1]] = wide
    keep[rows] = F.pad(kept, (0, keep.shape[1] - kept.shape[1]))
    return order, keep


def _topk(logits: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """logits.topk(k) in two stages: the k largest lie in the k columns of 8 whose maxima are largest.

    Several times as fast for a vocabulary much larger than k.   (N, V) -> (N, k) values, (N, k) tokens
    """
    N, V = logits.shape
    W = V // 8
    if 2 * k > W:
        return logits.topk(k, dim=-1)
    column = logits[:, : 8 * W].view(N, 8, W).amax(1).topk(k, dim=-1).indices
    tokens = (column[:, None] + W * torch.arange(8, device=logits.device)[:, None]).flatten(1)
    remainder = torch.arange(8 * W, V, device=logits.device).expand(N, -1)
    tokens = torch.cat([tokens, remainder], dim=-1)
    values, best = logits.gather(-1, tokens).topk(k, dim=-1)
    return values, tokens.gather(-1, best)
