"""Opens all policies of a run: model folders and hub names to `LM`s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from baselines.lm.loading import add_adapters, load_model, pick_device
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling


@dataclass(frozen=True)
class Setup:
    """How the policies of a run are opened."""

    sampling: Sampling
    context: Context
    device: str = "cpu"
    bf16: bool = False
    """run them in bfloat16; weights that are trained stay in float32"""
    gradient_checkpointing: bool = False
    lora_rank: int = 0
    """0: every policy has a model of its own; else an adapter of this rank on one frozen base"""
    lora_alpha: int = 32
    micro_batch_tokens: int = 0
    """tokens of a forward pass; 0: small batches stay in a CPU's cache, a GPU wants large ones"""


def open_all(sources: Mapping[str, str], setup: Setup) -> dict[str, LM]:
    """A policy for every name, from the folder or hub name of its model.

    With LoRA all names of one model share it, each by an adapter of its own.  Raises ValueError naming the
    model or the device and what is wrong with it.
    """
    adapted = setup.lora_rank > 0
    loads = _loads(sources, adapted)
    device = pick_device(setup.device, setup.bf16)
    policies: dict[str, LM] = {}
    for source, names in loads:
        model: Any
        model, tokenizer = load_model(
            source,
            device,
            dtype=torch.bfloat16 if setup.bf16 and adapted else torch.float32,
            gradient_checkpointing=setup.gradient_checkpointing,
        )
        if adapted:
            model = add_adapters(model, names, setup.lora_rank, setup.lora_alpha)
        for name in names:
            policies[name] = LM(
                name,
                model,
                tokenizer,
                setup.sampling,
                setup.context,
                adapter=name if adapted else None,
                engine=policies[names[0]].engine if name != names[0] else None,
                micro_batch_tokens=setup.micro_batch_tokens or (512 if device == "cpu" else 8192),
                autocast=torch.bfloat16 if setup.bf16 else None,
            )
    return policies


def _loads(sources: Mapping[str, str], adapted: bool) -> list[tuple[str, list[str]]]:
    """(model, policy names) of every load: one load a model with adapters, else one a name."""
    if not adapted:
        return [(source, [name]) for name, source in sources.items()]
    models = dict.fromkeys(sources.values())
    return [(model, [name for name, source in sources.items() if source == model]) for model in models]
