"""Checks model folders before loading: a broken or incomplete file is named in one line.

Half a download, a clone without git-lfs, a missing shard: libraries answer these with a page of traceback or,
worse, with random weights.  `check` reads headers and small files only.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

LFS = b"version https://git-lfs.github.com/spec/v1"
TOKENIZERS = {"tokenizer.json", "tokenizer_config.json", "vocab.json", "tokenizer.model", "vocab.txt"}
SETTINGS = {
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
    "merges.txt",
}
"""small files that loaders read beside weights and tokenizer, where they are there"""
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")


def check(folder: Path, weights: bool = True) -> None:
    """Raise ValueError, one line that names the file, where `folder` holds no complete model or adapter.

    Without `weights` these may be missing: its configuration and tokenizer alone are wanted.  Files that no
    loader reads (pictures, results, weights in a second format) may be anything.
    """
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}
    if not files.keys() & {"config.json", "adapter_config.json"}:
        more = "; give the GGUF file itself" if _any(files, ".gguf") else ""
        raise ValueError(f"model folder {folder}: has neither config.json nor adapter_config.json{more}")
    for name in sorted(files.keys() & (SETTINGS | TOKENIZERS)):
        _check_pointer(files[name])
        if name.endswith(".json"):
            _object(files[name])
    if not files.keys() & TOKENIZERS:
        raise ValueError(f"model folder {folder}: has no tokenizer; save one there with save_pretrained")
    adapter = "adapter_config.json" in files
    if not adapter:
        _check_config(files["config.json"])
    if not weights:
        return
    for name in _adapter_weights(folder, files) if adapter else _model_weights(folder, files):
        _check_pointer(files[name])
        if name.endswith(".safetensors"):
            _check_safetensors(files[name])
        else:
            _check_zip(files[name])


def _any(files: dict[str, Path], suffix: str) -> bool:
    return any(name.endswith(suffix) for name in files)


def _check_pointer(file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(len(LFS))
    if start == LFS:
        raise ValueError(
            f"model file {file}: is a pointer of git-lfs, not the file itself; run `git lfs pull` there"
        )


def _object(file: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    try:
        value = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"model file {file}: is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"model file {file}: need a JSON object, got {type(value).__name__}")
    return value


def _check_config(file: Path) -> None:
    if not isinstance(_object(file).get("model_type"), str):
        raise ValueError(f"model file {file}: has no model_type, the name of an architecture")


def _adapter_weights(folder: Path, files: dict[str, Path]) -> list[str]:
    """Names of the files that hold an adapter's weights."""
    chosen = next((name for name in ADAPTERS if name in files), None)
    if chosen is None:
        raise ValueError(f"model folder {folder}: has no weights; need one of {', '.join(ADAPTERS)}")
    file = files["adapter_config.json"]
    for key in ("base_model_name_or_path", "peft_type"):
        if not isinstance(_object(file).get(key), str):
            raise ValueError(f"model file {file}: has no {key}")
    return [chosen]


def _model_weights(folder: Path, files: dict[str, Path]) -> list[str]:
    """Names of the files that hold a model's weights: those of the format that transformers chooses."""
    chosen = next((name for name in WEIGHTS if name in files), None)
    if chosen is None:
        more = "; give the GGUF file itself" if _any(files, ".gguf") else ""
        raise ValueError(f"model folder {folder}: has no weights; need one of {', '.join(WEIGHTS)}{more}")
    if not chosen.endswith(".index.json"):
        return [chosen]
    _check_pointer(files[chosen])
    weight_map = _object(files[chosen]).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"model file {files[chosen]}: has no weight_map")
    shards = sorted({str(shard) for shard in weight_map.values()})
    if missing := [shard for shard in shards if shard not in files]:
        raise ValueError(
            f"model folder {folder}: {missing[0]} is not there, {len(missing)} of {len(shards)} shards that "
            f"{chosen} names"
        )
    return shards


def _check_safetensors(file: Path) -> None:
    """The header (https://github.com/huggingface/safetensors#format) says how long the file must be."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        header = opened.read(length) if length <= size else b""
    if size < 8 or len(header) < length:
        raise ValueError(f"model file {file}: is cut within its header, at {size} bytes; download it again")
    try:
        tensors = json.loads(header)
        ends = [tensor["data_offsets"][1] for name, tensor in tensors.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"model file {file}: is not a safetensors file (its header: {error})") from error
    expected_size = 8 + length + max(ends, default=0)
    if size != expected_size:
        raise ValueError(
            f"model file {file}: has {size} bytes of the {expected_size} its header names; download it again"
        )


def _check_zip(file: Path) -> None:
    """torch.save writes a zip archive, whose directory stands at its end; before 2020 it wrote a pickle."""
    with file.open("rb") as opened:
        start = opened.read(2)
    if not start or (start == b"PK" and not zipfile.is_zipfile(file)):
        raise ValueError(f"model file {file}: is cut, at {file.stat().st_size} bytes; download it again")
