"""Input and output of a policy: a seat in a running episode, and a reply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol, runtime_checkable

TOKENS = READ, WRITTEN = "tokens_read", "tokens_written"
"""in `Reply.usage` and so in records: tokens of all that was read for a reply, and of the reply"""
SECONDS, WAITED = "seconds", "waited"
"""there too: of the policy's own time, and of waiting for texts of others before that"""


@dataclass(frozen=True)
class Seat:
    """One agent in one running episode that has to write now."""

    agent: str
    history: tuple[str, ...]
    """(o_1, a_1, ..., o_t): what the agent read and wrote in turn; the last one is to be answered"""
    seed: int
    """of this one reply: equal for equal item, episode seed, trial, agent and turn"""
    task: Any = None
    """for scripted players only"""
    state: Any = None
    """for scripted players only"""


@dataclass(frozen=True)
class Reply:
    """What came from a seat."""

    text: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    """what is known of it: TOKENS, SECONDS, finish_reason, attempts, errors, ..."""
    error: str = ""
    """why there is no text at all (an endpoint that is gone, say); such an episode is not scored"""


class Policy(Protocol):
    """Writes the texts of any number of seats at once: of several episodes, of several agents."""

    @property
    def name(self) -> str:
        """What records say; `parse(name)` gives the policy again."""
        ...

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order."""
        ...


@runtime_checkable
class Weighed(Protocol):
    """A policy with weights or a program of its own, which its name does not tell."""

    @property
    def name(self) -> str:
        """What the policy is called in records."""
        ...

    @property
    def digest(self) -> str:
        """sha256 (hex) or the like of whatever decides about its texts beside its name"""
        ...


def seat_seed(item: str, seed: int, trial: int, agent: str, turn: int) -> int:
    """The seed of one reply, of 31 bits; `turn` counts from 0."""
    return Random(f"collm/{item}/{seed}/{trial}/{agent}/{turn}").getrandbits(31)
