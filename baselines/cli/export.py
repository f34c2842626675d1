"""`collm export`: the worlds of recorded episodes as Minecraft functions, to walk around in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from baselines.cli.terminal import flags
from collm_envs.record import read, scenes
from collm_envs.render import mcfunction


@dataclass
class Export:
    """Write the world of each recorded episode as an .mcfunction file of commands."""

    records: Annotated[Path, tyro.conf.Positional]
    """records.jsonl, or the folder it is in"""
    out: Path | None = None
    """folder for the files; by default `functions` beside the records"""
    turn: int = -1
    """which turn's world: 1, 2, ... or -1 for the last; 0 is the start"""


def main(args: Sequence[str]) -> int:
    """Write one file an episode; episodes without a world are left out and counted."""
    settings = flags(Export, args, "collm export")
    path = settings.records / "records.jsonl" if settings.records.is_dir() else settings.records
    folder = settings.out or path.parent / "functions"
    folder.mkdir(parents=True, exist_ok=True)
    written = without = 0
    for k, record in enumerate(read(path), start=1):
        worlds = scenes(record)
        if not -1 <= settings.turn < len(worlds):
            raise ValueError(f"{path}: episode {k} has {len(worlds) - 1} turns, got --turn {settings.turn}")
        world = worlds[settings.turn]
        if not all(world.size):
            without += 1
            continue
        name = re.sub(r"[^a-z0-9_.-]", "_", f"{k:05}_{record.item}".lower())  # what the game allows in a name
        (folder / f"{name}.mcfunction").write_text(mcfunction.text(world), encoding="utf-8")
        written += 1
    if not written:
        raise ValueError(f"{path}: none of {without} records has a world to export")
    print(f"{written} worlds: {folder}" + (f" ({without} records have none)" if without else ""))
    return 0
