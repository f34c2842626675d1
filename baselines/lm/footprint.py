"""Bytes of memory that a language model's parts take, found on a model without numbers (the device "meta").

What is counted is what this code holds: copies that engines make of weights, the capacity of key-value
memories, the tensors that autograd keeps of a forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from baselines.lm.cache import Memory, Slab
from baselines.lm.engines import ModuleEngine
from baselines.lm.head import plain_head
from baselines.lm.llama import LlamaEngine
from baselines.lm.policy import LM
from baselines.lm.shared import LEAST

META = torch.device("meta")
PROBE = 64
"""tokens of the texts that are measured on models without numbers"""


def weight_bytes(module: nn.Module) -> int:
    """Of all parameters, in the precision they are kept in."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


def copied_bytes(lm: LM, packed: bool) -> int:
    """Of the copies of weights that decoding reads; `packed`: all matrices, else what is joined or cast."""
    if not isinstance(lm.engine, LlamaEngine):
        return 0
    lm.engine.refresh()
    assert lm.engine.head is not None
    products = [lm.engine.head, *(product for layer in lm.engine.products for product in layer[:4])]
    weights = [product.weight for product in products]
    own = set() if packed else {id(p) for p in lm.model.parameters()}  # a copy is another object
    return sum(weight.numel() * weight.element_size() for weight in weights if id(weight) not in own)


def column_bytes(lm: LM) -> int:
    """Of the keys and values of one token in all layers."""
    memory = Memory.empty(1, lm.engine.layers, META)
    ids = torch.zeros(1, PROBE, dtype=torch.long, device=META)
    with torch.no_grad():
        ModuleEngine(lm.causal).forward(ids, torch.ones_like(ids, dtype=torch.bool), memory)
    slabs = [tensor for layer in memory.layers for tensor in (layer.keys, layer.values)]
    return sum(tensor.numel() * tensor.element_size() // tensor.shape[-2] for tensor in slabs)


class Columns(NamedTuple):
    """Room of a key-value memory."""

    own: int
    """of each row"""
    shared: int
    """of each prompt that rows share (lm/shared.py)"""


def capacity(messages: Sequence[int], written: int, branching: bool, sharing: bool) -> Columns:
    """The room after messages of so many tokens, each with an answer of `written` tokens.

    `branching`: rows branch after the first message; `sharing`: and share it, where it is long enough.
    """
    shared = messages[0] if sharing and branching and messages[0] >= LEAST else 0
    slab, row = Slab(), torch.zeros(1, dtype=torch.long, device=META)

    def read(tokens: int) -> None:
        cells = torch.empty(1, 1, tokens, 1, device=META)
        slab.update(cells, cells)

    for turn, tokens in enumerate(messages):
        read(tokens + (turn > 0))  # the last token of an answer is read with the message after it
        if branching and turn == 0:
            slab = slab.branch() if shared else slab.pick(row)
        for _ in range(written - 1):
            read(1)
    return Columns(slab.keys.shape[-2] if slab.is_initialized else 0, shared)


def reading_bytes(lm: LM, tokens: int, columns: int) -> float:
    """What passes through one layer while so many tokens are read, with attention to so many columns."""
    embedding = lm.causal.get_input_embeddings().weight
    matrices = [p for p in lm.causal.parameters() if p.dim() == 2 and p.shape[0] != embedding.shape[0]]
    wide, size = max(max(p.shape) for p in matrices), embedding.element_size()
    hidden = 4 * wide + 2 * embedding.shape[1]  # gate, up, the activation and their product; the residuals
    return tokens * (hidden * size + columns * 5)  # a mask of bytes and one of addends


def drawing_bytes(lm: LM, rows: int, unfiltered: bool) -> float:
    """Of logits, probabilities and their sums in double precision, for one token a row (lm/sampling.py)."""
    return rows * lm.causal.get_input_embeddings().weight.shape[0] * (36 if unfiltered else 16)


def head_bytes(lm: LM, tokens: int, half: bool) -> float:
    """Of the output layer in an update: logits of so many tokens, and what is made of them (lm/head.py).

    `half`: the layers compute in bfloat16, and logits are kept in both precisions with their gradients.
    """
    V, d = lm.causal.get_output_embeddings().weight.shape
    copies = 14 if half or not plain_head(lm.causal, None) else 4
    return tokens * V * copies + (V * d * 4 if lm.adapter is None else 0)


def saved_bytes(lm: LM) -> float:
    """What autograd keeps of the layers' forward pass for a token, weights excepted.

    Attention is taken to keep no matrix of tokens by tokens, as the fused kernels do.
    """
    short, long = (_kept_by_autograd(lm, length) for length in (PROBE, 2 * PROBE))
    square = (long - 2 * short) / (2 * PROBE**2)  # short = a P + b P^2, long = 2 a P + 4 b P^2
    return (short - square * PROBE**2) / PROBE


def _kept_by_autograd(lm: LM, tokens: int) -> int:
    weights = {p.untyped_storage()._cdata for p in lm.model.parameters()}
    kept: dict[int, Any] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    ids = torch.zeros(1, tokens, dtype=torch.long, device=META)
    full = torch.ones(1, 1, tokens, tokens, dtype=torch.bool, device=META)
    inputs = {"input_ids": ids, "position_ids": ids, "attention_mask": lm.masks.of(full, ids, ids)}
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        states = lm.causal.base_model(**inputs, use_cache=False).last_hidden_state
    size = sum(storage.nbytes() for storage in kept.values())
    del states
    return size
