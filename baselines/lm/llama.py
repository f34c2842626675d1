"""The forward pass of Llama-shaped models with few, large operations, for decoding alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.lm import threads
from baselines.lm.cache import Memory, Slab
from baselines.lm.products import (
    Adapter,
    Layer,
    Product,
    joined,
    layer_adapter,
    layer_products,
    multiply,
    packs,
)
from baselines.lm.shared import Shared, attend


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
        named = list(self.model.named_parameters())
        if self._changed(None, [p for name, p in named if ".lora_" not in name]):
            packed = self.dtype is None and packs(self.model)
            layers = self.model.model.layers
            self.products = [layer_products(layer, packed, self.dtype) for layer in layers]
            self.head = joined(self.model.lm_head, packed=packed, dtype=self.dtype)
        if adapter is not None and self._changed(adapter, [p for name, p in named if f".{adapter}." in name]):
            self.adapters[adapter] = [layer_adapter(layer, adapter) for layer in self.model.model.layers]

    def release(self) -> None:
        """Drop the copies of the base's weights: they are about to change."""
        self.versions.pop(None, None)
        self.products, self.head = [], None

    def _changed(self, adapter: str | None, parameters: list[nn.Parameter]) -> bool:
        """Whether these parameters have changed since the last call for this adapter."""
        before, now = self.versions.get(adapter), tuple(p._version for p in parameters)
        self.versions[adapter] = now
        return before != now

    def forward(self, ids: Tensor, real: Tensor, memory: Memory, adapter: str | None = None) -> Tensor:
        positions, mask = memory.append(real)
        inner = self.model.model
        x = inner.embed_tokens(ids)
        cos, sin = inner.rotary_emb(x, positions)
        half = self.head_dim // 2
        cos = cos.unsqueeze(2)
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1).unsqueeze(2)
        adapters = [None] * self.layers if adapter is None else self.adapters[adapter]
        for layer, products, added, slab in zip(
            inner.layers, self.products, adapters, memory.layers, strict=True
        ):
            x = self._layer(x, layer, products, added, slab, cos, sin, mask, memory.shared)
        assert self.head is not None
        return multiply(F.rms_norm(x[:, -1], x.shape[-1:], inner.norm.weight, self.eps), self.head)

    def _layer(
        self,
        x: Tensor,
        layer: Any,
        products: Layer,
        adapter: Adapter | None,
        slab: Slab,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        shared: Shared | None,
    ) -> Tensor:
        B, T, d = x.shape
        added = adapter or (None,) * 4
        h = F.rms_norm(x, (d,), layer.input_layernorm.weight, self.eps)
        qkv = multiply(h, products.qkv, added[0]).view(B, T, -1, self.head_dim)
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        if products.qk_norm is not None:
            qk = F.rms_norm(qk, (self.head_dim,), None, self.eps) * products.qk_norm
        qk = torch.addcmul(qk * cos, qk.roll(self.head_dim // 2, -1), sin)
        q, k = qk.split([self.heads, self.kv_heads], dim=2)
        keys, values = slab.update(k.transpose(1, 2), v.transpose(1, 2))
        if shared is not None and slab.prompt is not None:
            attended = attend(q, keys, values, mask, slab.prompt, shared)
        else:
            attended = F.scaled_dot_product_attention(
                q.transpose(1, 2), keys, values, attn_mask=mask, enable_gqa=self.heads != self.kv_heads
            ).transpose(1, 2)
        x = x + multiply(attended.reshape(B, T, -1), products.o, added[1])
        h = F.rms_norm(x, (d,), layer.post_attention_layernorm.weight, self.eps)
        gate, up = multiply(h, products.gate_up, added[2]).chunk(2, dim=-1)
        return x + multiply(layer.mlp.act_fn(gate) * up, products.down, added[3])
