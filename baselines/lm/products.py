"""The matrix products of decoding: projections of one input side by side, packed for a CPU, with an adapter.

A CPU's products of a few rows spend much of their time on bringing the weights into the order its kernels
read.  oneDNN's packed copies are in that order: 1.4 to 1.7 times as fast at 16 to 64 rows.

An adapter (LoRA) stays apart from the weights: y = x W' + (x A') B'.  So all adapters of one base read one
copy of its weights, that copy stays as it is when they are trained, and no delta is rounded away in bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.lm import threads
from baselines.lm.cache import beside, divided

ROWS = 16
"""rows a packed copy is laid out for; other numbers run as fast, but single ones"""


class Product(NamedTuple):
    """A linear map."""

    weight: Tensor
    """(out, in), or oneDNN's packed copy of it"""
    bias: Tensor | None
    """(out,)"""
    packed: bool


class LowRank(NamedTuple):
    """What an adapter adds to a linear map: x -> x down up."""

    down: Tensor
    """(in, R)"""
    up: Tensor
    """(R, out)"""


class Layer(NamedTuple):
    """One layer's products, and the norms of queries and keys."""

    qkv: Product
    o: Product
    gate_up: Product
    down: Product
    qk_norm: Tensor | None
    """(heads + kv_heads, head_dim)"""


class Adapter(NamedTuple):
    """What a LoRA adapter adds to one layer's products; None: nothing."""

    qkv: LowRank | None
    o: LowRank | None
    gate_up: LowRank | None
    down: LowRank | None


NO_ADAPTER = Adapter(None, None, None, None)


def packs(model: Any) -> bool:
    """Whether a model's weights gain by packing: float32 on a CPU, and not so small that operations count."""
    weight = model.get_input_embeddings().weight
    large = sum(p.numel() for p in model.parameters()) > threads.SMALL
    cpu = weight.device.type == "cpu" and weight.dtype == torch.float32
    return cpu and large and torch.backends.mkldnn.is_available()


def joined(*projections: Any, packed: bool, dtype: torch.dtype | None = None) -> Product:
    """One product that computes these projections side by side, without their adapters.

    `dtype`: of the copy; None keeps that of the weights.
    """
    biases: list[Tensor] = [projection.bias for projection in projections if projection.bias is not None]
    weights: list[Tensor] = [projection.weight for projection in projections]
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    weight = weight if dtype is None else weight.detach().to(dtype)
    bias = torch.cat(biases) if biases else None
    return Product(pack(weight), bias, True) if packed else Product(weight, bias, False)


def pack(weight: Tensor) -> Tensor:
    """oneDNN's packed copy of a float32 weight."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS)


def low_rank(*projections: Any, adapter: str) -> LowRank:
    """What `adapter` adds to these projections side by side; each is a peft layer that has the adapter."""
    down = [projection.lora_A[adapter].weight for projection in projections]
    up = [projection.lora_B[adapter].weight * projection.scaling[adapter] for projection in projections]
    return LowRank(torch.cat(down).t(), torch.block_diag(*up).t())


def adapts(projection: nn.Module, adapter: str) -> bool:
    """Whether `adapter` adds a plain low-rank product to this projection, and nothing else."""
    from peft.tuners.lora import Linear

    return (
        type(projection) is Linear
        and type(projection.base_layer) is nn.Linear
        and adapter in projection.lora_A
        and adapter not in projection.lora_variant
        and not projection.lora_bias[adapter]
        and not projection.fan_in_fan_out
    )


def multiply(x: Tensor, product: Product, adapter: LowRank | None = None) -> Tensor:
    """(..., in) -> (..., out), without a gradient"""
    if product.packed:
        y = torch.ops.mkldnn._linear_pointwise(x, product.weight, product.bias, "none", [], "")
    else:
        y = F.linear(x, product.weight, product.bias)
    return added(y, x, adapter)


def multiply_each(
    x: Tensor, product: Product, rows: Sequence[int], adapters: Sequence[LowRank | None]
) -> Tensor:
    """`multiply` of batches side by side, `rows` of x in each, by an adapter for each.

    (..., in) -> (..., out), without a gradient
    """
    if len(adapters) == 1:
        return multiply(x, product, adapters[0])
    y = multiply(x, product)
    return beside([added(*args) for args in zip(divided(y, rows), divided(x, rows), adapters, strict=True)])


def added(y: Tensor, x: Tensor, adapter: LowRank | None) -> Tensor:
    """y and what an adapter adds to it.   y: (..., out), x: (..., in) -> (..., out)"""
    if adapter is None:
        return y
    inner = x.flatten(0, -2) @ adapter.down
    return torch.addmm(y.flatten(0, -2), inner, adapter.up).view_as(y)


def projections(layer: Any) -> tuple[Any, ...]:
    """A layer's seven linear maps: queries, keys, values, output; gate, up, down."""
    a, m = layer.self_attn, layer.mlp
    return a.q_proj, a.k_proj, a.v_proj, a.o_proj, m.gate_proj, m.up_proj, m.down_proj


def layer_products(layer: Any, packed: bool, dtype: torch.dtype | None = None) -> Layer:
    """A copy of a layer's weights."""
    q, k, v, o, gate, up, down = projections(layer)
    norm = None
    if hasattr(layer.self_attn, "q_norm"):
        config, q_norm, k_norm = (
            layer.self_attn.config,
            layer.self_attn.q_norm.weight,
            layer.self_attn.k_norm.weight,
        )
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        norm = torch.cat([q_norm.expand(heads, -1), k_norm.expand(kv_heads, -1)])
    return Layer(
        joined(q, k, v, packed=packed, dtype=dtype),
        joined(o, packed=packed, dtype=dtype),
        joined(gate, up, packed=packed, dtype=dtype),
        joined(down, packed=packed, dtype=dtype),
        norm,
    )


def layer_adapter(layer: Any, adapter: str) -> Adapter:
    """What a LoRA adapter adds to a layer's products."""
    q, k, v, o, gate, up, down = projections(layer)
    groups = ((q, k, v), (o,), (gate, up), (down,))
    return Adapter(*(low_rank(*group, adapter=adapter) for group in groups))
