"""Loading and saving models: a folder or hub name to a causal language model and tokenizer; LoRA."""

from __future__ import annotations

import re
import shutil
import ssl
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import constants
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging as transformers_logging

transformers_logging.disable_progress_bar()  # a bar for each shard of each agent would drown the run's own

_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
"""a name that the hub may have; anything else can only be a folder"""


def load(
    name: str, device: str, *, dtype: torch.dtype = torch.float32, gradient_checkpointing: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and tokenizer of a `save_pretrained` folder or hub name, without dropout.

    A folder with a peft adapter is loaded onto its base and merged into it.  Raises ValueError naming the
    folder and what is missing in it.
    """
    folder = Path(name)
    if folder.is_dir():
        _check_folder(folder)
    elif not _HUB_NAME.fullmatch(name):
        raise ValueError(f"model {name!r}: no such folder")
    base = _adapter_base(folder)
    wanted = base or name
    here = Path(wanted).is_dir()
    local = here or not hub_answers()  # without the hub: what is in its cache, or else an error at once
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=local)
        model: Any = AutoModelForCausalLM.from_pretrained(wanted, dtype=dtype, local_files_only=local)
    except OSError as error:
        if local and not here:
            raise ValueError(
                f"model {wanted!r} cannot be loaded: there is no such folder, the hub cannot be reached, and "
                f"its cache holds no copy"
            ) from error
        raise ValueError(f"model {name!r} cannot be loaded: {str(error).splitlines()[0]}") from error
    if base is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, name).merge_and_unload()
        model.requires_grad_(True)  # peft has frozen it
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.config.attention_dropout = 0.0
    if gradient_checkpointing:
        _recompute(model)
    model.to(device)
    return model, tokenizer


@cache
def hub_answers() -> bool:
    """Whether the Hugging Face hub can be reached, asked once a process and for five seconds at most."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        urlopen(Request(constants.ENDPOINT, method="HEAD"), timeout=5).close()
    except HTTPError:
        return True
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # it is there; other clients know other certificates
    except TimeoutError:
        return False
    return True


def pick_device(device: str) -> str:
    """`auto` is cuda where there is one, else cpu.  Raises ValueError for a cuda that is not there."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: torch sees no GPU here; use device='cpu' or 'auto'")
    return device


def add_adapters(model: PreTrainedModel, names: Sequence[str], rank: int, alpha: int) -> Any:
    """One LoRA adapter (Hu et al. 2022, arXiv:2106.09685) per name on one frozen base."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    wrapped = get_peft_model(model, config, adapter_name=names[0])
    for name in names[1:]:
        wrapped.add_adapter(name, config)
    return wrapped


def save(model: Any, adapter: str | None, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """A folder that `from_pretrained` (with `adapter`: peft) loads anywhere."""
    if adapter is None:
        model.save_pretrained(folder)
    else:
        model.save_pretrained(folder, selected_adapters=[adapter])
        for file in (folder / adapter).iterdir():  # peft puts all but the adapter "default" one level down
            shutil.move(file, folder / file.name)
        (folder / adapter).rmdir()
    tokenizer.save_pretrained(folder)


def _recompute(model: nn.Module) -> None:
    """Run every layer anew in the backward pass.  transformers' own switch works in training mode alone."""
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():  # decoding: nothing to save, and the key-value memory is written once
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _check_folder(folder: Path) -> None:
    files = {file.name for file in folder.iterdir()}
    if not files & {"config.json", "adapter_config.json"}:
        raise ValueError(f"model folder {folder}: has neither config.json nor adapter_config.json")
    if not files & {"tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model"}:
        raise ValueError(f"model folder {folder}: has no tokenizer; save one there with save_pretrained")


def _adapter_base(folder: Path) -> str | None:
    """The base model's name where `folder` holds a peft adapter."""
    if not (folder / "adapter_config.json").is_file():
        return None
    from peft import PeftConfig

    return PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
