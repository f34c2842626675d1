"""Policies that need no model: a task's scripted players, recorded texts, a person at the terminal."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from collm_envs.policies.seat import Policy, Reply, Seat, seat_seed
from collm_envs.record import read
from collm_envs.render.plain import plain, wrapped
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


class Recorded:
    """The texts of recorded episodes, to whoever reads the same prompts at the same seat again."""

    def __init__(self, path: str | Path):
        self.name = f"replay:{path}"
        self._texts: dict[tuple[str, int, str], str] = {}
        for record in read(path):
            for agent in record.agents:
                history: list[str] = []
                for t, turn in enumerate(record.turns):
                    if not turn["prompts"][agent] and not turn["texts"][agent]:
                        continue  # others wrote; see TextEnv.history
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
        recorded_texts = [self._texts.get((seat.agent, seat.seed, _digest(seat.history))) for seat in seats]
        missing = f"{self.name} has no text for this episode"
        return [Reply("", error=missing) if text is None else Reply(text) for text in recorded_texts]


_KEYS = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.?)|[\x00-\x08\x0b-\x1f\x7f]")
"""escape sequences and control characters that keys such as arrows leave in a line without readline"""


@dataclass
class Human:
    """A person at the terminal, who ends a text with a line that holds a single dot."""

    blind: bool = False
    """whether the person sees an agent's observations only"""
    preview: Callable[[str, str], str] | None = None
    """(agent, its text so far) -> the world with that text played, shown for a line `?`"""
    _typed: list[str] = field(default_factory=list)
    """lines that were pasted and not read yet"""

    end = "."

    @property
    def name(self) -> str:
        """`human`, or `human:blind`."""
        return "human:blind" if self.blind else "human"

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """Shows each prompt and reads lines up to one that holds a single dot, or the end of input.

        A line `?` shows the preview, and `!last` stands for all lines of the agent's text of the turn before.
        Raises RuntimeError where the input ends before anything was typed: nobody is there.
        """
        if sys.stdin is not None and sys.stdin.isatty():
            with suppress(ImportError):  # arrow keys and a history; Windows has none of it
                importlib.import_module("readline")
        return [Reply(self._ask(seat)) for seat in seats]

    def _ask(self, seat: Seat) -> str:
        columns = max(1, shutil.get_terminal_size().columns)
        keys = f"end with a line that holds only {self.end!r}"
        keys += "; ? shows the world so far" * (self.preview is not None)
        keys += "; !last repeats your last text" * (len(seat.history) > 1)
        print(f"\n--- {seat.agent} reads ---\n{wrapped(plain(seat.history[-1]), columns)}")
        print(wrapped(f"--- {seat.agent} writes; {keys} ---", columns))
        lines: list[str] = []
        written = seat.history[1::2]
        while True:
            line = self._line()
            if line is None and not lines:
                raise RuntimeError(f"human: the input ended before {seat.agent} wrote a line")
            if line is None or line == self.end:
                return "\n".join(lines)
            if line == "?":
                print(self.preview(seat.agent, "\n".join(lines)) if self.preview else "no preview here")
            elif line == "!last" and not written:
                print("nothing to repeat: this is the first text")
            elif line == "!last":
                print(plain(written[-1]))
                lines += written[-1].split("\n")
            else:
                lines.append(line)

    def _line(self) -> str | None:
        """The next line that was typed or pasted; None at the end of the input."""
        if not self._typed:
            try:
                self._typed += _KEYS.sub("", input()).split("\n")
            except EOFError:
                return None
        return self._typed.pop(0)


def _digest(history: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(history).encode()).hexdigest()


def _human(option: str) -> Policy:
    if option not in ("", "blind"):
        raise ValueError(f"policy 'human' takes nothing after it but 'blind', got {option!r}")
    return Human(blind=option == "blind")
