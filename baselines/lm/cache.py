"""The key-value memory of a batch of conversations, kept from turn to turn and written in place.

The memory is a rectangle, rows x columns.  Where a row has no token in a column, `mask` is False: the cell is
masked from attention and not counted in position ids.  So histories of different lengths grow side by side,
rows can be picked, repeated (branches) and dropped (finished episodes), and nothing is computed twice.
The columns before a branching can be shared by the branches instead of copied (lm/shared.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from baselines.lm.shared import LEAST, Shared, attend, branches_of_all


class Slab(DynamicLayer):
    """One layer's keys and values, (B, heads, capacity, head_dim), written in place and doubled when full."""

    keys: Any
    values: Any

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.prompt: tuple[Tensor, Tensor] | None = None
        """keys and values of prompts that rows share, (R, heads, P, head_dim), before their own columns"""

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        stop = self.length + key_states.shape[-2]
        if self.keys.numel() == 0 or stop > self.keys.shape[-2]:
            self.keys = self._grown(self.keys, key_states, stop)
            self.values = self._grown(self.values, value_states, stop)
        self.keys[..., self.length : stop, :] = key_states
        self.values[..., self.length : stop, :] = value_states
        self.length = stop
        return self.keys[..., :stop, :], self.values[..., :stop, :]

    def _grown(self, old: Tensor, new: Tensor, stop: int) -> Tensor:
        B, heads, _, head_dim = new.shape
        capacity = max(64, stop + stop // 2)
        grown = new.new_zeros(B, heads, capacity, head_dim)  # zeros: a masked cell must never hold a NaN
        if self.length:
            grown[..., : self.length, :] = old[..., : self.length, :]
        return grown

    def get_seq_length(self) -> int:
        return self.length

    def branch(self) -> Slab:
        """An empty slab for rows that share these rows as their prompts."""
        twin = Slab()
        twin.prompt = self.keys[..., : self.length, :], self.values[..., : self.length, :]
        return twin

    def unshared(self, prompts: Tensor) -> Slab:
        """A copy in which every row has the columns of its prompt itself."""
        assert self.prompt is not None
        twin, parts = Slab(), [tensor.index_select(0, prompts) for tensor in self.prompt]
        if self.is_initialized:
            own = (self.keys[..., : self.length, :], self.values[..., : self.length, :])
            parts = [torch.cat(pair, dim=2) for pair in zip(parts, own, strict=True)]
        twin.lazy_initialization(*parts)
        twin.keys, twin.values = parts
        twin.length = parts[0].shape[2]
        return twin

    def pick(self, rows: Tensor) -> Slab:
        """A copy with these rows, in this order."""
        twin = Slab()
        twin.prompt = self.prompt
        if self.is_initialized:
            twin.lazy_initialization(self.keys, self.values)
            twin.keys = self.keys[..., : self.length, :].index_select(0, rows)
            twin.values = self.values[..., : self.length, :].index_select(0, rows)
            twin.length = self.length
        return twin

    def put(self, rows: Tensor, other: Slab, start: int, count: int) -> None:
        """Write the columns of `other` from `start` on into these rows, of `count`."""
        if not self.is_initialized:  # rows that share prompts, and have read nothing themselves
            self.lazy_initialization(other.keys, other.values)
            self.keys, self.values = (x.new_zeros(count, *x.shape[1:]) for x in (other.keys, other.values))
        if other.length > self.keys.shape[-2]:
            self.keys = self._grown(self.keys, self.keys, other.length)
            self.values = self._grown(self.values, self.values, other.length)
        self.keys[rows, :, start : other.length] = other.keys[..., start : other.length, :]
        self.values[rows, :, start : other.length] = other.values[..., start : other.length, :]


class Memory:
    """The key-value memory of a batch of rows; `mask` (B, C) is True where a row holds a token.

    Where rows share prompts, C counts their own columns, which follow those of the prompts.
    """

    def __init__(self, layers: list[Slab], mask: Tensor, shared: Shared | None = None):
        self.layers = layers
        self.mask = mask
        self.shared = shared

    @classmethod
    def empty(cls, rows: int, layers: int, device: torch.device) -> Memory:
        return cls([Slab() for _ in range(layers)], torch.zeros(rows, 0, dtype=torch.bool, device=device))

    def append(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """Count new columns, before their keys and values come.   real: (B, T) False for padding

        -> their position ids (B, T), and the attention mask over all columns, (B, 1, T, C) or (B, 1, 1, C)
        for T = 1: holes are masked out, and padding attends to itself, or it would become a NaN.
        """
        B, T = real.shape
        past = self.mask
        positions = (self._held() + real.cumsum(1) - 1).clamp(min=0)
        self.mask = torch.cat([past, real], dim=1)
        if T == 1:
            return positions, self.mask[:, None, None, :]
        causal = torch.ones(T, T, dtype=torch.bool, device=real.device).tril()
        new = causal & real[:, None, :]
        new = new | torch.eye(T, dtype=torch.bool, device=real.device)
        mask = torch.cat([past[:, None, :].expand(B, T, past.shape[1]), new], dim=2)
        return positions, mask[:, None]

    def attend(self, k: int, qk: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """Attention of new tokens in layer k, whose keys and values the memory takes in.

        qk: (B, T, heads of queries, then of keys, D); v: (B, T, heads of keys, D); mask: (B, 1, T or 1, C)
        -> (B, T, heads of queries, D)
        """
        slab, groups = self.layers[k], v.shape[2]
        q, keys = qk.split([qk.shape[2] - groups, groups], dim=2)
        keys, values = slab.update(keys.transpose(1, 2), v.transpose(1, 2))
        if self.shared is not None and slab.prompt is not None:
            return attend(q, keys, values, mask, slab.prompt, self.shared)
        return F.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=mask, enable_gqa=q.shape[2] != groups
        ).transpose(1, 2)

    def _held(self) -> Tensor:
        """Tokens of each row.   -> (B, 1)"""
        own = self.mask.sum(1, keepdim=True)
        return (
            own if self.shared is None else own + self.shared.mask.sum(1, keepdim=True)[self.shared.prompts]
        )

    def pick(self, rows: Tensor, share: bool = False) -> Memory:
        """These rows, in this order, as a copy; with `share`, branches of all rows read one copy of a prompt.

        Only `LlamaEngine` reads shared prompts.
        """
        times = branches_of_all(rows, len(self.mask)) if share and self.shared is None else 0
        if times and self.mask.shape[1] >= LEAST:
            slots = torch.arange(len(rows), device=rows.device)
            own = self.mask.new_zeros(len(rows), 0)
            return Memory(
                [layer.branch() for layer in self.layers], own, Shared(self.mask, slots, times, True)
            )
        shared = self.shared
        if shared is not None:
            if len(rows.unique()) < len(rows):
                return self.unshared().pick(rows)
            shared = shared._replace(slots=shared.slots[rows], in_order=False)
        return Memory([layer.pick(rows) for layer in self.layers], self.mask.index_select(0, rows), shared)

    def unshared(self) -> Memory:
        """The same rows, each with a copy of its prompt."""
        if self.shared is None:
            return self
        prompts = self.shared.prompts
        mask = torch.cat([self.shared.mask[prompts], self.mask], dim=1)
        return Memory([layer.unshared(prompts) for layer in self.layers], mask)

    def put(self, rows: Tensor, other: Memory, start: int) -> None:
        """Write into `rows` the columns from `start` on of `other`, a copy of these rows that has read on."""
        for own_layer, other_layer in zip(self.layers, other.layers, strict=True):
            own_layer.put(rows, other_layer, start, len(self.mask))
        gained = other.mask.shape[1] - self.mask.shape[1]
        if gained > 0:
            self.mask = F.pad(self.mask, (0, gained))
            for layer, other_layer in zip(self.layers, other.layers, strict=True):
                layer.length = other_layer.length
        self.mask[rows, start:] = other.mask[:, start:]


class Chunk(NamedTuple):
    """New tokens of a batch, as `Engine.forward` takes them."""

    ids: Tensor
    """(B, T)"""
    real: Tensor
    """(B, T) False for padding"""
    memory: Memory
    adapter: str | None
    """the LoRA adapter in use; None: the weights alone"""


def beside(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all parts; those of a single one are not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def divided(x: Tensor, rows: Sequence[int]) -> Sequence[Tensor]:
    """The reverse of `beside`, for parts of so many rows."""
    return (x,) if len(rows) == 1 else x.split(list(rows))
