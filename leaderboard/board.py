"""The first page of the board: what it is, how to submit, and for each environment a chart and its lists.

Scripted players are yardsticks and stand apart from the ranked entries of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import collm_envs
from collm_envs.evaluation.retention import Outcome, retentions
from collm_envs.pages.bars import Bar, bars
from collm_envs.pages.episodes import ListColumn, numbers_column, sortable, words_column
from collm_envs.pages.markup import document, escape, number
from collm_envs.pages.report import code, prose
from collm_envs.policies.seat import TOKENS
from leaderboard.entry import Entry
from leaderboard.lists import LISTS, PAIRS, TRIALS, same_team
from leaderboard.page import ALONE_NOTE, CAVEAT, BoardRow, between, over, runs_of
from leaderboard.reported import METHODS, REPORTED
from leaderboard.submit import how_to_play

METRICS = {
    "StrBuild-v0": ("iou", "adj"),
    "HouseBuild-v0": ("iou",),
    "CoopHE-v0": ("pass_rate", "call_rate"),
    "CoopHE-v1": ("pass_rate", "call_rate"),
    "StrBuild-v1": ("iou",),
    "HouseBuild-v1": ("iou", "survived"),
}
"""{environment: measures that a row shows beside its score}"""
YARDSTICK = "scripted"
WHAT = (
    "Scores of teams of language models in the text environments of `collm`. Agents of a team share one "
    f"reward. Every score here comes with all texts of all its episodes ({PAIRS} pairs of item and seed, "
    f"each played {TRIALS} times), and anybody can play them again."
)
KINDS = (
    "Kinds: `prompted` texts are written by models that were not trained on the task, `trained` ones by "
    "models that were, `scripted` ones by programs that may look at the solution. Scripted players are "
    "yardsticks: `expert` is what can be reached, `noisy` and `random` what little or no skill earns. They "
    "have no rank. Retention: a team's return over that of the same policy as one agent with all views and "
    "blocks, where the list has both."
)
HOW = """\
# play the list of an environment, make an entry of the folder (it is verified), then open a pull request
collm eval StrBuild-v0 --policy "openai:http://localhost:8000/v1#MODEL" --out runs/mine \\
    --episodes 64 --seeds 4
