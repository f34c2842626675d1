"""`collm plan`: the memory that a run would take, kind by kind, and what fits on which card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from baselines.cli import flags
from baselines.cli.terminal import Column, console, note, show
from baselines.cli.train import as_flags, need_torch, read_filled
from baselines.runs.algorithms import names
from baselines.train.keywords import read_object

if TYPE_CHECKING:
    from baselines.runs.cards import Fit
    from baselines.runs.planning import Footprint

USAGE = """usage: collm plan [ALGORITHM] [--agents N] [flags of collm train]

The memory of a run of {names} (default magrpo) on this machine's kind of device, or that of
--device cpu or --device cuda, and what would make it fit into a card; nothing is loaded but the configuration
of its models.  --agents N is short for the environment's keyword num_agents."""


def main(args: Sequence[str]) -> None:
    """Run the command line after `collm plan`."""
    need_torch()
    if set(args) & {"-h", "--help"}:
        print(USAGE.format(names=", ".join(names())))
        return
    name, own = ("magrpo", [*args]) if not args or args[0].startswith("-") else (args[0], [*args[1:]])
    own = with_agents(own)
    flags.check(name, own)
    config, _ = read_filled(name, own)
    from baselines.runs import cards, planning
    from baselines.train.settings import Settings

    if not isinstance(config, Settings):
        raise ValueError(f"{name} trains no language models: there is little to plan")
    device = _kind(config.device, config.bf16)
    made = planning.footprint_of(name, config, device)
    _show_needs(made, device, config.keep)
    _show_cards(list(cards.fits(name, config)))


def with_agents(args: Sequence[str]) -> list[str]:
    """The flags with `--agents N` as the keyword num_agents of --env-kwargs.

    Raises ValueError for a number that is none.
    """
    given = dict(flags.given(args))
    if "--agents" not in given:
        return [*args]
    number = given["--agents"] or ""
    if not number.isdecimal():
        raise ValueError(f"--agents must be a whole number, got {number!r}")
    others = flags.without(flags.without(args, "agents"), "env-kwargs")
    kwargs = read_object("--env-kwargs", given.get("--env-kwargs", "{}"))
    return [*others, "--env-kwargs", json.dumps({**kwargs, "num_agents": int(number)})]


def _kind(device: str, bf16: bool) -> str:
    """The kind of device that is meant: cpu or cuda; bfloat16 is for the latter alone."""
    if device == "auto":
        import torch

        return "cuda" if bf16 or torch.cuda.is_available() else "cpu"
    return "cpu" if device == "cpu" else "cuda"


def _show_needs(made: Footprint, device: str, keep: int) -> None:
    out = console()
    columns = (
        Column(f"GB on {device}", align="left"),
        Column("sampling"),
        Column("update"),
        Column("saving"),
    )
    rows = [(need.kind, *map(_gigabytes, need[1:])) for need in made.needs if any(need[1:])]
    totals = [sum(part) for part in zip(*(need[1:] for need in made.needs), strict=True)]
    show(out, columns, [*rows, ("in all", *map(_gigabytes, totals))], bold=("in all",))
    work = made.work
    host = f"; {_gigabytes(made.host)} GB of main memory while one is written" if made.host else ""
    turns = f"{len(work.messages)} turn" + "s" * (len(work.messages) > 1)
    note(
        out,
        f"a checkpoint takes {_gigabytes(made.checkpoint)} GB of disk, {keep} are kept and one more while it "
        f"is written{host}; the trained agents {_gigabytes(made.agents)} GB",
    )
    note(
        out,
        f"a step plays {work.episodes} episodes, reads {made.read:,} tokens and writes up to "
        f"{made.written:,}: {turns}, prompts of up to {max(work.messages)} tokens, texts of up to "
        f"{work.written}",
    )


def _show_cards(found_fits: Sequence[Fit | None]) -> None:
    from baselines.runs.cards import CARDS

    out = console()
    columns = (Column("card"), Column("takes"), Column("fits", align="left", text=True))
    rows = []
    for card, fit in zip(CARDS, found_fits, strict=True):
        takes = "" if fit is None else f"{_gigabytes(fit.need)} GB"
        rows.append((f"{card} GB", takes, _advice(fit)))
    show(out, columns, rows)


def _advice(fit: Fit | None) -> str:
    if fit is None:
        return "no: a smaller model, fewer episodes or shorter texts"
    changes: dict[str, Any] = {
        **fit.changes,
        **({"placement": "ray", "gpus_per_agent": 1.0} if fit.apart else {}),
    }
    each = ", a card for each model" if fit.apart else ""
    return (f"with {as_flags(changes)}" if changes else "as it is") + each


def _gigabytes(size: float) -> str:
    """Three digits, or two decimals; "" for nothing."""
    return "" if not size else f"{size / 1e9:.2f}" if size < 9.95e9 else f"{size / 1e9:.1f}"
