"""What makes a run fit into the memory of a card: settings that take less, those that cost least first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from baselines.runs.planning import Footprint, footprint_of
from baselines.train.settings import Settings

CARDS = (24, 48, 80, 141)
"""GB of the cards there are"""
MARGIN = 0.95
"""share of a card that a run may fill: its allocator loses some"""
SMALLER = {"micro_batch_tokens": 2048}
LESS = (
    {},
    SMALLER,
    {"gradient_checkpointing": True},
    {"gradient_checkpointing": True, **SMALLER},
    {"gradient_checkpointing": True, **SMALLER, "bf16": True},
    {"gradient_checkpointing": True, **SMALLER, "bf16": True, "lora_rank": 16},
)
"""settings that take less memory, those that cost least first"""


class Fit(NamedTuple):
    """What makes a run fit into a card."""

    card: int
    changes: dict[str, Any]
    """of the settings"""
    apart: bool
    """whether every model then has a card of its own"""
    need: float
    """bytes a card"""


def fits(name: str, config: Settings) -> Iterator[Fit | None]:
    """For each of `CARDS` the least change with which the run fits, None where none of `LESS` is enough."""
    stored = config.to_dict()
    plans: list[tuple[dict[str, Any], Footprint]] = []
    for changes in LESS:
        differing = {key: value for key, value in changes.items() if not stored[key]}
        if all(differing != earlier for earlier, _ in plans):
            plans.append((differing, footprint_of(name, replace(config, **differing), "cuda")))
    for card in CARDS:
        room = card * 1e9 * MARGIN
        together = (Fit(card, changes, False, made.peak) for changes, made in plans if made.peak <= room)
        apart = (Fit(card, changes, True, made.apart) for changes, made in plans if made.apart <= room)
        yield next(together, None) or next(apart, None)
