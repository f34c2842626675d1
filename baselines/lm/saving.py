"""Saving models and LoRA adapters as folders that `from_pretrained` and peft load anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from baselines.lm.models import hub_name
from collm_envs.files import write_json

CONFIG = "adapter_config.json"
BASE = "base"
"""subfolder of an adapter with the base model it was trained on, where no folder or hub name has that base"""


def save(model: Any, adapter: str | None, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """A folder that `from_pretrained` (with `adapter`: peft) loads anywhere.

    An adapter names its base, a named model by its name on the hub.  A base that no folder holds as it is in
    memory (an earlier adapter was merged into it) is saved in `folder/base`.
    """
    if adapter is None:
        model.save_pretrained(folder)
    else:
        config, base = model.peft_config[adapter], model.get_base_model()
        if not base.name_or_path:
            base.save_pretrained(folder / BASE, state_dict=_bare_weights(base))
            tokenizer.save_pretrained(folder / BASE)
            config.base_model_name_or_path = str((folder / BASE).resolve())
        model.save_pretrained(folder, selected_adapters=[adapter])
        for file in (folder / adapter).iterdir():  # peft puts all but the adapter "default" one level down
            shutil.move(file, folder / file.name)
        (folder / adapter).rmdir()
        _name_base(folder, base.name_or_path)
    tokenizer.save_pretrained(folder)


def _name_base(folder: Path, source: str) -> None:
    """Put the name on the hub in place of the cache's folder of a named model, where `source` is one.

    After saving: peft looks the base's configuration up when it saves, here in the folder.
    """
    if (name := hub_name(source)) == source:
        return
    write_json(folder / CONFIG, json.loads((folder / CONFIG).read_text()) | {"base_model_name_or_path": name})
    card = folder / "README.md"
    card.write_text(card.read_text().replace(source, name))


def _bare_weights(base: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights below the adapters that peft has put around a model's layers."""
    weights = {key: value for key, value in base.state_dict().items() if ".lora_" not in key}
    return {key.replace(".base_layer.", "."): value for key, value in weights.items()}
