"""A run's folder and its `config.json`: read and written without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from errno import ENOSPC
from pathlib import Path
from typing import Any, Protocol

from collm_envs.files import read_json, saving, write_whole

CONFIG = "config.json"
DISK = re.compile(
    r"no space left|quota exceeded|read-only file system|file too large|os error \d+|failed writing file",
    re.I,
)
"""error messages of Rust libraries and torch for a file that cannot be written"""


class Storable(Protocol):
    """What a run's folder needs of settings."""

    def to_dict(self) -> dict[str, Any]: ...


def check_free(out: Path) -> None:
    """Raise ValueError where the folder holds a run already."""
    if (out / CONFIG).exists():
        raise ValueError(f"{out} holds a run already; `collm train --resume {out}`, or choose another --out")


def write_config(out: Path, name: str, config: Storable) -> None:
    """Make the run's folder with its `config.json`, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with saving(str(out / CONFIG), "nothing was begun; make room and give the same command again"):
        _write(out, {"algorithm": name, "config": config.to_dict()})


def stored_config(out: Path) -> tuple[str, dict[str, Any]]:
    """The algorithm's name and the settings of a run.  Raises ValueError where there is no run."""
    stored = _read(out)
    return stored["algorithm"], stored["config"]


def check_known(out: Path, config: Any, stored: Mapping[str, Any]) -> None:
    """Raise ValueError for settings that the dataclass `config` does not have."""
    unknown = sorted(set(stored) - {field.name for field in fields(config)})
    if unknown:
        raise ValueError(f"{out}/{CONFIG}: unknown settings {unknown}; it is from another version")


def mark_finished(out: Path, saved: Sequence[str]) -> None:
    """Note in `config.json` that the last step was taken and that `saved` holds what is executed."""
    stored = _read(out)
    _write(out, {**stored, "finished": {"step": stored["config"]["steps"], "saved": list(saved)}})


def is_finished(out: Path) -> bool:
    """Whether all steps were taken and everything that the run saved at its end still exists."""
    stored = _read(out)
    end = stored.get("finished")
    if end is None or end["step"] != stored["config"]["steps"]:
        return False
    return all((out / name).exists() for name in end["saved"])


def forget_unbegun(out: Path) -> None:
    """Take the `config.json` away again where the run ended before anything was measured.

    The command, mended, may then use the same folder; there is nothing that could be lost.
    """
    evals = out / "eval.jsonl"
    if not evals.exists() or not evals.read_text(encoding="utf-8"):
        (out / CONFIG).unlink(missing_ok=True)


@contextmanager
def going_on(out: Path, what: str) -> Iterator[None]:
    """Turn an error while a run saves into one line that says how to continue.

    For a full disk safetensors, tokenizers (a bare Exception) and torch raise errors of their own.
    """
    with saving(f"{out}: {what}", f"`collm train --resume {out}` goes on once there is room"):
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) or not DISK.search(str(error)):
                raise
            raise OSError(ENOSPC, str(error).splitlines()[0]) from error


def _read(out: Path) -> dict[str, Any]:
    try:
        stored = read_json(out / CONFIG)
    except FileNotFoundError:
        raise ValueError(f"{out} holds no run: there is no {CONFIG} in it") from None
    if (
        not isinstance(stored, dict)
        or not isinstance(stored.get("config"), dict)
        or "algorithm" not in stored
    ):
        raise ValueError(f"{out}/{CONFIG} is no run's: it needs an algorithm and its config")
    return stored


def _write(out: Path, stored: Mapping[str, Any]) -> None:
    write_whole(out / CONFIG, json.dumps(stored, indent=1))
