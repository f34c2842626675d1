"""Lays token histories out for training: a row holds a whole conversation, a micro-batch some rows.

The texts of a group were written after one prompt.  In a shared row that prompt stands once, each text
behind it attends to the prompt and to itself, and its positions go on from the prompt's: P + G T tokens of
matrix products in place of G (P + T), the same numbers in another order.
"""

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
    before: int
    """column of the token before its first one; -1 for a segment that nothing precedes"""


class Branch(NamedTuple):
    """A segment in a row: its columns, and the branches that precede it from the row's beginning on."""

    start: int
    stop: int
    past: tuple[Branch, ...]

    @property
    def position(self) -> int:
        """Position of its first token in its own history."""
        return sum(branch.stop - branch.start for branch in self.past)


@dataclass
class Row:
    """Histories that begin alike, their common segments once; most often a single history."""

    ids: list[int]
    spans: list[Span] = field(default_factory=list)
    """of the requested segments"""
    branches: dict[int, Branch] = field(default_factory=dict)
    """id of a segment -> where it is"""

    @property
    def single(self) -> bool:
        """Whether every segment continues the one to its left: the row is one history."""
        return all(branch.position == branch.start for branch in self.branches.values())

    def added(self, leaf: Segment) -> int:
        """Tokens that the history ending in `leaf` would add."""
        return sum(len(segment.ids) for segment in leaf.chain() if id(segment) not in self.branches)

    def add(self, leaf: Segment, indices: dict[int, int]) -> None:
        """Append what is new of the history ending in `leaf`; `indices` loses the segments it requested."""
        past: tuple[Branch, ...] = ()
        before = -1
        for segment in leaf.chain():
            if id(segment) not in self.branches:
                start = len(self.ids)
                self.ids += segment.ids
                self.branches[id(segment)] = Branch(start, len(self.ids), past)
                k = indices.pop(id(segment), None)
                if k is not None:
                    self.spans.append(Span(k, start, len(self.ids), before))
            branch = self.branches[id(segment)]
            past = (*past, branch)
            before = branch.stop - 1 if segment.ids else before


class Tree(NamedTuple):
    """What tokens of rows with several histories attend to, and where they stand."""

    mask: Tensor
    """(B, 1, P, P) True where the token of a row of the matrix attends to that of a column"""
    positions: Tensor
    """(B, P) position of each token in its own history"""


@dataclass
class Batch:
    """Rows padded on the right: single histories then need no attention mask, and positions start at 0."""

    ids: Tensor
    """(B, P) token ids, 0 after a row's end"""
    rows: list[Row]
    tree: Tree | None
    """None where every row is a single history"""

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return sum(len(row.ids) for row in self.rows)


class Scored(NamedTuple):
    """The T tokens of the requested segments of a batch, concatenated."""

    row: Tensor
    """(T,) row of each token"""
    column: Tensor
    """(T,) column whose output predicts the token: that of the token before it in its history"""
    token: Tensor
    """(T,) id of the token"""
    owner: Tensor
    """(T,) index in `segments` of the token's segment"""
    segments: list[int]
    """indices of this batch's segments in the list that was packed"""


def rows(segments: Sequence[Segment], shared: int = 0) -> list[Row]:
    """The fewest rows that contain every requested segment exactly once.

    Turns of one conversation share a row.  Branches of a tree (the group of a prompt) share one of up to
    `shared` tokens, or twice the tokens of its first history where that is more; beyond that, and with 0,
    they repeat their common past as context, and segments of that past are scored in the first row only.
    """
    indices = {id(segment): k for k, segment in enumerate(segments)}
    inner: set[int] = set()  # segments that some asked-for segment continues
    for segment in segments:
        parent = segment.parent
        while parent is not None and id(parent) not in inner:
            inner.add(id(parent))
            parent = parent.parent
    out: list[Row] = []
    latest: dict[int, tuple[Row, int]] = {}  # of every beginning, and the most tokens it may have
    for leaf in segments:
        if id(leaf) in inner:
            continue
        root = id(leaf.chain()[0])
        row, most = latest.get(root, (Row([]), 0))
        if len(row.ids) + row.added(leaf) > most:
            row = Row([])
            latest[root] = row, max(shared, 2 * row.added(leaf)) if shared else 0
            out.append(row)
        row.add(leaf, indices)
    return out


def batches(
    segments: Sequence[Segment], max_tokens: int, device: torch.device | str, *, shared: bool = False
) -> Iterator[Batch]:
    """The rows of `segments` in micro-batches of at most `max_tokens` tokens, padding included.

    `shared`: branches share a row with their common past.  Rows of like length go together, longest first,
    so that running out of memory happens at once.  A single row beyond the limit is a batch of its own.
    """
    ordered = sorted(rows(segments, max_tokens if shared else 0), key=lambda row: -len(row.ids))
    start = 0
    while start < len(ordered):
        width = len(ordered[start].ids)
        chunk = ordered[start : start + max(1, max_tokens // width)]
        ids = torch.zeros(len(chunk), width, dtype=torch.long)
        for k, row in enumerate(chunk):
            ids[k, : len(row.ids)] = torch.tensor(row.ids)
        yield Batch(ids.to(device), chunk, _tree(chunk, width, device))
        start += len(chunk)


def _tree(chunk: Sequence[Row], width: int, device: torch.device | str) -> Tree | None:
    """Attention and positions of rows of this width; None where causal attention says the same."""
    if all(row.single for row in chunk):
        return None
    mask = torch.zeros(len(chunk), width, width, dtype=torch.bool)
    positions = torch.zeros(len(chunk), width, dtype=torch.long)
    for k, row in enumerate(chunk):
        for branch in row.branches.values():
            own = slice(branch.start, branch.stop)
            size = branch.stop - branch.start
            positions[k, own] = torch.arange(branch.position, branch.position + size)
            mask[k, own, own] = torch.ones(size, size, dtype=torch.bool).tril()
            for past in branch.past:
                mask[k, own, past.start : past.stop] = True
        mask[k].diagonal()[len(row.ids) :] = True  # padding attends to something, or it is NaN
    return Tree(mask[:, None].to(device), positions.to(device))


def scored(batch: Batch) -> Scored:
    """Every token of the requested segments with the row and column whose output predicts it.

    Raises ValueError for a segment without anything before it: nothing predicts its first token.
    """
    row, column, token, owner, segments = [], [], [], [], []
    for r, line in enumerate(batch.rows):
        for span in line.spans:
            if span.before < 0:
                raise ValueError("a scored text needs at least one token before it; got an empty prompt")
            row += [r] * (span.stop - span.start)
            column += [span.before, *range(span.start, span.stop - 1)]
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
