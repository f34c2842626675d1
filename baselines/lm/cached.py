"""The cache of models that are made or fetched once: where it lies, how a folder gets there whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from collm_envs.files import draft_name


def cache_folder() -> Path:
    """`$COLLM_CACHE`, by default ~/.cache/collm, made where it is missing.

    Raises ValueError that names the folder where it cannot be made.
    """
    folder = Path(os.environ.get("COLLM_CACHE", "~/.cache/collm")).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: {error.strerror}; set COLLM_CACHE to a folder to write in") from error
    return folder


def publish(model: Any, tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save both as the folder `target` of the cache, whole or not at all.

    Another process or thread may do the same at the same time: the folder that is there first stays.
    """
    draft = target.with_name(f"{draft_name()}.{target.name}")
    try:
        draft.mkdir(exist_ok=True)  # what a killed process of this number left is written over
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        os.rename(draft, target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
