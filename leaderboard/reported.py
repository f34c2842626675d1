"""The paper's results as it reports them, in per cent: other data, other seeds, not replayed here.

HouseBuild and CoopHE are known from secondary sources and not for every method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

METHODS = (
    ("one", "untrained"),
    ("one", "GRPO"),
    ("one", "AC"),
    ("two", "parallel"),
    ("two", "pipeline"),
    ("two", "discussion"),
    ("two", "MAGRPO"),
    ("two", "CoLLM-DC"),
    ("two", "CoLLM-CC"),
)
"""(agents, method), in the paper's order"""


class Reported(NamedTuple):
    """One measure of the paper's table: a value for each of METHODS, None if unknown."""

    measure: str
    values: Sequence[float | None]


REPORTED: Mapping[str, Sequence[Reported]] = {
    "StrBuild-v0": (
        Reported("IoU", (36.6, 46.1, 49.8, 5.9, 18.7, 6.5, 50.6, 44.6, 68.5)),
        Reported("adjacency", (0.9, 0.4, 0.4, 15.7, 12.9, 16.2, 13.3, 7.6, 7.3)),
    ),
    "HouseBuild-v0": (Reported("IoU", (43.2, 54.6, None, None, None, None, None, None, 52.7)),),
    "TLDR-v0": (Reported("score", (30.3, 91.7, 94.7, 22.7, 21.7, 22.3, 93.5, 95.4, 95.2)),),
    "CoopHE-v0": (Reported("pass rate", (None, None, None, None, None, None, None, None, 75.2)),),
    "ArXiv-v0": (Reported("score", (44.0, 91.0, 95.3, 49.0, 57.0, 54.3, 93.1, 94.1, 95.0)),),
}
"""{environment: its measures}"""
