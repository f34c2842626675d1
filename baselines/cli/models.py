"""`collm models`: the models that have a short name, their size and licence, and where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from baselines.cli.terminal import Column, console, flags, note, show


@dataclass
class ModelList:
    """The models that --model and hf: take by a short name."""


def models(args: Sequence[str]) -> None:
    """Run the command line after `collm models`."""
    flags(ModelList, args, "collm models")
    from baselines.lm import models

    columns = (
        Column("model", align="left"),
        Column("parameters"),
        Column("disk", keep=2),
        Column("licence", keep=4, align="left"),
        Column("name on the hub", keep=1, align="left"),
        Column("where it lies", keep=3, align="left"),
    )
    rows = [("tiny", "0.16M", "0.6 MB", "MIT", "", "in this package; warm-started for each environment")]
    for name, model in models.MODELS.items():
        there = models.where(name) or "not fetched yet"
        rows.append((name, model.parameters, model.disk, model.licence, model.hub, there))
    out = console()
    show(out, columns, rows)
    note(out, "also: a save_pretrained folder, FILE.gguf, any name on the hub; hf:NAME in collm eval")
