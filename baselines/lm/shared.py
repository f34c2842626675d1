"""Keys and values of a prompt that a group of rows shares: kept once, and read once for all of them.

Copies would take a group's size times the memory, and in every step of decoding a group's size times the
reading, which is what a step over a long prompt consists of.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST = 64
"""columns below which a copy is cheaper"""


class Shared(NamedTuple):
    """Which of R prompts each of B rows continues; up to W rows continue one."""

    mask: Tensor
    """(R, P) True where a prompt holds a token"""
    slots: Tensor
    """(B,) row b continues prompt slots[b] // W; no two rows have the same slot"""
    width: int
    """W"""
    in_order: bool
    """whether there are R W rows, and row b has slot b"""

    @property
    def prompts(self) -> Tensor:
        """(B,) the prompt of each row."""
        return self.slots // self.width


def branches_of_all(rows: Tensor, count: int) -> int:
    """How often `rows` repeats each of `count` rows in its turn; 0 where it is no such list."""
    times, left = divmod(len(rows), max(1, count))
    if left or times < 2:
        return 0
    expected = torch.arange(count, device=rows.device).repeat_interleave(times)
    return times if torch.equal(rows, expected) else 0


def attend(
    q: Tensor, keys: Tensor, values: Tensor, mask: Tensor, prompt: tuple[Tensor, Tensor], shared: Shared
) -> Tensor:
    """Attention of rows to the prompts they share and to their own columns.

    q: (B, T, H, D); keys, values: (B, K, C, D) the rows' own; mask: (B, 1, T, C), or (B, 1, 1, C) for T = 1;
    prompt: keys and values of the prompts, (R, K, P, D) -> (B, T, H, D)
    """
    B, T, H, D = q.shape
    K, P, W, R = keys.shape[1], prompt[0].shape[2], shared.width, len(prompt[0])
    q = (q * D**-0.5).view(B, T, K, H // K, D).permute(0, 2, 3, 1, 4)  # (B, K, G, T, D)
    G = H // K

    def by_prompt(x: Tensor) -> Tensor:
        """(B, K, G, T, n) -> (R, K, W G T, n), the rows of a prompt side by side"""
        slots = x if shared.in_order else x.new_zeros(R * W, *x.shape[1:]).index_copy_(0, shared.slots, x)
        return slots.reshape(R, W, K, G * T, -1).transpose(1, 2).reshape(R, K, W * G * T, -1)

    def by_row(x: Tensor) -> Tensor:
        """The reverse."""
        slots = x.reshape(R, K, W, G * T, -1).transpose(1, 2).reshape(R * W, K, G, T, -1)
        return slots if shared.in_order else slots[shared.slots]

    past = by_prompt(q) @ prompt[0].transpose(-1, -2)
    past = past.masked_fill(~shared.mask[:, None, None, :], -torch.inf)
    own = (q.flatten(2, 3) @ keys.transpose(-1, -2)).view(B, K, G, T, -1)
    own = own.masked_fill(~mask[:, :, None], -torch.inf)
    weights = torch.cat([by_row(past), own], dim=-1).float().softmax(-1).to(q.dtype)
    out = by_row(by_prompt(weights[..., :P]) @ prompt[1])
    out = out + (weights[..., P:].flatten(2, 3) @ values).view(B, K, G, T, D)
    return out.permute(0, 3, 1, 2, 4).reshape(B, T, H, D)
