"""Words of texts, and measures of how much texts share.  Pure functions; any `str` is accepted."""

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


def share(part: AbstractSet[T], reference: AbstractSet[T]) -> float:
    """|part & reference| / |reference|: the share of `reference` in `part`; 0.0 for an empty `reference`."""
    return len(part & reference) / len(reference) if reference else 0.0


def runs(tokens: Sequence[str], length: int) -> set[tuple[str, ...]]:
    """The set of runs of `length` consecutive words; empty for shorter texts."""
    return set(zip(*(tokens[k:] for k in range(length)), strict=False))
