"""The page of one entry: numbers, curves, sample episodes, and how it was made and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from typing import NamedTuple

from collm_envs.evaluation.headline import score_of, score_range
from collm_envs.evaluation.meanings import Meaning, meaning
from collm_envs.pages.episode import definitions, page, trails
from collm_envs.pages.episodes import episodes_page
from collm_envs.pages.markup import document, escape, number
from collm_envs.pages.report import chart, code, prose, section, spread, table
from collm_envs.record import Record
from collm_envs.replay import reward_range, scenes
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
    "`self-reported`, neither. Tokens are always as reported. Time is no column, for it measures the "
    "machine. A warning says that texts do alike, no more: so do honest ones where there is one right "
    "answer, or after a warm start on the expert's play."
)


class BoardRow(NamedTuple):
    """An entry with what is shown of it."""

    entry: Entry
    status: str
    note: str
    """of its last event: how many episodes were verified, and warnings"""
    sample: Sequence[Record]
    """a few of its episodes"""
    scale: tuple[float, float]
    """least and largest score"""

    @property
    def warnings(self) -> str:
        """What `verify` points out, "" if nothing."""
        return "; ".join(self.note.split("; ")[1:]) if self.status == "replay-verified" else ""


def read_row(path: Path, entry: Entry, status: str, note: str) -> BoardRow:
    """The row of the entry in a folder.  Raises NotAccepted for records of another environment."""
    sample = sampled(path, entry)
    return BoardRow(entry, status, note, sample, score_range(sample[0].turns, reward_range(sample[0])))


def write_entry(row: BoardRow, events: Sequence[history.Event], folder: Path) -> None:
    """The pages of an entry in `folder`: index.html, episodes.html, 1.html, 2.html, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    links = [f"{k}.html" for k in range(1, len(row.sample) + 1)]
    above = [("the board", "../../index.html"), (row.entry.list, f"../../index.html#{row.entry.list}")]
    around = trails([*above, (row.entry.name, "index.html")], links)
    for link, record, trail in zip(links, row.sample, around, strict=True):
        (folder / link).write_text(
            page(asdict(record), scenes(record), reward_range(record), trail), encoding="utf-8"
        )
    listed = episodes_page(
        [asdict(record) for record in row.sample], links, title=f"Episodes of {row.entry.name}"
    )
    (folder / "episodes.html").write_text(listed, encoding="utf-8")
    (folder / "index.html").write_text(_entry_page(row, events, links), encoding="utf-8")


def sampled(path: Path, entry: Entry) -> list[Record]:
    """The records of the sample episodes, which are the same for every entry of a list.

    Raises NotAccepted for a record of another environment than the list's (drawing would make it).
    """
    env = environment(entry)
    pairs = jobs(entry.list)[:PAIRS]
    chosen = [pairs[k * (PAIRS - 1) // (SAMPLE - 1)] for k in range(SAMPLE)]
    by_pair = {}
    for where, record in records(open_bundle(path), "run-0.jsonl.gz"):
        if record.trial == 0:
            check_header(where, record, env, record.agents)
            by_pair[record.item, record.seed] = record
    return [by_pair[job.item, job.seed] for job in chosen]


def _entry_page(row: BoardRow, events: Sequence[history.Event], links: list[str]) -> str:
    entry = row.entry
    about = f"{entry.env} · {LISTS[entry.list].about} · {entry.date}"
    status = f"{row.status}: {row.note}" if row.note else row.status
    list_link = f'<a href="../../index.html#{entry.list}">{escape(entry.list)}</a>'
    trail = f'<a href="../../index.html">the board</a> › {list_link} › {escape(entry.name)}'
    parts = [
        f'<nav class="trail" aria-label="breadcrumb"><span>{trail}</span></nav>',
        f'<header><p class="eyebrow">{escape(about)}</p><h1>{escape(entry.name)}</h1></header>',
        f"<p>{escape(status)}</p>",
        *([prose(ALONE_NOTE)] if entry.agents == 1 else []),
        section("Score", _headline(row), _claim(entry), note=f"over {over(entry)}"),
        *([section("Learning", _learning(entry), note="as the submitter says")] if entry.curves else []),
        section("Episodes", _episodes(row.sample, links), prose(_SAMPLE_NOTE)),
        section(
            "How it was made", table(("the submitter says", "value"), _facts(entry)), code(entry.command)
        ),
        section("How it is checked", code(_check(entry)), prose(CAVEAT)),
        section("History", table(("date", "status", "note"), _past(entry, events))),
    ]
    return document(f"{entry.name} · {entry.list}", "".join(parts))


_SAMPLE_NOTE = (
    f"{SAMPLE} of the {PAIRS} pairs, spread evenly over the list and the same for every entry, first trial."
)
ALONE_NOTE = (
    "One agent did the work of all: no cooperation was needed, all tokens are its own, and nobody writes "
    "unseen by another. So it can score above every team, and says what a team has to beat."
)


def over(entry: Entry) -> str:
    """The units that the entry's mean is computed over, in words."""
    items = len({job.item for job in jobs(entry.list)})
    pairs = f"{items} items, {PAIRS} pairs"
    if len(entry.runs) > 1:
        return f"{len(entry.runs)} {runs_of(entry)}, {items} items"
    return f"{pairs}, 1 seed" if entry.kind == "trained" else pairs


def runs_of(entry: Entry) -> str:
    """What the runs of an entry of several are, in a word."""
    return "pairings" if LISTS[entry.list].mixed else "seeds"


def between(entry: Entry, name: str, scale: tuple[float, float]) -> tuple[float, float] | None:
    """The ends of the 95 % interval of a measure within its range; None where there is none to be had.

    Two training seeds have no interval: Student's t would stretch it beyond any use.
    """
    summary = entry.claim[name]
    low, high = summary["low"], summary["high"]
    if low is None or high is None or len(entry.runs) == 2:
        return None
    return max(low, scale[0]), min(high, scale[1])


def _headline(row: BoardRow) -> str:
    """The score with its maximum, and its interval or the score of each of two seeds."""
    entry, score = row.entry, row.entry.claim["score"]["mean"]
    assert score is not None
    ends = between(entry, "score", row.scale)
    text = f"score {number(score)} of {number(row.scale[1])}"
    if ends is not None:
        text += f", 95 % interval {number(ends[0])} to {number(ends[1])}"
    if len(entry.runs) == 2:
        text += f", {runs_of(entry)} {' and '.join(map(number, entry.score_by_run))}"
    return prose(text)


def _claim(entry: Entry) -> str:
    """The table of all measures with their definitions."""
    rows = []
    for name, summary in entry.claim.items():
        known_range = meaning(name) or Meaning("", -inf)
        low, high = between(entry, name, known_range[1:]) or (None, None)
        rows.append((name.replace("_", " "), summary["mean"], low, high, summary["iqm"]))
    return table(("measure", "mean", "low", "high", "IQM"), rows) + definitions(entry.claim)


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
