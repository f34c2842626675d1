"""Token by token: key-value memory that outlives a turn, and two engines that read it.

Rows of a batch share columns.  Where a row has no token in a column, its `mask` is False there: nothing
attends to that cell, and positions do not count it.  So histories of different lengths grow side by side,
rows can be picked, repeated (branches) and dropped (finished episodes), and nothing is ever computed twice.

`engine_for(model)` gives the own forward pass for plain Llama-shaped models (Llama, Qwen2, Qwen3) and the
model's own modules for everything else; both return the same logits (tests compare them, and a short text
does for every model that is loaded).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM
from transformers.cache_utils import Cache

from baselines.lm.cache import Memory, Slab
from baselines.lm.served import attention_kinds


class Engine(Protocol):
    """Processes a chunk of new tokens and returns the logits of the next one."""

    layers: int

    def forward(self, ids: Tensor, real: Tensor, memory: Memory) -> Tensor:
        """Logits after the last column.   ids: (B, T); real: (B, T) False for padding -> (B, V)

        Every row's last column must be real, or its logits mean nothing.  `memory` gains T columns.
        """
        ...


def _positions_and_mask(real: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Position ids (B, T) of new tokens, and the attention mask, holes of the memory masked out."""
    B, T = real.shape
    past = memory.mask
    positions = (past.sum(1, keepdim=True) + real.cumsum(1) - 1).clamp(min=0)
    memory.mask = torch.cat([past, real], dim=1)
    if T == 1:
        return positions, memory.mask[:, None, None, :]
    causal = torch.ones(T, T, dtype=torch.bool, device=real.device).tril()
    new = causal & real[:, None, :]
    new = new | torch.eye(T, dtype=torch.bool, device=real.device)  # padding attends to itself: no NaN
    mask = torch.cat([past[:, None, :].expand(B, T, past.shape[1]), new], dim=2)
    return positions, mask[:, None]


class ModuleEngine:
    """The model's own modules, for any architecture whose layers are all attention layers."""

    def __init__(self, model: Any):
        config = model.config.get_text_config()
        self.model = model
        self.layers = config.num_hidden_layers
        window: Any  # a number where there are layers with one
        self.kinds, window = attention_kinds(type(model).__name__, config)
        self.window = window
        self.attention = config._attn_implementation
        if self.attention not in ("sdpa", "eager"):
            raise ValueError(
                f"{type(model).__name__}: attn_implementation must be sdpa or eager, which take any mask; "
                f"got {self.attention!r}"
            )

    def forward(self, ids: Tensor, real: Tensor, memory: Memory) -> Tensor:
        positions, full = _positions_and_mask(real, memory)
        masks = {"full_attention": full}
        if "sliding_attention" in self.kinds:
            keys = (memory.mask.cumsum(1) - 1).clamp(min=0)
            near = positions[:, None, :, None] - keys[:, None, None, :] < self.window
            masks["sliding_attention"] = full & near
        if self.attention == "eager":  # eager attention adds the mask to the scores
            low = torch.finfo(self.model.dtype).min
            masks = {
                kind: torch.zeros_like(mask, dtype=self.model.dtype).masked_fill(~mask, low)
                for kind, mask in masks.items()
            }
        out = self.model(
            input_ids=ids,
            attention_mask=masks[next(iter(self.kinds))] if len(self.kinds) == 1 else masks,
            position_ids=positions,
            past_key_values=Cache(layers=[*memory.layers]),
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]


