"""Checkpoints, written atomically: a run killed at any moment continues from the last complete one."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

STATE, DIGEST = "state.pt", "sha256"


def save(folder: Path, step: int, state: dict[str, Any], keep: int) -> Path:
    """Write `folder/step-<n>`, then forget all but the newest `keep`.

    The state goes to a draft folder, is flushed to the disk and renamed into place, so a reader never meets
    half of it.  Raises OSError (a full disk) with what stands unharmed; older checkpoints are only removed
    after the new one is in place.
    """
    target = folder / f"step-{step:08d}"
    draft = folder / f".draft-{step:08d}"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        draft.mkdir(parents=True)
        digest = _write(draft / STATE, lambda file: torch.save(state, file))
        _write(draft / DIGEST, lambda file: file.write(digest.encode()))
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise OSError(
            error.errno,
            f"checkpoint of step {step} could not be written ({error.strerror}); the checkpoints before it "
            f"are untouched in {folder}; `collm train --resume {folder.parent}` goes on once there is room",
        ) from error
    shutil.rmtree(target, ignore_errors=True)
    os.replace(draft, target)
    _flush(folder)
    intact = [at for at in steps(folder) if at <= step]  # a later one is damaged, or we would be past it
    for at in set(steps(folder)) - set(intact[-keep:]):
        shutil.rmtree(folder / f"step-{at:08d}", ignore_errors=True)
    return target


def load_last(folder: Path) -> dict[str, Any] | None:
    """The newest whole checkpoint; None where none was ever saved.

    Damaged ones are named in a warning and passed over; raises OSError where all of them are.
    """
    for step in reversed(steps(folder)):
        path = folder / f"step-{step:08d}"
        try:
            if _digest(path / STATE).encode() == (path / DIGEST).read_bytes():
                return torch.load(path / STATE, map_location="cpu", weights_only=True)
            problem = "its checksum does not match"
        except OSError as error:
            problem = str(error)
        warnings.warn(
            f"checkpoint {path} is damaged ({problem}); going back to the one before it", stacklevel=2
        )
    if steps(folder):
        raise OSError(f"none of the checkpoints in {folder} is whole; move the run away to begin again")
    return None


def steps(folder: Path) -> list[int]:
    """The steps of all checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name[5:]) for path in folder.glob("step-*"))


class _Digested:
    """A file that torch.save writes to: it takes the digest of what passes, so that nothing is kept for it.

    What the disk refuses is kept in `error`: raised in `write`, it would have to cross torch's C++.
    """

    def __init__(self, file: BinaryIO):
        self.file, self.digest = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append these bytes, unless an earlier write has failed."""
        if self.error is None:
            try:
                self.file.write(data)
                self.digest.update(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """Left to `_write`."""


def _write(path: Path, write: Callable[[Any], object]) -> str:
    """Flush to the disk what `write` writes to the file that it is given; returns its sha256 (hex)."""
    with path.open("wb") as file:
        out = _Digested(file)
        write(out)
        if out.error is not None:
            raise out.error
        file.flush()
        os.fsync(file.fileno())
    return out.digest.hexdigest()


def _digest(path: Path) -> str:
    """The sha256 (hex) of a file, read in parts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
