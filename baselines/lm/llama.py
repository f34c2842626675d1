"""The forward pass of Llama-shaped models with few, large operations, for decoding alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.lm import threads
from baselines.lm.cache import Chunk, Memory, beside, divided
from baselines.lm.products import (
    NO_ADAPTER,
    Adapter,
    Layer,
    Product,
    joined,
    layer_adapter,
    layer_products,
    multiply,
    multiply_each,
    packs,
)

if TYPE_CHECKING:
    from baselines.lm.policy import LM


HOST_ROPES = ("dynamic", "longrope")
"""kinds of rotary frequencies that follow the longest text of a batch, which the host asks the device for"""


def check_decoding(policy: LM, setting: str) -> None:
    """Raise ValueError where a model has not what `setting` needs: Llama shape, fixed rotary frequencies."""
    model = policy.causal
    if not isinstance(policy.engine, LlamaEngine):
        kind = type(model).__name__
        raise ValueError(f"{policy.name}: {setting} needs a model of the Llama shape, got {kind}")
    rope = model.config.rope_parameters["rope_type"]
    if rope in HOST_ROPES:
        raise ValueError(f"{policy.name}: {setting} needs fixed rotary frequencies, got rope_type {rope!r}")


class ChunkRows(NamedTuple):
    """One chunk in a forward pass over several, whose rows are stacked: what is not the same for all rows."""

    rows: int
    """how many rows the chunk has"""
    memory: Memory
    """the keys and values that these rows attend to"""
    mask: Tensor
    """(rows, 1, T, C), or (rows, 1, 1, C) for T = 1"""
    adapters: Sequence[Adapter]
    """of each layer, what the chunk's LoRA adapter adds to it"""


class LlamaEngine:
    """The forward pass of Llama-shaped models, with and without LoRA adapters.

    Small models are bound by the number of operations, so projections that read the same input are joined;
    larger ones by their matrix products, so on a CPU these are packed (lm/products.py).  With `dtype` all
    copies are in that precision, for decoding under autocast: float32 weights would be read and cast anew for
    every token.  `refresh` makes the copies that `forward` needs, anew where weights have changed since.
    """

    def __init__(self, model: Any, dtype: torch.dtype | None = None):
        config = model.config
        self.model = model
        self.dtype = dtype
        self.layers = config.num_hidden_layers
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = model.model.layers[0].self_attn.head_dim
        self.eps = config.rms_norm_eps
        self.shares = sum(p.numel() for p in model.parameters()) > threads.SMALL  # else operations count
        self.versions: dict[str | None, tuple[int, ...]] = {}
        """state of the weights that were copied: of the base (None), and of each adapter"""
        self.products: list[Layer] = []
        self.head: Product | None = None
        self.adapters: dict[str, list[Adapter]] = {}

    @torch.no_grad()
    def refresh(self, adapter: str | None = None) -> None:
        """Copy the weights again, those of the base and of `adapter`, where any has changed."""
        layers = self.model.model.layers
        for part, version in self._changed(adapter).items():
            if part is None:
                packed = self.dtype is None and packs(self.model)
                self.products = [layer_products(layer, packed, self.dtype) for layer in layers]
                self.head = joined(self.model.lm_head, packed=packed, dtype=self.dtype)
            else:
                self.adapters[part] = [layer_adapter(layer, part) for layer in layers]
            self.versions[part] = version

    def stale(self, adapter: str | None = None) -> bool:
        return any(part in self.versions for part in self._changed(adapter))

    def release(self) -> None:
        """Drop the copies of the base's weights: they are about to change."""
        self.versions.pop(None, None)
        self.products, self.head = [], None

    def _changed(self, adapter: str | None) -> dict[str | None, tuple[int, ...]]:
        """The versions of the base's weights (None) and of the adapter's, where the copies are of others."""
        named = list(self.model.named_parameters())
        now: dict[str | None, tuple[int, ...]] = {}
        now[None] = tuple(p._version for name, p in named if ".lora_" not in name)
        if adapter is not None:
            now[adapter] = tuple(p._version for name, p in named if f".{adapter}." in name)
        return {part: version for part, version in now.items() if self.versions.get(part) != version}

    def forward(self, ids: Tensor, real: Tensor, memory: Memory, adapter: str | None = None) -> Tensor:
        return self.forward_all([Chunk(ids, real, memory, adapter)])[0]

    def forward_all(self, chunks: Sequence[Chunk]) -> list[Tensor]:
        """`forward` of several chunks of as many columns, each by its own adapter, in one pass over the base.

        -> (B, V) of each chunk
        """
        inner = self.model.model
        x = inner.embed_tokens(beside([chunk.ids for chunk in chunks]))
        parts, cosines, sines = [], [], []
        for ids, real, memory, adapter in chunks:
            positions, mask = memory.append(real)
            adapters = [NO_ADAPTER] * self.layers if adapter is None else self.adapters[adapter]
            parts.append(ChunkRows(len(ids), memory, mask, adapters))
            cos, sin = inner.rotary_emb(x, positions)  # by chunk: some kinds look at all positions of a batch
            cosines.append(cos)
            sines.append(sin)
        cos, sin = beside(cosines).unsqueeze(2), beside(sines).unsqueeze(2)
        half = self.head_dim // 2
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1)
        for k in range(self.layers):
            x = self._layer(x, k, parts, cos, sin)
        assert self.head is not None
        logits = multiply(F.rms_norm(x[:, -1], x.shape[-1:], inner.norm.weight, self.eps), self.head)
        return list(logits.split([part.rows for part in parts]))

    def _layer(self, x: Tensor, k: int, parts: Sequence[ChunkRows], cos: Tensor, sin: Tensor) -> Tensor:
        """The k-th layer.   x: (B, T, d) the rows of all parts -> (B, T, d)"""
        layer, products = self.model.model.layers[k], self.products[k]
        B, T, d = x.shape
        rows, adapters = [part.rows for part in parts], [part.adapters[k] for part in parts]
        h = F.rms_norm(x, (d,), layer.input_layernorm.weight, self.eps)
        qkv = multiply_each(h, products.qkv, rows, [a.qkv for a in adapters]).view(B, T, -1, self.head_dim)
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        if products.qk_norm is not None:
            qk = F.rms_norm(qk, (self.head_dim,), None, self.eps) * products.qk_norm
        qk = torch.addcmul(qk * cos, qk.roll(self.head_dim // 2, -1), sin)
        by_part = zip(parts, divided(qk, rows), divided(v, rows), strict=True)
        attended = beside([part.memory.attend(k, qk, v, part.mask) for part, qk, v in by_part])
        x = x + multiply_each(attended.reshape(B, T, -1), products.o, rows, [a.o for a in adapters])
        h = F.rms_norm(x, (d,), layer.post_attention_layernorm.weight, self.eps)
        gate, up = multiply_each(h, products.gate_up, rows, [a.gate_up for a in adapters]).chunk(2, dim=-1)
        return x + multiply_each(layer.mlp.act_fn(gate) * up, products.down, rows, [a.down for a in adapters])