class LlamaEngine:
    """The forward pass of Llama-shaped models with few, large operations.

    Reads the live weights of the model's modules.  Small models are bound by the number of operations, not
    by their size, so projections that read the same input are joined; the joined copies are made anew by
    `refresh` after each update of the weights.
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
        self.versions: tuple[int, ...] = ()
        self.refresh()

    @classmethod
    def serves(cls, model: Any) -> bool:
        """Whether this engine fits: unquantised, without adapters, without sliding windows."""
        if type(model) not in cls.MODELS:  # a class of the same name may come with a model's own code
            return False
        config = model.config
        attention = model.model.layers[0].self_attn
        own = ("torch.nn.modules.", "transformers.models.", "transformers.activations")
        # no adapters around modules, no quantised or reparametrised weights
        plain = all(type(module).__module__.startswith(own) for module in model.modules())
        return (
            plain
            and attention_kinds(type(model).__name__, config)[0] == {"full_attention"}
            and config.rope_parameters["rope_type"] in cls.ROPES
            and config.rope_parameters.get("partial_rotary_factor", 1.0) == 1.0
            and attention.scaling == attention.head_dim**-0.5
        )

    def refresh(self) -> None:
        """Join the weights again if any parameter has changed since the last time."""
        versions = tuple(p._version for p in self.model.parameters())
        if versions == self.versions:
            return
        self.versions = versions
        self.joined = []
        for layer in self.model.model.layers:
            a, m = layer.self_attn, layer.mlp
            qkv, gate_up = _joined(a.q_proj, a.k_proj, a.v_proj), _joined(m.gate_proj, m.up_proj)
            norm = None
            if hasattr(a, "q_norm"):
                norm = torch.cat(
                    [a.q_norm.weight.expand(self.heads, -1), a.k_norm.weight.expand(self.kv_heads, -1)]
                )
            self.joined.append((qkv, norm, gate_up))

    def forward(self, ids: Tensor, real: Tensor, memory: Memory) -> Tensor:
        positions, mask = _positions_and_mask(real, memory)
        inner = self.model.model
        x = inner.embed_tokens(ids)
        cos, sin = inner.rotary_emb(x, positions)
        half = self.head_dim // 2
        cos = cos.unsqueeze(2)
        sin = torch.cat([-sin[..., :half], sin[..., half:]], dim=-1).unsqueeze(2)
        for layer, slab, joined in zip(inner.layers, memory.layers, self.joined, strict=True):
            x = self._layer(x, layer, slab, joined, cos, sin, mask)
        x = F.rms_norm(x[:, -1], x.shape[-1:], inner.norm.weight, self.eps)
        return self.model.lm_head(x)

    def _layer(
        self, x: Tensor, layer: Any, slab: Slab, joined: Any, cos: Tensor, sin: Tensor, mask: Tensor
    ) -> Tensor:
        B, T, d = x.shape
        qkv_weights, norm, gate_up_weights = joined
        h = F.rms_norm(x, (d,), layer.input_layernorm.weight, self.eps)
        qkv = F.linear(h, *qkv_weights).view(B, T, -1, self.head_dim)
        qk, v = qkv.split([self.heads + self.kv_heads, self.kv_heads], dim=2)
        if norm is not None:
            qk = F.rms_norm(qk, (self.head_dim,), None, self.eps) * norm
        qk = torch.addcmul(qk * cos, qk.roll(self.head_dim // 2, -1), sin)
        q, k = qk.split([self.heads, self.kv_heads], dim=2)
        keys, values = slab.update(k.transpose(1, 2), v.transpose(1, 2))
        attended = F.scaled_dot_product_attention(
            q.transpose(1, 2), keys, values, attn_mask=mask, enable_gqa=self.heads != self.kv_heads
        )
        x = x + layer.self_attn.o_proj(attended.transpose(1, 2).reshape(B, T, -1))
        h = F.rms_norm(x, (d,), layer.post_attention_layernorm.weight, self.eps)
        gate, up = F.linear(h, *gate_up_weights).chunk(2, dim=-1)
        return x + layer.mlp.down_proj(layer.mlp.act_fn(gate) * up)


def _joined(*projections: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of one projection that computes these side by side."""
    biases: list[Tensor] = [projection.bias for projection in projections if projection.bias is not None]
    weights: list[Tensor] = [projection.weight for projection in projections]
    return torch.cat(weights), torch.cat(biases) if biases else None


def engine_for(model: Any) -> Engine:
    """The fastest engine that computes this model's logits.  Raises ValueError where none does."""
    bound = tolerance(model)
    if LlamaEngine.serves(model):
        engine = LlamaEngine(model)
        if difference(engine, model) <= bound:
            return engine
    engine, name = ModuleEngine(model), type(model).__name__
    try:
        far = difference(engine, model)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name}: cannot be served; left padding and memory fail ({reason})") from error
    if not far <= bound:
        raise ValueError(
            f"{name}: cannot be served; logits with left padding and key-value memory differ from those of "
            f"the whole text by {far:.2g}"
        )
    return engine


def tolerance(model: Any) -> float:
    """How far logits may differ by rounding, as a share of the largest one."""
    return 1e-4 if model.dtype in (torch.float32, torch.float64) else 0.05


def difference(engine: Engine, model: Any) -> float:
    """The largest difference between an engine's logits and the model's own, as a share of the largest logit.

    Two texts of different lengths, read side by side in two parts: holes, memory and positions all matter.
    """
    vocabulary = model.get_input_embeddings().weight.shape[0]
    texts = [[(7 + 31 * k) % vocabulary for k in range(n)] for n in (9, 6)]
    memory = Memory.empty(2, engine.layers, model.device)
    with torch.no_grad():
        for start, stop in ((0, 5), (5, 9)):
            parts = [text[start:stop] for text in texts]
            width = max(map(len, parts))
            ids = torch.tensor([[0] * (width - len(part)) + part for part in parts], device=model.device)
            real = torch.tensor([[False] * (width - len(part)) + [True] * len(part) for part in parts])
            logits = engine.forward(ids, real.to(model.device), memory)
        expected_rows = [
            model(input_ids=torch.tensor([text], device=model.device), use_cache=False).logits[0, -1]
            for text in texts
        ]
    expected = torch.stack(expected_rows).float()
    return float((logits.float() - expected).abs().max() / expected.abs().max().clamp(min=1.0))
