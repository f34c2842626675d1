"""The key-value memory of a batch of conversations, kept from turn to turn and written in place.

The memory is a rectangle, rows x columns.  Where a row has no token in a column, `mask` is False: the cell is
masked from attention and not counted in position ids.  So histories of different lengths grow side by side,
rows can be picked, repeated (branches) and dropped (finished episodes), and nothing is computed twice.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import DynamicLayer


class Slab(DynamicLayer):
    """One layer's keys and values, (B, heads, capacity, head_dim), written in place and doubled when full."""

    keys: Any
    values: Any

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

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

    def pick(self, rows: Tensor) -> Slab:
        """A copy with these rows, in this order."""
        twin = Slab()
        if self.is_initialized:
            twin.lazy_initialization(self.keys, self.values)
            twin.keys = self.keys[..., : self.length, :].index_select(0, rows)
            twin.values = self.values[..., : self.length, :].index_select(0, rows)
            twin.length = self.length
        return twin

    def put(self, rows: Tensor, other: Slab, start: int) -> None:
        """Write the columns of `other` from `start` on into these rows."""
        if other.length > self.keys.shape[-2]:
            self.keys = self._grown(self.keys, self.keys, other.length)
            self.values = self._grown(self.values, self.values, other.length)
        self.keys[rows, :, start : other.length] = other.keys[..., start : other.length, :]
        self.values[rows, :, start : other.length] = other.values[..., start : other.length, :]


class Memory:
    """The key-value memory of a batch of rows; `mask` (B, C) is True where a row holds a token."""

    def __init__(self, layers: list[Slab], mask: Tensor):
        self.layers = layers
        self.mask = mask

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
        positions = (past.sum(1, keepdim=True) + real.cumsum(1) - 1).clamp(min=0)
        self.mask = torch.cat([past, real], dim=1)
        if T == 1:
            return positions, self.mask[:, None, None, :]
        causal = torch.ones(T, T, dtype=torch.bool, device=real.device).tril()
        new = causal & real[:, None, :]
        new = new | torch.eye(T, dtype=torch.bool, device=real.device)
        mask = torch.cat([past[:, None, :].expand(B, T, past.shape[1]), new], dim=2)
        return positions, mask[:, None]

    def pick(self, rows: Tensor) -> Memory:
        """A copy with these rows, in this order."""
        return Memory([layer.pick(rows) for layer in self.layers], self.mask.index_select(0, rows))

    def put(self, rows: Tensor, other: Memory, start: int) -> None:
        """Write into `rows` the columns from `start` on of `other`, a copy of these rows that has read on."""
        for own_layer, other_layer in zip(self.layers, other.layers, strict=True):
            own_layer.put(rows, other_layer, start)
        gained = other.mask.shape[1] - self.mask.shape[1]
        if gained > 0:
            self.mask = F.pad(self.mask, (0, gained))
            for layer, other_layer in zip(self.layers, other.layers, strict=True):
                layer.length = other_layer.length
        self.mask[rows, start:] = other.mask[:, start:]
