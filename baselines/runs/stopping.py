"""Ctrl-C during a run: the step in hand is finished and saved first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from baselines.runs import checkpoint


def _stopped_within(out: Path) -> str:
    """The message about a run that a second Ctrl-C ended at once: what was kept."""
    if saved := checkpoint.steps(out / "checkpoints"):
        return f"stopped within a step; `collm train --resume {out}` goes on from step {saved[-1]}"
    return "stopped within a step, before the first was saved: nothing was kept but metrics"


@contextmanager
def until_safe(out: Path) -> Iterator[Callable[[], bool]]:
    """Holds the first Ctrl-C back until the step is done and saved; the second one stops at once."""
    hit = False

    def note(number: int, frame: Any) -> None:
        nonlocal hit
        if hit:
            raise KeyboardInterrupt(_stopped_within(out))
        hit = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals can only be caught in the main thread
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: hit
    finally:
        signal.signal(signal.SIGINT, before)
