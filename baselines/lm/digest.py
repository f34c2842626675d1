"""Identity of a model: a digest of everything that determines its texts, the same on every device."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import nn

from baselines.lm.tokens import end_tokens

APART = ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype")
"""keys of a model's configuration that say where it came from and do not change its texts"""


def model_digest(model: nn.Module, tokenizer: Any) -> str:
    """sha256 (hex) of the weights as loaded (adapters merged), configuration, words, template and ends."""
    total = hashlib.sha256()
    config: dict[str, Any] = model.config.to_dict()  # type: ignore[union-attr, operator]
    facts = {name: value for name, value in config.items() if name not in APART}
    words = [facts, tokenizer.get_vocab(), tokenizer.chat_template, tokenizer.eos_token]
    generation: Any = model.generation_config
    if more_ends := end_tokens(generation, tokenizer) - {tokenizer.eos_token_id}:
        words.append(sorted(more_ends, key=str))
    total.update(json.dumps(words, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        data = tensor.detach().cpu().contiguous().reshape(-1)
        total.update(data.view(torch.uint8).numpy())
    return total.hexdigest()
