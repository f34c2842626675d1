"""Engines: they run a model on new tokens, given the key-value memory of all tokens before (lm/cache.py).

`LlamaEngine` (lm/llama.py) is a forward pass of our own for models of the Llama shape (Llama, Qwen2, Qwen3),
faster for small ones; `ModuleEngine` calls the modules of any other model.  `engine_for(model)` chooses.
Both return the logits that the model itself returns: tests compare them, and `engine_for` does, on a short
text, for every model that is loaded.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from baselines.lm.cache import Memory
from baselines.lm.llama import LlamaEngine
from baselines.lm.packing import Batch
from baselines.lm.served import attention_kinds, llama_shaped


class Engine(Protocol):
    """Processes a chunk of new tokens and returns the logits of the next one."""

    layers: int
    shares: bool
    """whether it reads prompts that rows share (lm/shared.py)"""

    def forward(self, ids: Tensor, real: Tensor, memory: Memory, adapter: str | None = None) -> Tensor:
        """Logits after the last column.   ids: (B, T); real: (B, T) False for padding -> (B, V)

        Every row's last column must be real, or its logits mean nothing.  `memory` gains T columns.
        `adapter` names the LoRA adapter in use.  `ModuleEngine` needs it to be the active one of the model's
        modules, `LlamaEngine` does not.
        """
        ...

    def refresh(self, adapter: str | None = None) -> None:
        """Read the weights, where they have changed: before the first `forward`, and before every rollout."""
        ...

    def stale(self, adapter: str | None = None) -> bool:
        """Whether the weights, those of the base or of `adapter`, have changed since `refresh` read them.

        False where it has never read them.
        """
        ...

    def release(self) -> None:
        """Drop copies of weights that are about to change."""
        ...


class Masks:
    """Attention masks as a model's modules want them: by kind of layer, as truth values or as addends."""

    def __init__(self, model: Any):
        config = model.config.get_text_config()
        window: Any  # a number where there are layers with one
        self.kinds, window = attention_kinds(type(model).__name__, config)
        self.window = window
        self.attention = config._attn_implementation
        self.dtype = model.dtype
        if self.attention not in ("sdpa", "eager"):
            raise ValueError(
                f"{type(model).__name__}: attn_implementation must be sdpa or eager, which take any mask; "
                f"got {self.attention!r}"
            )

    def inputs(self, batch: Batch) -> dict[str, Any]:
        """The arguments of a forward pass over a whole batch."""
        if batch.tree is None:
            return {"input_ids": batch.ids}
        mask, positions = batch.tree
        masks = self.of(mask, positions, positions)
        return {"input_ids": batch.ids, "attention_mask": masks, "position_ids": positions}

    def of(self, full: Tensor, queries: Tensor, keys: Tensor) -> Any:
        """The value of `attention_mask`.

        full: (B, 1, T, C) True where a token attends to a column; queries: (B, T) and keys: (B, C) positions
        of both in their histories.
        """
        masks = {"full_attention": full}
        if "sliding_attention" in self.kinds:
            near = queries[:, None, :, None] - keys[:, None, None, :] < self.window
            masks["sliding_attention"] = full & near
        if self.attention == "eager":  # eager attention adds the mask to the scores
            low = torch.finfo(self.dtype).min
            masks = {
                kind: torch.zeros_like(mask, dtype=self.dtype).masked_fill(~mask, low)
                for kind, mask in masks.items()
            }
        return masks[next(iter(self.kinds))] if len(self.kinds) == 1 else masks


class ModuleEngine:
    """The model's own modules, for any architecture whose layers are all attention layers."""

    shares = False

    def __init__(self, model: Any):
        self.model = model
        self.layers = model.config.get_text_config().num_hidden_layers
        self.masks = Masks(model)

    def refresh(self, adapter: str | None = None) -> None:
        """The modules are the weights."""

    def stale(self, adapter: str | None = None) -> bool:
        return False

    def release(self) -> None:
        """Nothing is kept."""

    def forward(self, ids: Tensor, real: Tensor, memory: Memory, adapter: str | None = None) -> Tensor:
        positions, full = memory.append(real)
        keys = (memory.mask.cumsum(1) - 1).clamp(min=0)
        out = self.model(
            input_ids=ids,
            attention_mask=self.masks.of(full, positions, keys),
            position_ids=positions,
            past_key_values=Cache(layers=[*memory.layers]),
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]


def engine_for(model: Any, adapter: str | None = None, autocast: torch.dtype | None = None) -> Engine:
    """The fastest engine that computes this model's logits.  Raises ValueError where none does.

    `adapter` names a LoRA adapter that is switched on; the engine serves its siblings too.  It is compared
    under `autocast`, the precision it will be run in.
    """
    cast = None if model.dtype == autocast else autocast
    if model.device.type == "meta":  # no numbers to compare
        return LlamaEngine(model, cast) if llama_shaped(model, adapter) else ModuleEngine(model)
    with torch.autocast(model.device.type, autocast, enabled=autocast is not None):
        return _checked(model, adapter, cast)


def _checked(model: Any, adapter: str | None, cast: torch.dtype | None) -> Engine:
    bound = tolerance(model.dtype if cast is None else cast)
    if llama_shaped(model, adapter):
        compared = LlamaEngine(model, cast)
        compared.refresh(adapter)
        if difference(compared, model, adapter) <= bound:
            return LlamaEngine(model, cast)  # without copies: critics and references never write
    engine, name = ModuleEngine(model), type(model).__name__
    try:
        far = difference(engine, model, adapter)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{name}: cannot be served; left padding and memory fail ({reason})") from error
    if not far <= bound:
        raise ValueError(
            f"{name}: cannot be served; logits with left padding and key-value memory differ from those of "
            f"the whole text by {far:.2g}"
        )
    return engine


def tolerance(dtype: torch.dtype) -> float:
    """How far logits may differ by rounding, as a share of the largest one."""
    return 1e-4 if dtype in (torch.float32, torch.float64) else 0.05


def difference(engine: Engine, model: Any, adapter: str | None = None) -> float:
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
            logits = engine.forward(ids, real.to(model.device), memory, adapter)
        expected_rows = [
            model(input_ids=torch.tensor([text], device=model.device), use_cache=False).logits[0, -1]
            for text in texts
        ]
    expected = torch.stack(expected_rows).float()
    return float((logits.float() - expected).abs().max() / expected.abs().max().clamp(min=1.0))
