"""Loading models: a folder or hub name to a causal language model and tokenizer; LoRA."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging as transformers_logging
from transformers.utils.peft_utils import find_adapter_config_file

from baselines.lm import folders, models, threads
from baselines.lm.models import first_line, hub_answers
from baselines.lm.saving import BASE
from collm_envs.files import read_json

transformers_logging.disable_progress_bar()  # a bar for each shard of each agent would drown the run's own
transformers_logging.set_verbosity_error()  # what is wrong with a model is raised here, in one line
LOGITS_ONLY = {"return_dict": True, "output_attentions": False, "output_hidden_states": False}
"""what a forward pass returns, whatever a folder asks for; asked for more, a model cannot be saved again"""
_HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
"""syntax of a hub name; anything else can only be a folder"""


def load_model(
    name: str, device: str, *, dtype: torch.dtype = torch.float32, gradient_checkpointing: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model and tokenizer of a `save_pretrained` folder, hub or short name or GGUF file, without dropout.

    A folder with a peft adapter is loaded onto its base and merged into it.  On the device "meta" the model
    has shapes and no numbers: only its configuration is read.  Raises ValueError naming the folder or file
    and what is wrong with it.
    """
    tokenizer = tokenizer_of(name, weights=device != "meta")
    model = _shape(name, dtype) if device == "meta" else _network(name, dtype, tokenizer)
    rows = model.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values())
    if largest >= rows:
        raise ValueError(
            f"model {name!r}: its tokenizer writes token {largest}, its embedding has {rows} rows "
            f"({type(model).__name__}); tokenizer and weights are not of one model"
        )
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.config.attention_dropout = 0.0
    if gradient_checkpointing:
        _recompute(model)
    model.to(device)
    threads.fit(model)
    return model, tokenizer


def tokenizer_of(name: str, weights: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, named as for `load_model`, beside its `weights` or without them.

    Raises ValueError where it cannot be loaded.
    """
    source = _place(name, weights)
    with _named(name):
        tokenizer = AutoTokenizer.from_pretrained(
            source, trust_remote_code=False, local_files_only=_is_local(source)
        )
    template = Path(source) / "chat_template.json"  # of a processor: tokenizers are not told of it
    if tokenizer.chat_template is None and template.is_file():
        tokenizer.chat_template = read_json(template).get("chat_template")
    return tokenizer


def pick_device(device: str, bf16: bool = False) -> str:
    """Where models compute: `auto` is cuda where there is one, else cpu.

    Raises ValueError for a device that is not there, and where `bf16` is asked of a CPU.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if bf16 and device == "cpu":
        raise ValueError("bf16 is for devices that have it; on a cpu it is slower: bf16=False (--no-bf16)")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device {device!r}: torch sees no GPU here; use device='cpu' or 'auto'")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # each kind of device has its own
        first = str(error).splitlines()[0]
        raise ValueError(f"device {device!r}: need auto, cpu, cuda or cuda:N ({first})") from error
    return device


def add_adapters(model: PreTrainedModel, names: Sequence[str], rank: int, alpha: int) -> Any:
    """One LoRA adapter (Hu et al. 2022, arXiv:2106.09685) per name on one frozen base."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    with _without_deprecations():
        wrapped = get_peft_model(model, config, adapter_name=names[0])
        for name in names[1:]:
            wrapped.add_adapter(name, config)
    return wrapped


def _place(name: str, weights: bool = True) -> str:
    """A folder's absolute path, so that saved files refer to it from anywhere; a hub name unchanged.

    Without `weights` the folder need have none.

    Of a GGUF file and a short name of lm/models.py: the folder or hub name that they stand for.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        folders.check(folder, weights)
        return str(folder.resolve())
    if folder.suffix == models.GGUF and folder.is_file():
        return str(models.dequantised(folder))
    if folder.is_file():
        raise ValueError(
            f"model {name!r}: is a file; need a GGUF file, or a folder with config.json and weights"
        )
    if name in models.MODELS:
        return models.source_of(name)
    if not _HUB_NAME.fullmatch(name):
        raise ValueError(f"model {name!r}: no such folder")
    return name


def _is_local(source: str) -> bool:
    """Whether to load without network: `source` is a folder, or the hub cannot be reached."""
    return Path(source).is_dir() or not hub_answers()


def _network(
    name: str, dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase, above: tuple[str, ...] = ()
) -> Any:
    """A model, an adapter merged into its base; `above`: adapters met before, to detect cycles."""
    source = _place(name)
    if source in above:
        raise ValueError(f"model {name!r}: is an adapter whose base is itself")
    local = _is_local(source)
    if find_adapter_config_file(source, local_files_only=local) is not None:
        return _merged(source, dtype, tokenizer, above)
    with _named(name):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=dtype, trust_remote_code=False, output_loading_info=True, local_files_only=local
        )
    model, report = loaded
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"model {name!r}: its weights lack {len(missing)} tensors, e.g. {missing[0]}")
    for config in (model.config, model.config.get_text_config()):
        config.update(LOGITS_ONLY)
    return model


