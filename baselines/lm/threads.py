"""How many CPU threads torch computes with: one where all models are small, else torch's own number.

Threads wait for each other after every matrix product.  Products of the embedded model are too small to be
worth that: on a busy machine two threads spend ten times the CPU seconds of one on the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

SMALL = 3_000_000
"""parameters below which a second thread costs more than it gives"""


@dataclass
class _Process:
    """Threads chosen by hand, parameters of the largest model, and torch's own number."""

    chosen: int = 0
    largest: int = 0
    own: int = 0
    """torch's number before we changed it: OMP_NUM_THREADS, or the machine's cores"""


_process = _Process()


def ask(threads: int) -> None:
    """Set the number (`--threads`) for models loaded from now on; 0: by the size of the largest model.

    Raises ValueError for a negative number.
    """
    if threads < 0:
        raise ValueError(f"threads must be 1 or more, or 0 for as many as the model is worth, got {threads}")
    _process.chosen = threads


def fit(model: nn.Module) -> None:
    """Register a model that computes in this process and set torch's threads by the largest one so far."""
    import torch

    _process.own = _process.own or torch.get_num_threads()
    _process.largest = max(_process.largest, sum(p.numel() for p in model.parameters()))
    threads = _process.chosen or (1 if _process.largest < SMALL else _process.own)
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
