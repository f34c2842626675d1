"""The site: one page with a table for each list, one page for each entry, and a sample of its episodes.

Static files that fetch nothing.  Without JavaScript the tables are plain tables, in order of score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from collm_envs.record import Record, scenes
from collm_envs.render.episodes import Column, episodes_page, sortable
from collm_envs.render.markup import aligned, document, escape, number
from collm_envs.render.page import page
from collm_envs.render.report import code, prose, section, table
from leaderboard import history
from leaderboard.bundle import open_bundle, records
from leaderboard.entry import Entry, read_entry
from leaderboard.lists import LISTS, PAIRS, TRIALS, jobs
from leaderboard.paper import METHODS, PAPER
from leaderboard.submit import how_to_play

SAMPLE = 4
"""episodes shown of an entry: spread evenly over the list, first trial, chosen before anything was played"""
CAVEAT = (
    "Replay proves the score, not who wrote the text. `replay-verified` means that every text was played "
    "again and earned what is claimed; `reproduced`, that the maintainers ran the models themselves; "
    "`self-reported`, neither. Tokens are always as reported. Time is no column, for it measures the machine."
)
METRICS = {"StrBuild-v0": ("iou", "adj"), "HouseBuild-v0": ("iou",), "TLDR-v0": (), "ArXiv-v0": ()}
"""measures of the paper's table that a row shows beside its score"""


class Row(NamedTuple):
    entry: Entry
    status: str
    note: str
    path: Path


def build(entries: Path, out: Path) -> list[Row]:
    """Write the site to `out` (created, files replaced) and return its rows, the best first."""
    events = history.read(entries.parent / "history.jsonl")
    rows = [_row(path, events) for path in find_entries(entries)]
    rows.sort(key=lambda row: (row.status == "withdrawn", -_mean(row.entry, "score")))
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(_index(rows), encoding="utf-8")
    for row in rows:
        _write_entry(row, events, out / row.entry.list / row.entry.name)
    return rows


def find_entries(entries: Path) -> list[Path]:
    """Every entry under a folder of lists, in order of name."""
    return sorted(path for name in LISTS if (entries / name).is_dir() for path in (entries / name).iterdir())


def _row(path: Path, events: Sequence[history.Event]) -> Row:
    entry, raw = read_entry(open_bundle(path))
    if entry.id != f"{path.parent.name}/{path.name}":
        raise ValueError(f"{path} holds the entry {entry.id}, which belongs into a folder of that name")
    return Row(entry, *history.current(events, entry.id, sha256(raw).hexdigest()), path)


def _index(rows: Sequence[Row]) -> str:
    count = f"{len(rows)} entries · {PAIRS} pairs of item and seed, each played {TRIALS} times"
    parts = [f'<header><p class="eyebrow">{escape(count)}</p><h1>The board</h1></header>', prose(CAVEAT)]
    shown = [name for name in LISTS if any(row.entry.list == name for row in rows)]
    links = " · ".join(f'<a href="#{name}">{escape(name)}</a>' for name in shown)
    parts.append(f"<nav>{links}</nav>")
    for name in shown:
        parts.append(_board(name, [row for row in rows if row.entry.list == name]))
    return document("collm leaderboard", "".join(parts), ("episodes.js",))


def _board(name: str, rows: Sequence[Row]) -> str:
    listing = LISTS[name]
    body = sortable(_columns(rows, METRICS[listing.env]), least="score")
    if name in PAPER:
        body += f"<h3>Reported by the paper</h3>{prose(_PAPER_NOTE)}{_reported(name)}"
    header = f'<header><h2>{escape(name)}</h2><span class="quiet">{escape(listing.about)}</span></header>'
    return f'<section id="{name}">{header}{body}</section>'


_PAPER_NOTE = "In per cent, on the paper's own data: to be read beside the table above, not as a part of it."


def _columns(rows: Sequence[Row], metrics: Sequence[str]) -> list[Column]:
    scores = [None if row.status == "withdrawn" else row.entry.claim["score"] for row in rows]
    links = [f'<a href="{escape(row.entry.id)}/index.html">{escape(row.entry.name)}</a>' for row in rows]
    return [
        Column("entry", [(link, row.entry.name) for link, row in zip(links, rows, strict=True)]),
        _numbers("score", [None if score is None else score["mean"] for score in scores]),
        Column("95 % interval", [_between(score) for score in scores]),
        _numbers("IQM", [None if score is None else score["iqm"] for score in scores]),
        *(_numbers(name, [_measure(row, name) for row in rows]) for name in metrics),
        _words("status", [row.status for row in rows]),
        _words("kind", [row.entry.kind for row in rows]),
        _words("method", [row.entry.method for row in rows]),
        _words("models", [", ".join(row.entry.models) or "none" for row in rows]),
        _numbers("training seeds", [float(len(row.entry.seeds)) for row in rows]),
        _numbers("tokens read", [_measure(row, "tokens_read") for row in rows], 0),
        _numbers("tokens written", [_measure(row, "tokens_written") for row in rows], 0),
    ]


def _between(score: dict[str, float | None] | None) -> tuple[str, float | None]:
    if score is None or score["low"] is None or score["high"] is None:
        return "–", None
    return f"{number(score['low'])} to {number(score['high'])}", score["low"]


def _measure(row: Row, name: str) -> float | None:
    known = row.entry.claim.get(name)
    return None if known is None or row.status == "withdrawn" else known["mean"]


