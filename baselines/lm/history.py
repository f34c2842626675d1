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
    """A text an agent wrote, with the tokens it was sampled as, end-of-text included where it was sampled."""

    logp: list[float] = field(default_factory=list)
    """log-probability of every token under the distribution it was sampled from"""
    text: str = ""
    """the text passed to the environment"""
    closed: bool = True
    """False where max_new_tokens cut the text before an end-of-text token"""


def usage_of(move: Move) -> dict[str, Any]:
    """The usage entry of a text in records: tokens written, tokens read before it, and how it ended."""
    assert move.parent is not None
    read = sum(len(segment.ids) for segment in move.parent.chain())
    return {READ: read, WRITTEN: len(move.ids), "finish_reason": "stop" if move.closed else "length"}


def token_moves(move: Move) -> list[Move]:
    """Every token of a text as a `Move` of its own, in order.

    The parent of the first is the message before the text, of every other one the token before it, so the
    values and probabilities of all of them come out of one row of a forward pass.
    """
    tokens: list[Move] = []
    before = move.parent
    for token, logp in zip(move.ids, move.logp, strict=True):
        before = Move(before, [token], [logp], move.text)
        tokens.append(before)
    return tokens
