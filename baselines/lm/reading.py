"""What a message adds to an agent's history: its tokens, and a new beginning where it is too long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from baselines.lm.history import Message, Move, Segment
from baselines.lm.sampling import Sampling
from baselines.lm.served import Reach
from baselines.lm.template import Renderer

if TYPE_CHECKING:
    from baselines.lm.policy import Context


class Reader(Protocol):
    """What turns messages into tokens: a policy, wherever its weights are."""

    name: str
    renderer: Renderer
    sampling: Sampling
    context: Context

    @property
    def limit(self) -> Reach:
        """The longest history, replies included, and the setting that says so."""
        ...


def appended(reader: Reader, head: Segment | None, message: str) -> Message:
    """The history that ends in `head` (None: an empty one) with one message more.

    Where its context is too short, it begins anew with the newest turns that fit (overflow "drop").  Raises
    ValueError where nothing fits, or nothing may be dropped.
    """
    renderer, limit = reader.renderer, reader.limit
    fresh = message_after(renderer, head, message)
    ids = fresh.ids
    if not ids:
        raise ValueError(f"{reader.name}: the message {message!r} has no tokens to answer to")
    room = limit.tokens - reader.sampling.max_new_tokens
    held = head.length if head else 0
    if held + len(ids) <= room:
        return fresh
    if reader.context.overflow == "raise" or len(renderer.first(message)) > room:
        raise ValueError(
            f"{reader.name}: a history of {held + len(ids)} tokens and max_new_tokens="
            f"{reader.sampling.max_new_tokens} exceed {limit.setting}={limit.tokens}; "
            f"{'raise it, ' if limit.setting == 'max_context' else ''}"
            "write less, or set overflow='drop' to forget the oldest turns"
        )
    return _without_oldest(renderer, fresh, room)


def message_after(renderer: Renderer, head: Segment | None, text: str) -> Message:
    """The segment of a `text` that is read after the history which ends in `head` (None: as the first)."""
    if head is None:
        return Message(None, renderer.first(text), text)
    turn = 1 + sum(isinstance(segment, Message) for segment in head.chain())
    closed = isinstance(head, Move) and renderer.ended(head.ids)
    return Message(head, renderer.following(text, closed, turn), text)


def _without_oldest(renderer: Renderer, head: Message, room: int) -> Message:
    """A fresh history of the newest turns that fit into `room` tokens, ending in the message `head`."""
    past = head.chain()
    while True:
        past = past[2:]  # a turn: the oldest message and the reply to it
        first = past[0]
        assert isinstance(first, Message)
        fresh: Segment = Message(None, renderer.first(first.text), first.text)
        if len(fresh.ids) + sum(len(segment.ids) for segment in past[1:]) <= room:
            for segment in past[1:]:
                fresh = replace(segment, parent=fresh)
            assert isinstance(fresh, Message)
            return fresh