def _shape(name: str, dtype: torch.dtype) -> Any:
    """A model without numbers, from its configuration alone, or that of the base below an adapter."""
    source = _place(name, weights=False)
    local = _is_local(source)
    if find_adapter_config_file(source, local_files_only=local) is not None:
        from peft import PeftConfig

        with _named(source):
            config = PeftConfig.from_pretrained(source, local_files_only=local)
        return _shape(str(config.base_model_name_or_path), dtype)
    with _named(name), torch.device("meta"):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, local_files_only=local)
        return AutoModelForCausalLM.from_config(config, dtype=dtype)


def _merged(
    source: str, dtype: torch.dtype, tokenizer: PreTrainedTokenizerBase, above: tuple[str, ...]
) -> Any:
    """The base model of an adapter with the adapter merged into its weights."""
    from peft import PeftConfig, PeftModel

    with _named(source):
        config = PeftConfig.from_pretrained(source, local_files_only=_is_local(source))
    if config.is_prompt_learning or config.task_type not in ("CAUSAL_LM", None):
        kind = str(config.peft_type).removeprefix("PeftType.")
        raise ValueError(
            f"model {source!r}: an adapter of the kind {kind} for the task {config.task_type} cannot be "
            "merged into a causal language model"
        )
    base = str(config.base_model_name_or_path)
    beside = Path(source) / BASE
    if not Path(base).is_dir() and beside.is_dir():
        base = str(beside)  # its folder has been moved
    if Path(base).is_absolute() and not Path(base).is_dir():
        raise ValueError(
            f"model {base!r}: no such folder; it is the base of the adapter {source}: copy it to {beside}"
        )
    model = _network(models.source_of_hub(base), dtype, tokenizer, (*above, source))
    if len(tokenizer) > model.get_input_embeddings().weight.shape[0]:
        model.resize_token_embeddings(len(tokenizer))  # as peft's AutoPeftModel does
    ids = torch.arange(8)[None] % model.get_input_embeddings().weight.shape[0]
    with _named(source), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # for the adapter's author; logits are compared below
        warnings.filterwarnings("error", message="Found missing adapter keys")
        wrapped = PeftModel.from_pretrained(model, source, local_files_only=_is_local(source)).eval()
        trained = wrapped(input_ids=ids).logits
        model = wrapped.merge_and_unload()
        far = (model(input_ids=ids).logits - trained).abs().max() / trained.abs().max().clamp(min=1)
    if not far <= (1e-3 if dtype == torch.float32 else 0.1):
        raise ValueError(f"model {source!r}: merged into its base, this adapter computes other logits")
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        model.config.get_text_config().tie_word_embeddings = False  # changed by the adapter
    model.requires_grad_(True)  # peft has frozen it
    model.name_or_path = model.config.name_or_path = ""
    return model


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turn any error raised while loading `name` into a ValueError of one line with that name."""
    try:
        yield
    except ImportError as error:
        why = first_line(error)
        raise ValueError(f"model {name!r} needs a package that is not installed: {why}") from error
    except Exception as error:  # tokenizers raises Exception itself, others whatever a reader of files may
        why = first_line(error)
        if isinstance(error, OSError) and not Path(name).expanduser().is_dir() and not hub_answers():
            why = "there is no such folder, the hub cannot be reached, and its cache holds no copy"
        raise ValueError(f"model {name!r} cannot be loaded: {why}") from error


@contextmanager
def _without_deprecations() -> Iterator[None]:
    """Silence a deprecation warning that peft causes in transformers and that users cannot act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        yield


def _recompute(model: nn.Module) -> None:
    """Gradient checkpointing of every layer; transformers' own switch works in training mode only."""
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.forward = partial(_recomputed, layer.forward)


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    if not torch.is_grad_enabled():  # decoding: nothing to save, and the key-value memory is written once
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)
