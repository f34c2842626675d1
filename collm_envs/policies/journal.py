"""Replies that were paid for, kept so that none is asked for twice."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

from collm_envs.env import mend
from collm_envs.files import read_lines, saving
from collm_envs.policies.seat import Reply, Seat


@runtime_checkable
class Paid(Protocol):
    """A policy whose replies arrive one by one and cost money: each is written down as it comes."""

    @property
    def name(self) -> str: ...

    def act_each(self, seats: Sequence[Seat], heard: Callable[[Seat, Reply], None]) -> list[Reply]: ...


def mended(said: Any) -> Any:
    """What a policy said of a reply, plain data, with every text in it as `TextEnv.step` would play it."""
    if isinstance(said, Mapping):
        return {mended(key): mended(value) for key, value in said.items()}
    if isinstance(said, (list, tuple)):
        return [mended(value) for value in said]
    return mend("usage", "a policy", said)[0] if isinstance(said, str) else said


class Journal:
    """Replies that were paid for, by what they answer; in a file, so that a kill loses none."""

    def __init__(self, path: Path, file: TextIO):
        self._file, self._lock = file, threading.Lock()
        self._replies: dict[str, Reply] = {}
        for key, text, usage in read_lines(path):
            self._replies[key] = Reply(text, usage)

    def find(self, name: str, seat: Seat) -> Reply | None:
        return self._replies.get(_key(name, seat))

    def add(self, name: str, seat: Seat, reply: Reply) -> None:
        """Called from many threads.  Errors are not kept: they are worth another try."""
        if not reply.error:
            line = json.dumps([_key(name, seat), reply.text, dict(reply.usage)]) + "\n"
            with self._lock, saving(self._file.name, "the same command goes on and pays for no reply twice"):
                self._file.write(line)
                self._file.flush()


def _key(name: str, seat: Seat) -> str:
    return hashlib.sha256(json.dumps([name, seat.agent, seat.seed, seat.history]).encode()).hexdigest()
