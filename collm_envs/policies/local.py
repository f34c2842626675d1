"""Policies that need no model: a task's scripted players, recorded texts, a person at the terminal."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from collm_envs.policies.seat import Policy, Reply, Seat, seat_seed
from collm_envs.record import read
from collm_envs.task import Task


@dataclass(frozen=True)
class Scripted:
    """A player of the task by name: random, expert, noisy, ..."""

    name: str

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """ValueError where the task has no such player."""
        return [Reply(self._write(seat)) for seat in seats]

    def check(self, task: Task) -> None:
        """ValueError with the nearest known name where `task` has no such player."""
        if self.name not in task.players:
            near = difflib.get_close_matches(self.name, task.players, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(task.players)}"
            raise ValueError(f"the task has no player {self.name!r}; {hint}")

    def _write(self, seat: Seat) -> str:
        self.check(seat.task)
        return seat.task.players[self.name](seat.task, seat.state, seat.agent, Random(seat.seed))


class Replay:
    """The texts of recorded episodes, to whoever reads the same prompts at the same seat again."""

    def __init__(self, path: str | Path):
        self.name = f"replay:{path}"
        self._texts: dict[tuple[str, int, str], str] = {}
        for record in read(path):
            for agent in record.agents:
                history: list[str] = []
                for t, turn in enumerate(record.turns):
                    history.append(turn["prompts"][agent])
                    seed = seat_seed(record.item, record.seed, record.trial, agent, t)
                    self._texts[agent, seed, _digest(history)] = turn["texts"][agent]
                    history.append(turn["texts"][agent])

    @property
    def digest(self) -> str:
        """sha256 of the recorded texts: the file may be another one the next time."""
        return hashlib.sha256(repr(sorted(self._texts.items())).encode("utf-8", "replace")).hexdigest()

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """The recorded texts; an error where nothing was recorded for a seat."""
        found = [self._texts.get((seat.agent, seat.seed, _digest(seat.history))) for seat in seats]
        missing = f"{self.name} has no text for this episode"
        return [Reply("", error=missing) if text is None else Reply(text) for text in found]


class Human:
    """A person at the terminal."""

    name = "human"
    end = "."

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """Shows each prompt and reads lines up to one that holds a single dot, or the end of input.

        Raises RuntimeError where the input ends before anything was typed: nobody is there.
        """
        return [Reply(self._ask(seat)) for seat in seats]

    def _ask(self, seat: Seat) -> str:
        print(f"\n--- {seat.agent} reads ---\n{seat.history[-1]}")
        print(f"--- {seat.agent} writes; end with a line that holds only {self.end!r} ---")
        lines: list[str] = []
        while True:
            try:
                line = input()
            except EOFError:
                if not lines:
                    raise RuntimeError(f"human: the input ended before {seat.agent} wrote a line") from None
                break
            if line == self.end:
                break
            lines.append(line)
        return "\n".join(lines)


def _digest(history: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(history).encode()).hexdigest()


def _human(rest: str) -> Policy:
    if rest:
        raise ValueError(f"policy 'human' takes nothing after it, got {rest!r}")
    return Human()
