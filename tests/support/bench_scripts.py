"""Runs the scripts of tests/bench, each figure in a process of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

BENCH = Path(__file__).parents[1] / "bench"


def timed(python: str, script: str, *args: object) -> dict[str, float]:
    """The figures that a script of tests/bench prints as JSON on its last line; its stderr is shown."""
    command = [python, BENCH / script, *map(str, args)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=BENCH)
    return json.loads(done.stdout.splitlines()[-1])
