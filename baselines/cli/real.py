"""`collm real`: a language model of 135 million parameters learns to write together, before and after.

MAGRPO and CoLLM-CC on TLDR-v1, whose reward reads the post, and on TLDR-v0, whose reward never does.  The
same command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

OUT = Path("runs/real")
POSTS = {
    "train": (47, 60, 82, 34, 23, 62, 53, 76),
    "eval": (25, 17, 7, 28),
}
"""short built-in posts of TLDR-v1, by number: a step reads every post of it, and long ones cost minutes"""
ENVS: Mapping[str, str] = {"TLDR-v1": "", "TLDR-v0": ""}
RUNS: Mapping[str, Sequence[str]] = {"MAGRPO": (), "CoLLM-CC": ()}
