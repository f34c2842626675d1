"""What a wall is worth in StrBuild-v1."""

from __future__ import annotations

from collections.abc import Mapping

from collm_envs.building.strbuild.score import word_score
from collm_envs.building.strbuild.words import Word
from collm_envs.task import Cell

EXTRA = 4.0
"""cost of filling the whole background"""
BEST = 2.0
"""the worth of a finished word"""


def wall_score(word: Word, blocks: Mapping[Cell, str]) -> tuple[dict[str, float], dict[str, float]]:
    """(parts, metrics) of what stands; the parts sum to

        S = 2 covered/target - 4 extra/background - same/pairs

    with the quantities of v0 (`word_score`).  An empty wall is worth 0, the finished word 2.
    """
    _, metrics = word_score(word, blocks, ())
    del metrics["missing_palettes"]
    parts = {
        "coverage": 2.0 * metrics["coverage"],
        "extra": 0.0 - EXTRA * metrics["extra"],
        "adjacency": 0.0 - metrics["adj"],
    }
    return parts, metrics
