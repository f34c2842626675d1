"""One agent's role in a team of builders, and the sentences about it in every building task's prompts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Builder:
    """One agent's place in the team."""

    number: int
    """1, 2, ... in the order in which commands are carried out"""
    team: int
    blocks: tuple[str, ...]
    """block ids it may place, without air"""
    limit: int
    """most commands that count"""


def team_sentence(seat: Builder) -> str:
    """How the team builds, and whose block stays where two set the same cell."""
    if seat.team == 1:
        return "You build alone."
    return (
        f"You are builder {seat.number} of {seat.team}. All of you write at the same time, unseen by the "
        f"others; then the commands of builder 1 are carried out, then those of builder 2, and so on. "
        f"Where two of you set the same cell, the later block stays. Place some of the blocks, not all."
    )


def turn_sentence(turn: int, turns: int) -> str:
    """The first sentence of every prompt after turn 1."""
    return f"Turn {turn} of {turns}. The world is empty again: write all your commands, not only changes."