def _mean(entry: Entry, name: str) -> float:
    value = entry.claim[name]["mean"]
    assert value is not None
    return value


def _words(name: str, values: Sequence[str]) -> Column:
    return Column(name, [(escape(value), value) for value in values], filtered=True)


def _numbers(name: str, values: Sequence[float | None], digits: int = 3) -> Column:
    return Column(name, list(zip(aligned(values, digits), values, strict=True)), numeric=True)


def _reported(name: str) -> str:
    known = [k for k in range(len(METHODS)) if any(one.values[k] is not None for one in PAPER[name])]
    columns = [
        Column("method", [(METHODS[k][1], METHODS[k][1]) for k in known]),
        Column("agents", [(METHODS[k][0], METHODS[k][0]) for k in known]),
        *(_numbers(one.measure, [one.values[k] for k in known], 1) for one in PAPER[name]),
        Column("status", [("reported by the paper", "reported by the paper")] * len(known)),
    ]
    return sortable(columns)


def _write_entry(row: Row, events: Sequence[history.Event], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sample = sampled(row)
    links = [f"{k}.html" for k in range(1, len(sample) + 1)]
    for link, one in zip(links, sample, strict=True):
        (folder / link).write_text(page(asdict(one), scenes(one)), encoding="utf-8")
    listed = episodes_page([asdict(one) for one in sample], links, title=f"Episodes of {row.entry.name}")
    (folder / "episodes.html").write_text(listed, encoding="utf-8")
    (folder / "index.html").write_text(_entry_page(row, events, sample, links), encoding="utf-8")


def sampled(row: Row) -> list[Record]:
    """The episodes to show, the same ones for every entry of a list."""
    pairs = jobs(row.entry.list)[:PAIRS]
    wanted = [pairs[k * (PAIRS - 1) // (SAMPLE - 1)] for k in range(SAMPLE)]
    found = {}
    for _, one in records(open_bundle(row.path), "run-0.jsonl.gz"):
        if one.trial == 0:
            found[one.item, one.seed] = one
    return [found[job.item, job.seed] for job in wanted]


def _entry_page(row: Row, events: Sequence[history.Event], sample: Sequence[Record], links: list[str]) -> str:
    entry = row.entry
    about = f"{entry.env} · {LISTS[entry.list].about} · {entry.date}"
    status = f"{row.status}: {row.note}" if row.note else row.status
    parts = [
        f'<header><p class="eyebrow">{escape(about)}</p><h1>{escape(entry.name)}</h1></header>',
        f'<p>{escape(status)}</p><p><a href="../../index.html#{entry.list}">back to the board</a></p>',
        section("Score", _claim(entry), note=_unit(entry)),
        section("Episodes", _episodes(sample, links), prose(_SAMPLE_NOTE)),
        section("How it was made", table(("as the submitter says", ""), _facts(entry)), code(entry.command)),
        section("How it is checked", code(_check(entry)), prose(CAVEAT)),
        section("History", table(("date", "status", "note"), _past(entry, events))),
    ]
    return document(f"{entry.name} · {entry.list}", "".join(parts))


_SAMPLE_NOTE = (
    f"{SAMPLE} of the {PAIRS} pairs, spread evenly over the list and the same for every entry, first trial."
)


def _unit(entry: Entry) -> str:
    runs = len(entry.runs)
    return (
        f"95 % interval over {runs} training seeds"
        if runs > 1
        else f"95 % interval over {PAIRS} pairs, one run"
    )


def _claim(entry: Entry) -> str:
    rows = [
        (name.replace("_", " "), one["mean"], one["low"], one["high"], one["iqm"])
        for name, one in entry.claim.items()
    ]
    return table(("measure", "mean", "low", "high", "IQM"), rows)


def _episodes(sample: Sequence[Record], links: Sequence[str]) -> str:
    items = "".join(
        f'<li><a href="{link}">{escape(one.item)}, seed {one.seed}</a> '
        f'<span class="quiet">last reward {number(one.turns[-1]["reward"])}</span></li>'
        for one, link in zip(sample, links, strict=True)
    )
    return f'<ul class="sample">{items}</ul><p><a href="episodes.html">as a table</a></p>'


def _facts(entry: Entry) -> list[tuple[str, str]]:
    facts = {
        "kind": entry.kind,
        "method": entry.method,
        "models": ", ".join(entry.models),
        "training seeds": ", ".join(map(str, entry.seeds)),
        "score of each run": ", ".join(number(score) for score in entry.score_by_run),
        "tokens trained on": "" if entry.tokens is None else str(entry.tokens),
        "hardware": entry.hardware,
        "commit": entry.commit,
        "collm": entry.version,
        "content": entry.content_hash,
        "licence": entry.licence,
        "contact": entry.contact,
    }
    return [(name, value or "–") for name, value in facts.items()]


def _check(entry: Entry) -> str:
    verify = f"collm leaderboard verify leaderboard/entries/{entry.id}"
    return f"# the list is played by\n{how_to_play(entry.list)}\n# and the entry checked by\n{verify}"


def _past(entry: Entry, events: Sequence[history.Event]) -> list[tuple[str, str, str]]:
    return [(e.date, e.status, e.note or "–") for e in events if e.entry == entry.id] or [
        (entry.date, "self-reported", "–")
    ]
