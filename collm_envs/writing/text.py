"""Words, and how texts share them: pure measures that know no task.  Any `str` is fine, none raises."""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

T = TypeVar("T")
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    r"""The lower-cased runs of `\w` (Unicode letters, digits, underscore) of `text`, in order."""
    return _WORD.findall(text.lower())


def jaccard(a: AbstractSet[T], b: AbstractSet[T]) -> float:
    """|a & b| / |a | b|, and 1.0 for two empty sets."""
    shared = len(a & b)
    union = len(a) + len(b) - shared
    return shared / union if union else 1.0


def share(part: AbstractSet[T], whole: AbstractSet[T]) -> float:
    """|part & whole| / |whole|: how much of `whole` stands in `part`; 0.0 for an empty `whole`."""
    return len(part & whole) / len(whole) if whole else 0.0


def runs(some: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """Every run of `length` neighbouring words; empty for shorter texts."""
    return set(zip(*(some[k:] for k in range(length)), strict=False))
