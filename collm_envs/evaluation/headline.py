"""The one headline of an episode, or of the mean of several: score of its highest, and return.  Pure text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Range = tuple[float, float]


def score_of(turns: Sequence[Mapping[str, Any]]) -> float:
    """The task's own metric `score` of the last turn, else that turn's reward; `turns` as in a record."""
    return turns[-1]["metrics"].get("score", turns[-1]["reward"])


def score_range(turns: Sequence[Mapping[str, Any]], reward_range: Range) -> Range:
    """The least and the highest score: 0 to 1 for a task's own metric, else what a turn's reward can be."""
    return (0.0, 1.0) if "score" in turns[-1]["metrics"] else reward_range


def headline(score: float, highest: float, total: float, turns: float) -> str:
    """For example "score 4.000 of 4 (return 8.000 over 2 turns)"."""
    over = f"{turns:.3g} turn" + "s" * (turns != 1)
    return f"score {score:.3f} of {highest:.3g} (return {total:.3f} over {over})"


def definition(turns: Sequence[Mapping[str, Any]], reward_range: Range) -> str:
    """What the numbers of the headline are, in a line."""
    low, high = score_range(turns, reward_range)
    what = "the task's own measure" if "score" in turns[-1]["metrics"] else "reward of the last turn"
    return f"score: {what}, from {low:.3g} to {high:.3g}; return: sum of the rewards of all turns"
