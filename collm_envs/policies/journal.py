"""A journal of paid replies, so that none is requested twice.

    with open_journal(folder / "calls.jsonl") as journal:
        replies = journal.ask(policy, seats)          # the same call after a kill asks for what is missing

One JSON line a reply: {"call": digest of what was asked, "who": agent, "model": policy, "answer": text,
"usage": {...}}, with `messages` the history that was answered too.  Keys of endpoints never come here: the
client (policies/openai.py) keeps them to one header and blots them out of what comes back.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO, runtime_checkable

from collm_envs.env import mend
from collm_envs.files import appending, read_lines, saving
from collm_envs.policies.seat import Reply, Seat


@runtime_checkable
class Paid(Protocol):
    """A policy whose replies arrive one by one and cost money: each is written down as it comes."""

    @property
    def name(self) -> str: ...

    def act_each(self, seats: Sequence[Seat], notify: Callable[[Seat, Reply], None]) -> list[Reply]: ...


def mended(usage: Any) -> Any:
    """A reply's usage as plain data, every text in it cleaned as `TextEnv.step` cleans texts."""
    if isinstance(usage, Mapping):
        return {mended(key): mended(value) for key, value in usage.items()}
    if isinstance(usage, (list, tuple)):
        return [mended(value) for value in usage]
    return mend("usage", "a policy", usage)[0] if isinstance(usage, str) else usage


class Journal:
    """Replies by the request they answer, and notes, in one file that survives a kill; see `open_journal`."""

    def __init__(self, path: Path, file: TextIO, *, messages: bool = False):
        self._file, self._lock, self._messages = file, threading.Lock(), messages
        self._replies: dict[str, Reply] = {}
        self._notes: set[str] = set()
        for entry in read_lines(path):
            if not isinstance(entry, dict):
                raise ValueError(f"{path}: need a JSON object on each line, got {type(entry).__name__}")
            if "answer" in entry:
                self._replies[entry["call"]] = Reply(entry["answer"], entry.get("usage", {}))
            else:
                self._notes.add(_digest(entry))

    @property
    def answered(self) -> bool:
        """Whether the journal holds any reply."""
        return bool(self._replies)

    def ask(self, policy: Paid, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order; the policy is asked for those alone that are not here.

        A reply with an error is not kept: it is worth another try.
        """
        stored = [self._replies.get(_key(policy, seat)) for seat in seats]
        missing = [seat for seat, reply in zip(seats, stored, strict=True) if reply is None]
        keep = partial(self._keep, policy)
        new = iter(policy.act_each(missing, keep) if missing else ())
        return [next(new) if reply is None else reply for reply in stored]

    def note(self, **entry: Any) -> None:
        """Append an entry that is not a reply (it has no `answer`), unless the journal holds it already."""
        if (digest := _digest(entry)) not in self._notes:
            self._write(entry)
            self._notes.add(digest)

    def _keep(self, policy: Paid, seat: Seat, reply: Reply) -> None:
        """Called from many threads."""
        if not reply.error:
            entry: dict[str, Any] = {"call": _key(policy, seat), "who": seat.agent, "model": policy.name}
            if self._messages:
                entry["messages"] = list(seat.history)
            self._write({**entry, "answer": reply.text, "usage": dict(reply.usage)})
            self._replies[entry["call"]] = reply

    def _write(self, entry: Mapping[str, Any]) -> None:
        with self._lock, saving(self._file.name, "the same command goes on and pays for no reply twice"):
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


@contextmanager
def open_journal(path: Path, *, messages: bool = False) -> Iterator[Journal]:
    """The journal in the file at `path`, which is made where it is missing, its folder too.

    Raises ValueError, which names file and line, for a damaged one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with appending(path) as file:
        yield Journal(path, file, messages=messages)


class Remembered:
    """A policy that is paid for, asked through a journal: what it has answered once is not asked again."""

    def __init__(self, policy: Paid, journal: Journal):
        self.name, self._policy, self._journal = policy.name, policy, journal

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order."""
        return self._journal.ask(self._policy, seats)


def _key(policy: Paid, seat: Seat) -> str:
    return _digest([policy.name, seat.agent, seat.seed, seat.history])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]