collm leaderboard submit runs/mine --name my-model --kind prompted --method parallel \\
    --models MODEL@REVISION --command "the eval command above" --licence CC-BY-4.0 --contact me@example.org"""
PAPER_NOTE = (
    "On the paper's own data, as shares of 1: to be read beside the tables above, not as a part of them."
)


def index(rows: Sequence[BoardRow], date: str, docs: str = "") -> str:
    """The page; `date` is that of the last change, `docs` the address of the documentation, "" without."""
    facts = [f"collm {collm_envs.__version__}", date, f"{len(rows)} entries"]
    about = " · ".join(filter(None, facts))
    shown = [name for name in LISTS if LISTS[name].published or _of(rows, name)]
    ids = list(dict.fromkeys(LISTS[name].env for name in shown))
    contents = " · ".join(f'<a href="#env-{id}">{escape(id)}</a>' for id in ids)
    guide = f'<p><a href="{docs}board.html">Rules and details</a></p>' if docs else ""
    parts = [
        f'<header><p class="eyebrow">{escape(about)}</p><h1>The board</h1></header>',
        prose(WHAT),
        prose(CAVEAT),
        prose(KINDS),
        f"<section><header><h2>Submit</h2></header>{code(HOW)}{guide}</section>",
        f"<nav>{contents}</nav>",
        *(_environment(id, [name for name in shown if LISTS[name].env == id], rows, docs) for id in ids),
    ]
    return document("The board of collm", "".join(parts), ("episodes.js",))


def _environment(id: str, names: Sequence[str], rows: Sequence[BoardRow], docs: str) -> str:
    """The section of an environment: a chart of its fullest list, then every list."""
    fullest = max(names, key=lambda name: len(_of(rows, name)))
    link = f' · <a href="{docs}environments/{id}.html">rules, keywords, reward</a>' if docs else ""
    summary = f'<span class="quiet">{escape(collm_envs.spec(id).summary)}{link}</span>'
    header = f'<header><h2 id="env-{id}">{escape(id)}</h2>{summary}</header>'
    lists = "".join(_list(name, rows) for name in names)
    return f"<section>{header}{_chart(fullest, _of(rows, fullest))}</section>{lists}"


def _chart(name: str, rows: Sequence[BoardRow]) -> str:
    counted = [row for row in rows if row.status != "withdrawn"]
    if not counted:
        return ""
    drawn = [
        Bar(
            row.entry.name,
            mean(row.entry),
            *(between(row.entry, "score", row.scale) or (None, None)),
            marked=_is_yardstick(row),
        )
        for row in counted
    ]
    most = number(counted[0].scale[1])
    return bars(drawn, f"{name}: score, at most {most}; yardsticks in grey, lines are 95 % intervals")


def _list(name: str, all_rows: Sequence[BoardRow]) -> str:
    rows, listing = _of(all_rows, name), LISTS[name]
    ranked = [row for row in rows if not _is_yardstick(row)]
    yardsticks = [row for row in rows if _is_yardstick(row)]
    kept = _retained(rows)
    self_play = {
        row.entry.name: _measure(row, "score") for row in _of(all_rows, same_team(name)) if listing.mixed
    }
    body = prose("No entry yet of a model.")
    if ranked:
        body = _table(ranked, listing.env, True, kept, self_play)
    if any(row.entry.agents == 1 for row in ranked):
        body += prose(f"Rows of one agent: {ALONE_NOTE}")
    if yardsticks:
        body += f"<h4>Yardsticks</h4>{_table(yardsticks, listing.env, False, kept)}"
    if listing.published:
        body += f"<h4>Reported by the paper</h4>{prose(PAPER_NOTE)}{_reported(listing.env)}"
    header = f'<header><h3>{escape(name)}</h3><span class="quiet">{escape(listing.about)}</span></header>'
    return f'<section id="{name}">{header}{body}{code(how_to_play(name))}</section>'


def _retained(rows: Sequence[BoardRow]) -> dict[str, float]:
    """{id of an entry: coordination retention} of teams of a list whose policy played alone too."""
    counted = [row.entry for row in rows if row.status != "withdrawn" and "return" in row.entry.claim]
    outcomes = [
        Outcome(entry.env, entry.kwargs, entry.agents, _policy(entry), entry.claim["return"]["mean"] or 0.0)
        for entry in counted
    ]
    shares = zip(counted, retentions(outcomes), strict=True)
    return {entry.id: share for entry, share in shares if share is not None}


def _policy(entry: Entry) -> str:
    return entry.name if entry.kind == YARDSTICK else f"{entry.method}:{', '.join(entry.models)}"


def _table(
    rows: Sequence[BoardRow],
    env: str,
    ranks: bool,
    kept: Mapping[str, float],
    self_play: Mapping[str, float | None] = MappingProxyType({}),
) -> str:
    """The rows of a list.  kept: retention by entry.  self_play: score by name, where teams are mixed."""
    links = [f'<a href="{escape(row.entry.id)}/index.html">{escape(row.entry.name)}</a>' for row in rows]
    counted = [k for k, row in enumerate(rows) if row.status != "withdrawn"]
    places = [counted.index(k) + 1 if k in counted else None for k in range(len(rows))]
    warned = [row.warnings for row in rows] if ranks else []
    tokens = {name: [_measure(row, name) for row in rows] for name in TOKENS}
    return sortable(
        [
            *([numbers_column("rank", places)] if ranks else []),
            ListColumn("entry", [(link, row.entry.name) for link, row in zip(links, rows, strict=True)]),
            numbers_column("score", [_measure(row, "score") for row in rows]),
            ListColumn("95 % interval", [_interval(row) for row in rows]),
            *(
                [numbers_column("self-play", [self_play.get(row.entry.name) for row in rows])]
                if self_play
                else []
            ),
            words_column("over", [over(row.entry) for row in rows]),
            *([numbers_column("retention", [kept.get(row.entry.id) for row in rows])] if kept else []),
            *(
                numbers_column(name.replace("_", " "), [_measure(row, name) for row in rows])
                for name in METRICS.get(env, ())
            ),
            words_column("status", [row.status for row in rows]),
            words_column("kind", [row.entry.kind for row in rows]),
            words_column("agents", [str(row.entry.agents) for row in rows]),
            words_column("method", [row.entry.method for row in rows]),
            *(
                numbers_column(name.replace("_", " "), values, 0)
                for name, values in tokens.items()
                if any(values)
            ),
            words_column("models", [", ".join(row.entry.models) or "none" for row in rows]),
            *([words_column("warnings of verify", [text or "–" for text in warned])] if any(warned) else []),
        ],
        least="score" if ranks else "",
    )


def _interval(row: BoardRow) -> tuple[str, float | None]:
    """The interval of the score; of two runs, both scores."""
    if row.status == "withdrawn":
        return "–", None
    if len(row.entry.runs) == 2:
        return f"{runs_of(row.entry)}: {' and '.join(map(number, row.entry.score_by_run))}", None
    ends = between(row.entry, "score", row.scale)
    return ("–", None) if ends is None else (f"{number(ends[0])} to {number(ends[1])}", ends[0])


def _measure(row: BoardRow, name: str) -> float | None:
    measure = row.entry.claim.get(name)
    return None if measure is None or row.status == "withdrawn" else measure["mean"]


def mean(entry: Entry) -> float:
    """The mean score of an entry."""
    value = entry.claim["score"]["mean"]
    assert value is not None
    return value


def _of(rows: Sequence[BoardRow], name: str) -> list[BoardRow]:
    return [row for row in rows if row.entry.list == name]


def _is_yardstick(row: BoardRow) -> bool:
    return row.entry.kind == YARDSTICK


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
