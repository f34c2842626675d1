"""Builds the site: the board, a page for each entry, and sample episodes.

Static files that fetch nothing.  Without JavaScript the tables are ordered by score and cannot be sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from leaderboard import history
from leaderboard.board import index, mean
from leaderboard.bundle import open_bundle
from leaderboard.entry import read_entry
from leaderboard.lists import LISTS
from leaderboard.page import BoardRow, read_row, write_entry


def build(entries: Path, out: Path, docs: str = "") -> list[BoardRow]:
    """Write the site to `out` (created, files replaced) and return its rows, the best first.

    `docs` is the address of the documentation's folder as seen from `out`; "" leaves links to it out.
    """
    events = history.read(entries.parent / "history.jsonl")
    rows = read_rows(entries, events)
    out.mkdir(parents=True, exist_ok=True)
    date = max([*(event.date for event in events), *(row.entry.date for row in rows)], default="")
    (out / "index.html").write_text(index(rows, date, docs), encoding="utf-8")
    for row in rows:
        write_entry(row, events, out / row.entry.list / row.entry.name)
    return rows


def read_rows(entries: Path, events: Sequence[history.Event]) -> list[BoardRow]:
    """The rows of all entries in a folder of lists, the best first and withdrawn ones last."""
    rows = [_row(path, events) for path in find_entries(entries)]
    return sorted(rows, key=lambda row: (row.status == "withdrawn", -mean(row.entry)))


def find_entries(entries: Path) -> list[Path]:
    """The path of every entry under a folder of lists, ordered by name."""
    return sorted(path for name in LISTS if (entries / name).is_dir() for path in (entries / name).iterdir())


def _row(path: Path, events: Sequence[history.Event]) -> BoardRow:
    entry, raw = read_entry(open_bundle(path))
    if entry.id != f"{path.parent.name}/{path.name}":
        raise ValueError(f"{path} holds the entry {entry.id}, which belongs into a folder of that name")
    status, note = history.current(events, entry.id, sha256(raw).hexdigest())
    return read_row(path, entry, status, note)
