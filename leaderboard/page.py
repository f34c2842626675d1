"""The page of one entry: numbers, curves, sample episodes, and how it was made and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from collm_envs.evaluation.headline import score_of
from collm_envs.pages.episode import page
from collm_envs.pages.episodes import episodes_page
from collm_envs.pages.markup import document, escape, number
from collm_envs.pages.report import chart, code, prose, section, spread, table
from collm_envs.record import Record, reward_range, scenes
from leaderboard import history
from leaderboard.bundle import open_bundle, records
from leaderboard.entry import Entry
from leaderboard.lists import LISTS, PAIRS, jobs
from leaderboard.submit import how_to_play
from leaderboard.verify import check_header, environment

SAMPLE = 4
"""episodes of an entry that are shown: of the first trial, spread evenly over the list, whatever they earn"""
CAVEAT = (
    "Replay proves the score, not who wrote the text. `replay-verified` means that every text was played "
    "again and earned what is claimed; `reproduced`, that the maintainers ran the models themselves; "
    "`self-reported`, neither. Tokens are always as reported. Time is no column, for it measures the machine."
)


class BoardRow(NamedTuple):
    """An entry with its status and the note of its last event, and the folder it lies in."""

    entry: Entry
    status: str
    note: str
    path: Path


def write_entry(row: BoardRow, events: Sequence[history.Event], folder: Path) -> None:
    """The pages of an entry in `folder`: index.html, episodes.html, 1.html, 2.html, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    sample = sampled(row)
    links = [f"{k}.html" for k in range(1, len(sample) + 1)]
    for link, record in zip(links, sample, strict=True):
        (folder / link).write_text(
            page(asdict(record), scenes(record), reward_range(record)), encoding="utf-8"
        )
    listed = episodes_page(
        [asdict(record) for record in sample], links, title=f"Episodes of {row.entry.name}"
    )
    (folder / "episodes.html").write_text(listed, encoding="utf-8")
    (folder / "index.html").write_text(_entry_page(row, events, sample, links), encoding="utf-8")


def sampled(row: BoardRow) -> list[Record]:
    """The records of the sample episodes, which are the same for every entry of a list.

    Raises NotAccepted for a record of another environment than the list's (drawing would make it).
    """
    env = environment(row.entry)
    pairs = jobs(row.entry.list)[:PAIRS]
    chosen = [pairs[k * (PAIRS - 1) // (SAMPLE - 1)] for k in range(SAMPLE)]
    by_pair = {}
    for where, record in records(open_bundle(row.path), "run-0.jsonl.gz"):
        if record.trial == 0:
            check_header(where, record, env, record.agents)
            by_pair[record.item, record.seed] = record
    return [by_pair[job.item, job.seed] for job in chosen]


def _entry_page(
    row: BoardRow, events: Sequence[history.Event], sample: Sequence[Record], links: list[str]
) -> str:
    entry = row.entry
    about = f"{entry.env} · {LISTS[entry.list].about} · {entry.date}"
    status = f"{row.status}: {row.note}" if row.note else row.status
    parts = [
        f'<header><p class="eyebrow">{escape(about)}</p><h1>{escape(entry.name)}</h1></header>',
        f'<p>{escape(status)}</p><p><a href="../../index.html#{entry.list}">back to the board</a></p>',
        section("Score", _claim(entry), note=f"95 % interval over {over(entry)}"),
        *([section("Learning", _learning(entry), note="as the submitter says")] if entry.curves else []),
        section("Episodes", _episodes(sample, links), prose(_SAMPLE_NOTE)),
        section("How it was made", table(("as the submitter says", ""), _facts(entry)), code(entry.command)),
        section("How it is checked", code(_check(entry)), prose(CAVEAT)),
        section("History", table(("date", "status", "note"), _past(entry, events))),
    ]
    return document(f"{entry.name} · {entry.list}", "".join(parts))


_SAMPLE_NOTE = (
    f"{SAMPLE} of the {PAIRS} pairs, spread evenly over the list and the same for every entry, first trial."
)


def over(entry: Entry) -> str:
    """The units that the entry's confidence interval is computed over, in words."""
    if len(entry.runs) > 1:
        return f"{len(entry.runs)} seeds"
    return f"{PAIRS} pairs, 1 seed" if entry.kind == "trained" else f"{PAIRS} pairs"


def _claim(entry: Entry) -> str:
    rows = [
        (name.replace("_", " "), summary["mean"], summary["low"], summary["high"], summary["iqm"])
        for name, summary in entry.claim.items()
    ]
    return table(("measure", "mean", "low", "high", "IQM"), rows)


def _learning(entry: Entry) -> str:
    """The chart of returns in evaluations during training."""
    runs = [dict(curve) for curve in entry.curves]
    steps = sorted(set(runs[0]).intersection(*runs[1:]))
    curve = spread(entry.method, steps, [[run[step] for step in steps] for run in runs])
    return chart([curve], "optimizer steps", "return", caption=_BAND)


_BAND = "evaluations while it was trained: mean of the seeds, band from the least to the most"


def _episodes(sample: Sequence[Record], links: Sequence[str]) -> str:
    items = "".join(
        f'<li><a href="{link}">{escape(record.item)}, seed {record.seed}</a> '
        f'<span class="quiet">score {number(score_of(record.turns))}</span></li>'
        for record, link in zip(sample, links, strict=True)
    )
    return f'<ul class="sample">{items}</ul><p><a href="episodes.html">as a table</a></p>'


def _facts(entry: Entry) -> list[tuple[str, str]]:
    facts = {
        "kind": entry.kind,
        "method": entry.method,
        "agents": str(entry.agents),
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
