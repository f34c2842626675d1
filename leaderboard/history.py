"""The append-only log of changes of entries' status: `history.jsonl`.

Each line contains the sha256 of the line before, so that a removed or changed line is detected.
A verification is valid for the bytes it was made of: an entry changed later is self-reported again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Literal, get_args

Status = Literal["self-reported", "replay-verified", "reproduced", "withdrawn"]
FIRST = "0" * 64


@dataclass(frozen=True)
class Event:
    """A line of the log: an entry gets a status."""

    entry: str
    """list/name"""
    status: Status
    digest: str
    """sha256 of the entry.json that the status is of"""
    date: str
    note: str
    """the reason, or the findings"""
    previous: str = FIRST
    """sha256 of the line before"""


def read(path: Path) -> list[Event]:
    """All events.  Raises ValueError that names the line where the chain of hashes is broken."""
    events, previous = [], FIRST
    if not path.exists():
        return events
    for number, line in enumerate(_lines(path), start=1):
        try:
            event = Event(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}:{number}: no event ({error})") from error
        if event.status not in get_args(Status):
            raise ValueError(f"{path}:{number}: unknown status {event.status!r}")
        if event.previous != previous:
            raise ValueError(f"{path}:{number}: the line before was changed or taken out")
        previous = _digest(line)
        events.append(event)
    return events


def append(path: Path, event: Event) -> None:
    """Add an event after the last one."""
    read(path)
    lines = _lines(path) if path.exists() else []
    previous = _digest(lines[-1]) if lines else FIRST
    line = json.dumps({**asdict(event), "previous": previous}, ensure_ascii=False)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")


def current(events: Sequence[Event], entry: str, digest: str) -> tuple[Status, str]:
    """(status, note) of an entry with this digest.  Withdrawn is valid for any digest of the entry."""
    for event in reversed(events):
        if event.entry == entry and (event.digest == digest or event.status == "withdrawn"):
            return event.status, event.note
    return "self-reported", ""


def _lines(path: Path) -> list[str]:
    """The lines of the file; not by `splitlines`, which also splits a note at a U+2028."""
    return path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")


def _digest(line: str) -> str:
    return sha256(line.encode()).hexdigest()
