"""Lays token histories out for training: a row holds a whole conversation, a micro-batch some rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from baselines.lm.history import Segment


class Span(NamedTuple):
    """Position of a segment in a row: its index in the packed list, and its half-open range of columns."""

    index: int
    start: int
    stop: int


@dataclass
class Row:
    """One history from its first token on, and the spans of the requested segments in it."""

    ids: list[int]
    spans: list[Span] = field(default_factory=list)


@dataclass
class Batch:
    """Rows padded on the right: causal attention then needs no padding mask and positions start at 0."""

    ids: Tensor
    """(B, P) token ids, 0 after a row's end"""
    rows: list[Row]

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(len(row.ids) for row in self.rows)


class Scored(NamedTuple):
    """The T tokens of the requested segments of a batch, concatenated."""

    row: Tensor
    """(T,) row of each token"""
    column: Tensor
    """(T,) column whose output predicts the token: the one before its own"""
    token: Tensor
    """(T,) id of the token"""
    owner: Tensor
    """(T,) index in `segments` of the token's segment"""
    segments: list[int]
    """indices of this batch's segments in the list that was packed"""


def rows(segments: Sequence[Segment]) -> list[Row]:
    """The fewest rows that contain every requested segment exactly once.

    Turns of one conversation share a row.  Branches of a tree repeat their common past as context; segments
    of that past are scored in the first branch only.
    """
    indices = {id(segment): k for k, segment in enumerate(segments)}
    inner: set[int] = set()  # segments that some asked-for segment continues
    for segment in segments:
        parent = segment.parent
        while parent is not None and id(parent) not in inner:
            inner.add(id(parent))
            parent = parent.parent
    out = []
    for leaf in segments:
        if id(leaf) in inner:
            continue
        row = Row([])
        for segment in leaf.chain():
            start = len(row.ids)
            row.ids += segment.ids
            k = indices.pop(id(segment), None)
            if k is not None:
                row.spans.append(Span(k, start, len(row.ids)))
        out.append(row)
    return out


def batches(segments: Sequence[Segment], max_tokens: int, device: torch.device | str) -> Iterator[Batch]:
    """The rows of `segments` in micro-batches of at most `max_tokens` tokens, padding included.

    Rows of like length go together, longest first, so that running out of memory happens at once.  A single
    row beyond the limit is a batch of its own.
    """
    ordered = sorted(rows(segments), key=lambda row: -len(row.ids))
    start = 0
    while start < len(ordered):
        width = len(ordered[start].ids)
        chunk = ordered[start : start + max(1, max_tokens // width)]
        ids = torch.zeros(len(chunk), width, dtype=torch.long)
        for k, row in enumerate(chunk):
            ids[k, : len(row.ids)] = torch.tensor(row.ids)
        yield Batch(ids.to(device), chunk)
        start += len(chunk)


def scored(batch: Batch) -> Scored:
    """Every token of the requested segments with the row and column whose output predicts it.

    Raises ValueError for a segment without anything before it: nothing predicts its first token.
    """
    row, column, token, owner, segments = [], [], [], [], []
    for r, line in enumerate(batch.rows):
        for span in line.spans:
            if span.start == 0:
                raise ValueError("a scored text needs at least one token before it; got an empty prompt")
            row += [r] * (span.stop - span.start)
            column += range(span.start - 1, span.stop - 1)
            token += line.ids[span.start : span.stop]
            owner += [len(segments)] * (span.stop - span.start)
            segments.append(span.index)
    device = batch.ids.device

    def tensor(numbers: list[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.long, device=device)

    return Scored(tensor(row), tensor(column), tensor(token), tensor(owner), segments)


def ends(batch: Batch) -> tuple[Tensor, Tensor, list[int]]:
    """Row (S,) and column (S,) of the last token of every requested segment, and the segments' indices."""
    positions = [(r, span.stop - 1, span.index) for r, row in enumerate(batch.rows) for span in row.spans]
    row, column, index = zip(*positions, strict=True)
    device = batch.ids.device
    return torch.tensor(row, device=device), torch.tensor(column, device=device), list(index)
