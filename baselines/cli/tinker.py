"""`collm tinker check URL`: whether a Tinker server trains adapters as this package needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from baselines.cli.terminal import Column, console, flags, show

USAGE = "usage: collm tinker check URL --model NAME"
COLUMNS = (
    Column("what", align="left", text=True),
    Column("how it is", align="left"),
    Column("good", align="left"),
)


@dataclass
class TinkerCheck:
    """Take some steps on a server and print how it behaves: what `--placement tinker` finds out first."""

    url: tyro.conf.Positional[str]
    """the server's address, as http://localhost:8300"""
    model: str
    """base model, by a name that the server and this machine know: a tokenizer is loaded here"""
    lora_rank: int = 8
    """of the two adapters that are opened on the server"""


def main(args: Sequence[str]) -> int:
    """Exit code 1 where training is not possible."""
    if not args or set(args[:1]) & {"-h", "--help"}:
        print(USAGE)
        return 0
    if args[0] != "check":
        raise ValueError(USAGE)
    settings = flags(TinkerCheck, args[1:], "collm tinker check")
    from baselines.train.placement import tinker_networks, tinker_probe

    findings = tinker_probe.probe(tinker_networks.connect(settings.url), settings.model, settings.lora_rank)
    rows = [(what, how, "yes" if is_right else "NO") for what, how, is_right in findings.rows()]
    show(console(), COLUMNS, rows)
    return 0 if all(is_right for _, _, is_right in findings.rows()) else 1
