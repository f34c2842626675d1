"""What the processes of test_kill.py run: a real training run, with a trap that kills it at some point."""

from __future__ import annotations

import io
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from baselines.lm.learning import Optimizer
from baselines.lm.policy import Conversations
from baselines.runs import algorithms, checkpoint, logs, run


def go(algorithm: str, settings: dict[str, Any], trap: str = "", when: int = 1) -> None:
    """Begin this run, or go on with it where there is one; exit code 3 after Ctrl-C, 4 after an OSError."""
    torch.set_num_threads(1)
    out = Path(settings["out"])
    if trap:
        TRAPS[trap](when)
    try:
        if (out / "config.json").exists():
            run.resume(out, quiet=True)
        else:
            run.train(algorithm, algorithms.algorithm(algorithm).Config(**settings), quiet=True)
    except KeyboardInterrupt as stopped:
        (out / "said").write_text(str(stopped))
        sys.exit(3)
    except OSError as failed:
        (out / "said").write_text(str(failed))
        sys.exit(4)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def nth(when: int, owner: Any, name: str, last: Callable[..., None]) -> None:
    """Let the first calls of a function through; the `when`-th one does `last` instead."""
    real, left = getattr(owner, name), [when]

    def trapped(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        return last(*args, **kwargs) if left[0] == 0 else real(*args, **kwargs)

    setattr(owner, name, trapped)


def half_a_file(path: Path, write: Callable[[Any], object]) -> None:
    buffer = io.BytesIO()
    write(buffer)
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    die()


def half_a_line(lines: Any, line: Any) -> None:
    with lines.path.open("a") as file:
        file.write('{"step": 3, "retu')
    die()


def no_more_room(when: int) -> None:
    """From the `when`-th checkpoint on no file may grow beyond 20 kB: a full disk, as the process sees it."""

    def limit(*args: Any) -> str:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        return write(*args)

    write = checkpoint._write
    nth(when, checkpoint, "_write", limit)


TRAPS: dict[str, Callable[[int], None]] = {
    "in a rollout": lambda when: nth(when, Conversations, "write", lambda *_: die()),
    "in an update": lambda when: nth(when, Optimizer, "step", lambda *_: die()),
    "in the write of a checkpoint": lambda when: nth(when, checkpoint, "_write", half_a_file),
    "before a checkpoint is in place": lambda when: nth(when, checkpoint.os, "replace", lambda *_: die()),
    "while old ones are removed": lambda when: nth(when, checkpoint, "_flush", lambda *_: die()),
    "in a line of metrics": lambda when: nth(when, logs._Lines, "write", half_a_line),
    "full disk": no_more_room,
}
