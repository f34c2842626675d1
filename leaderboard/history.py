"""What happened to entries, in a file that only grows: `history.jsonl`.

Each line carries the sha256 of the line before it, so that a line taken out or changed shows.
A verification counts for the very bytes it saw: an entry changed later is self-reported again.
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
    entry: str
    """list/name"""
    status: Status
    digest: str
    """sha256 of the entry.json it was said of"""
    date: str
    note: str
    """the reason, or what was seen"""
    previous: str = FIRST
    """sha256 of the line before"""


def read(path: Path) -> list[Event]:
    """Every event; ValueError that names the line where the chain is broken."""
    found, previous = [], FIRST
    if not path.exists():
        return found
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
        found.append(event)
    return found


def append(path: Path, event: Event) -> None:
    """Add an event after the last one."""
    read(path)
    lines = _lines(path) if path.exists() else []
    previous = _digest(lines[-1]) if lines else FIRST
    line = json.dumps({**asdict(event), "previous": previous}, ensure_ascii=False)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")


def current(events: Sequence[Event], entry: str, digest: str) -> tuple[Status, str]:
    """(status, note) of an entry as it is now.  Withdrawn holds for any bytes, the others for these only."""
    for event in reversed(events):
        if event.entry == entry and (event.digest == digest or event.status == "withdrawn"):
            return event.status, event.note
    return "self-reported", ""


def _lines(path: Path) -> list[str]:
    """Of the file; not `splitlines`, which also parts a note at a U+2028 in it."""
    return path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")


def _digest(line: str) -> str:
    return sha256(line.encode()).hexdigest()
