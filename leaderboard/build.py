"""Builds the site: an index with a table for each list, a page for each entry, and sample episodes.

Static files that fetch nothing.  Without JavaScript the tables are ordered by score and cannot be sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from collm_envs.pages.episodes import ListColumn, numbers_column, sortable, words_column
from collm_envs.pages.markup import document, escape, number
from collm_envs.pages.report import prose
from collm_envs.policies.seat import TOKENS
from leaderboard import history
from leaderboard.bundle import open_bundle
from leaderboard.entry import Entry, read_entry
from leaderboard.lists import LISTS, PAIRS, TRIALS
from leaderboard.page import CAVEAT, BoardRow, over, write_entry
from leaderboard.reported import METHODS, REPORTED

METRICS = {
    "StrBuild-v0": ("iou", "adj"),
    "HouseBuild-v0": ("iou",),
    "TLDR-v0": (),
    "ArXiv-v0": (),
    "CoopHE-v0": ("pass_rate", "call_rate"),
    "CoopHE-v1": ("pass_rate", "call_rate"),
}
"""{environment: measures of the paper's table that a row shows beside its score}"""


def build(entries: Path, out: Path) -> list[BoardRow]:
    """Write the site to `out` (created, files replaced) and return its rows, the best first."""
    events = history.read(entries.parent / "history.jsonl")
    rows = read_rows(entries, events)
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(_index(rows), encoding="utf-8")
    for row in rows:
        write_entry(row, events, out / row.entry.list / row.entry.name)
    return rows


def read_rows(entries: Path, events: Sequence[history.Event]) -> list[BoardRow]:
    """The rows of all entries in a folder of lists, the best first and withdrawn ones last."""
    rows = [_row(path, events) for path in find_entries(entries)]
    return sorted(rows, key=lambda row: (row.status == "withdrawn", -_mean(row.entry, "score")))


def find_entries(entries: Path) -> list[Path]:
    """The path of every entry under a folder of lists, ordered by name."""
    return sorted(path for name in LISTS if (entries / name).is_dir() for path in (entries / name).iterdir())


def _row(path: Path, events: Sequence[history.Event]) -> BoardRow:
    entry, raw = read_entry(open_bundle(path))
    if entry.id != f"{path.parent.name}/{path.name}":
        raise ValueError(f"{path} holds the entry {entry.id}, which belongs into a folder of that name")
    return BoardRow(entry, *history.current(events, entry.id, sha256(raw).hexdigest()), path)


def _index(rows: Sequence[BoardRow]) -> str:
    count = f"{len(rows)} entries · {PAIRS} pairs of item and seed, each played {TRIALS} times"
    parts = [f'<header><p class="eyebrow">{escape(count)}</p><h1>The board</h1></header>', prose(CAVEAT)]
    shown = [name for name in LISTS if LISTS[name].published or any(row.entry.list == name for row in rows)]
    links = " · ".join(f'<a href="#{name}">{escape(name)}</a>' for name in shown)
    parts.append(f"<nav>{links}</nav>")
    for name in shown:
        parts.append(_board(name, [row for row in rows if row.entry.list == name]))
    return document("collm leaderboard", "".join(parts), ("episodes.js",))


def _board(name: str, rows: Sequence[BoardRow]) -> str:
    listing = LISTS[name]
    body = sortable(_columns(rows, METRICS[listing.env]), least="score") if rows else prose(_NOBODY)
    if listing.published:
        body += f"<h3>Reported by the paper</h3>{prose(_PAPER_NOTE)}{_reported(listing.env)}"
    header = f'<header><h2>{escape(name)}</h2><span class="quiet">{escape(listing.about)}</span></header>'
    return f'<section id="{name}">{header}{body}</section>'


_NOBODY = "No entry yet."
_PAPER_NOTE = (
    "On the paper's own data, as shares of 1: to be read beside the table above, not as a part of it."
)


def _columns(rows: Sequence[BoardRow], metrics: Sequence[str]) -> list[ListColumn]:
    scores = [None if row.status == "withdrawn" else row.entry.claim["score"] for row in rows]
    links = [f'<a href="{escape(row.entry.id)}/index.html">{escape(row.entry.name)}</a>' for row in rows]
    return [
        ListColumn("entry", [(link, row.entry.name) for link, row in zip(links, rows, strict=True)]),
        numbers_column("score", [None if score is None else score["mean"] for score in scores]),
        ListColumn("95 % interval", [_between(score) for score in scores]),
        words_column("over", [over(row.entry) for row in rows]),
        numbers_column("IQM", [None if score is None else score["iqm"] for score in scores]),
        *(numbers_column(name, [_measure(row, name) for row in rows]) for name in metrics),
        words_column("status", [row.status for row in rows]),
        words_column("kind", [row.entry.kind for row in rows]),
        words_column("agents", [str(row.entry.agents) for row in rows]),
        words_column("method", [row.entry.method for row in rows]),
        *(
            numbers_column(name.replace("_", " "), tokens, 0)
            for name in TOKENS
            if any(tokens := [_measure(row, name) for row in rows])
        ),
        words_column("models", [", ".join(row.entry.models) or "none" for row in rows]),
    ]


def _between(score: dict[str, float | None] | None) -> tuple[str, float | None]:
    if score is None or score["low"] is None or score["high"] is None:
        return "–", None
    return f"{number(score['low'])} to {number(score['high'])}", score["low"]


def _measure(row: BoardRow, name: str) -> float | None:
    measure = row.entry.claim.get(name)
    return None if measure is None or row.status == "withdrawn" else measure["mean"]


def _mean(entry: Entry, name: str) -> float:
    value = entry.claim[name]["mean"]
    assert value is not None
    return value


def _reported(env: str) -> str:
    shown = [
        k for k in range(len(METHODS)) if any(reported.values[k] is not None for reported in REPORTED[env])
    ]
    columns = [
        ListColumn("method", [(METHODS[k][1], METHODS[k][1]) for k in shown]),
        ListColumn("agents", [(METHODS[k][0], METHODS[k][0]) for k in shown]),
        *(
            numbers_column(reported.measure, [_share(reported.values[k]) for k in shown])
            for reported in REPORTED[env]
        ),
        ListColumn("status", [("reported by the paper", "reported by the paper")] * len(shown)),
    ]
    return sortable(columns)


def _share(per_cent: float | None) -> float | None:
    """A per cent value as a share of 1, the unit of the entries' rows."""
    return None if per_cent is None else per_cent / 100
