"""What a run leaves behind, for tests that compare two of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def lines(path: Path) -> list[dict[str, Any]]:
    """What was logged, without what a clock said."""
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "cpu_s", "tokens_per_s")} for line in kept]


def leaves(state: Any) -> list[Any]:
    """Every tensor and number of a checkpoint."""
    if isinstance(state, dict):
        return [leaf for key in state for leaf in leaves(state[key])]
    if isinstance(state, (list, tuple)):
        return [leaf for part in state for leaf in leaves(part)]
    return [state]
