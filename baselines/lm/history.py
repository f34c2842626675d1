"""An agent's token history: a chain of segments from the newest back to the first.

A `Message` is text the agent read, a `Move` text it wrote.  Branches of a tree share their past by sharing
segments, so nothing is tokenised twice and every row that is trained on is the row that was sampled.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from collm_envs.policies.seat import READ, WRITTEN


@dataclass(eq=False)
class Segment:
    """Tokens appended to one agent's history; `parent` is what came before, None for the first."""

    parent: Segment | None
    ids: list[int]

    @property
    def length(self) -> int:
        """Tokens of this history, this segment included."""
        return sum(len(segment.ids) for segment in self.chain())

    def all_ids(self) -> list[int]:
        """The tokens of this history, this segment's last."""
        return [i for segment in self.chain() for i in segment.ids]

    def chain(self) -> list[Segment]:
        """The segments of this history, oldest first, this one last."""
        segments: list[Segment] = []
        segment: Segment | None = self
        while segment is not None:
            segments.append(segment)
            segment = segment.parent
        return segments[::-1]


@dataclass(eq=False)
class Message(Segment):
    """A text an agent read."""

    text: str = ""


@dataclass(eq=False)
class Move(Segment):
    """A text an agent wrote, with the tokens it was sampled as, end-of-text included where it was sampled.

    A policy may keep its histories to itself: then `parent` is None, and the move is a subclass that names
    its place among them (train/placement/calls.py).
    """

    logp: list[float] = field(default_factory=list)
    """log-probability of every token under the distribution it was sampled from"""
    text: str = ""
    """the text passed to the environment"""
    closed: bool = True
    """False where max_new_tokens cut the text before an end-of-text token"""

    @property
    def read(self) -> int:
        """Tokens that stood before this text."""
        return self.parent.length if self.parent else 0

    def tokens(self) -> list[Move]:
        """Every token of this text as a `Move` of its own, in order.

        The parent of the first is the message before the text, of every other one the token before it, so the
        values and probabilities of all of them come out of one row of a forward pass.
        """
        tokens: list[Move] = []
        before = self.parent
        for token, logp in zip(self.ids, self.logp, strict=True):
            before = Move(before, [token], [logp], self.text)
            tokens.append(before)
        return tokens


def usage_of(move: Move) -> dict[str, Any]:
    """The usage entry of a text in records: tokens written, tokens read before it, and how it ended."""
    return {READ: move.read, WRITTEN: len(move.ids), "finish_reason": "stop" if move.closed else "length"}
