"""The forward pass of Llama-shaped models with few, large operations, for decoding alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from baselines.lm.cache import Memory, Slab
from baselines.lm.products import LowRank, Product, adapts, joined, low_rank, multiply, packs
from baselines.lm.served import attention_kinds


class Layer(NamedTuple):
    """One layer's products, and the norms of queries and keys."""

    qkv: Product
    o: Product
    gate_up: Product
    down: Product
    qk_norm: Tensor | None
    """(heads + kv_heads, head_dim)"""


class Adapter(NamedTuple):
    """What a LoRA adapter adds to one layer's products."""

    qkv: LowRank
    o: LowRank
    gate_up: LowRank
    down: LowRank


class LlamaEngine:
    """The forward pass of Llama-shaped models, with and without LoRA adapters.

    Small models are bound by the number of operations, so projections that read the same input are joined;
    larger ones by their matrix products, so on a CPU these are packed (lm/products.py).  `refresh` makes
    joined and packed copies anew where weights have changed since the last time.
    """

    MODELS = (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
    ROPES = ("default", "linear", "dynamic", "yarn", "llama3", "longrope")

    def __init__(self, model: Any):
        config = model.config
        self.model = model
        self.layers = config.num_hidden_layers
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = model.model.layers[0].self_attn.head_dim
        self.eps = config.rms_norm_eps
        self.versions: dict[str | None, tuple[int, ...]] = {}
        """state of the weights that were copied: of the base (None), and of each adapter"""
        self.products: list[Layer] = []
        self.head: Product | None = None
        self.adapters: dict[str, list[Adapter]] = {}
        self.refresh()

    @classmethod
    def serves(cls, model: Any, adapter: str | None = None) -> bool:
        """Whether this engine fits: unquantised, without sliding windows, no adapters but plain LoRA."""
        if type(model) not in cls.MODELS:  # a class of the same name may come with a model's own code
            return False
        config = model.config
        attention = model.model.layers[0].self_attn
        own = ("torch.nn.modules.", "transformers.models.", "transformers.activations")
        adapted = {
            id(projection)
            for layer in model.model.layers
            for projection in _projections(layer)
            if adapter is not None and adapts(projection, adapter)
        }
        # no adapters around other modules, no quantised or reparametrised weights
        plain = all(
            type(module).__module__.startswith(own) for module in model.modules() if id(module) not in adapted
        )
        return (
            plain
            and len(adapted) == (0 if adapter is None else 7 * config.num_hidden_layers)
            and attention_kinds(type(model).__name__, config)[0] == {"full_attention"}
            and config.rope_parameters["rope_type"] in cls.ROPES
            and config.rope_parameters.get("partial_rotary_factor", 1.0) == 1.0
            and attention.scaling == attention.head_dim**-0.5
        )

    @torch.no_grad()
    def refresh(self, adapter: str | None = None) -> None:
        """Copy the weights again, those of the base and of `adapter`, where any has changed."""
        named = list(self.model.named_parameters())
        if self._changed(None, [p for name, p in named if ".lora_" not in name]):
            packed = packs(self.model)
            self.products = [self._layer_of(layer, packed) for layer in self.model.model.layers]
            self.head = joined(self.model.lm_head, packed=packed)
        if adapter is not None and self._changed(adapter, [p for name, p in named if f".{adapter}." in name]):
            self.adapters[adapter] = [_adapter_of(layer, adapter) for layer in self.model.model.layers]

    def release(self) -> None:
        """Drop the copies of the base's weights: they are about to change."""
        self.versions.pop(None, None)
        self.products, self.head = [], None

    def _changed(self, adapter: str | None, parameters: list[nn.Parameter]) -> bool:
        """Whether these parameters have changed since the last call for this adapter."""
        before, now = self.versions.get(adapter), tuple(p._version for p in parameters)
        self.versions[adapter] = now
        return before != now

    def _layer_of(self, layer: Any, packed: bool) -> Layer:
        q, k, v, o, gate, up, down = _projections(layer)
        norm = None
        if hasattr(layer.self_attn, "q_norm"):
            q_norm, k_norm = layer.self_attn.q_norm.weight, layer.self_attn.k_norm.weight
            norm = torch.cat([q_norm.expand(self.heads, -1), k_norm.expand(self.kv_heads, -1)])
        return Layer(
            joined(q, k, v, packed=packed),
            joined(o, packed=packed),
            joined(gate, up, packed=packed),
            joined(down, packed=packed),
            norm,
        )

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
            x = self._layer(x, layer, products, added, slab, cos, sin, mask)
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
        attended = F.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=mask, enable_gqa=self.heads != self.kv_heads
        )
        x = x + multiply(attended.transpose(1, 2).reshape(B, T, -1), products.o, added[1])
        h = F.rms_norm(x, (d,), layer.post_attention_layernorm.weight, self.eps)
        gate, up = multiply(h, products.gate_up, added[2]).chunk(2, dim=-1)
        return x + multiply(layer.mlp.act_fn(gate) * up, products.down, added[3])


def _projections(layer: Any) -> tuple[Any, ...]:
    """A layer's seven linear maps: queries, keys, values, output; gate, up, down."""
    a, m = layer.self_attn, layer.mlp
    return a.q_proj, a.k_proj, a.v_proj, a.o_proj, m.gate_proj, m.up_proj, m.down_proj


def _adapter_of(layer: Any, adapter: str) -> Adapter:
    q, k, v, o, gate, up, down = _projections(layer)
    groups = ((q, k, v), (o,), (gate, up), (down,))
    return Adapter(*(low_rank(*group, adapter=adapter) for group in groups))
