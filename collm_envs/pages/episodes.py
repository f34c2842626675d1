"""A list of episodes as one HTML page: a table to sort and filter, each row leading to its episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.evaluation.headline import score_of
from collm_envs.pages.markup import aligned, document, escape, framed, number

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column of a sortable table."""

    name: str
    cells: Sequence[tuple[str, str | float | None]]
    """for each row the HTML to show and the value to sort and filter by; None where it is not known"""
    numeric: bool = False
    filtered: bool = False
    """whether a menu of its values is offered"""


def episodes_page(
    records: Sequence[Row], links: Sequence[str] = (), pages: Sequence[str] = (), title: str = "Episodes"
) -> str:
    """The list of these records.

    `links` are the addresses of their pages, one each; or `pages` are the pages themselves, which are
    then carried inside the list, folded.  With neither the list stands alone.  Raises ValueError for
    another number of either.
    """
    for name, given in (("links", links), ("pages", pages)):
        if given and len(given) != len(records):
            raise ValueError(f"episodes_page: need {len(records)} {name}, got {len(given)}")
    hrefs = links or [f"#episode-{k}" for k in range(1, len(pages) + 1)]
    embedded = "".join(
        f'<div id="episode-{k}">{framed(one, _name(record, k))}</div>'
        for k, (record, one) in enumerate(zip(records, pages, strict=False), start=1)
    )
    body = f'<header><p class="eyebrow">{_about(records)}</p><h1>{escape(title)}</h1></header>'
    if len(alike := {_policies(record) for record in records}) == 1:
        body += f'<p class="quiet">played by {escape(alike.pop())}</p>'
    body += sortable(_columns(records, hrefs), least="return")
    body += f"<section>{embedded}</section>" if embedded else ""
    return document(title, body, ("episodes.js",))


def sortable(columns: Sequence[Column], least: str = "") -> str:
    """A table that `episodes.js` sorts, under its filters; `least` names a column with a lower bound."""
    menus = [_menu(k, column) for k, column in enumerate(columns) if column.filtered]
    bounds = [
        f'<label>least {escape(column.name)}<input type="number" step="any" data-least="{k}"></label>'
        for k, column in enumerate(columns)
        if column.name == least
    ]
    form = (
        '<form class="filters" hidden><label>search<input type="search" data-search="1"></label>'
        f'{"".join(menus)}{"".join(bounds)}<button type="reset">clear</button><output></output></form>'
    )
    head = "".join(
        f'<th scope="col" aria-sort="none"{_n(column)}>{escape(column.name)}</th>' for column in columns
    )
    count = max((len(column.cells) for column in columns), default=0)
    rows = "".join(
        f"<tr>{''.join(_cell(column, *column.cells[k]) for column in columns)}</tr>" for k in range(count)
    )
    return (
        f'<section class="list">{form}<div class="scroll"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _n(column: Column) -> str:
    return ' class="n"' if column.numeric else ""


def _cell(column: Column, shown: str, value: str | float | None) -> str:
    return f'<td{_n(column)} data-v="{"" if value is None else escape(str(value))}">{shown}</td>'


def _menu(k: int, column: Column) -> str:
    values = sorted({str(value) for _, value in column.cells if value is not None})
    if len(values) < 2:
        return ""
    options = "".join(f'<option value="{escape(v)}">{escape(v)}</option>' for v in values)
    return (
        f'<label>{escape(column.name)}<select data-column="{k}"><option value="">any</option>'
        f"{options}</select></label>"
    )


def _columns(records: Sequence[Row], hrefs: Sequence[str]) -> list[Column]:
    items = [escape(record["item"]) for record in records]
    if hrefs:
        items = [f'<a href="{escape(href)}">{item}</a>' for href, item in zip(hrefs, items, strict=True)]
    rewards = [[turn["reward"] for turn in record["turns"]] for record in records]
    rejected = [sum(len(r) for turn in one["turns"] for r in turn["rejected"].values()) for one in records]
    ends = [record["turns"][-1]["metrics"] if record["turns"] else {} for record in records]
    names = list(dict.fromkeys(name for end in ends for name in [n for n in end if n != "score"][:3]))[:5]
    policies = [_policies(record) for record in records]
    return [
        Column("item", [(html, record["item"]) for html, record in zip(items, records, strict=True)]),
        *(_words(name, [r[key] for r in records]) for name, key in _TOLD_APART if _several(records, key)),
        _numbers("seed", [record["seed"] for record in records]),
        _numbers("turns", [len(some) for some in rewards]),
        Column("reward by turn", _sparks(records, rewards)),
        _numbers("score", [score_of(record["turns"]) if record["turns"] else None for record in records]),
        _numbers("return", [sum(some) for some in rewards]),
        *(_numbers(name.replace("_", " "), [end.get(name) for end in ends]) for name in names),
        _numbers("rejected", rejected),
        _numbers("seconds", [record["seconds"] for record in records], 1),
        *([_words("policies", policies)] if len(set(policies)) > 1 else []),
        _numbers("no.", range(1, len(records) + 1)),
    ]


_TOLD_APART = (("environment", "env"), ("split", "split"))
"""columns that are left out where all rows are alike"""


def _several(records: Sequence[Row], key: str) -> bool:
    return len({record[key] for record in records}) > 1


def _words(name: str, values: Sequence[str]) -> Column:
    return Column(name, [(escape(value), value) for value in values], filtered=True)


def _numbers(name: str, values: Sequence[float | None], digits: int = 3) -> Column:
    return Column(name, list(zip(aligned(values, digits), values, strict=True)), numeric=True)


def _policies(record: Row) -> str:
    """One name if all agents have it, else all of them in order."""
    names = list(record["agents"].values())
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def _name(record: Row, k: int) -> str:
    total = number(sum(turn["reward"] for turn in record["turns"]))
    return f"{k}. {record['item']}, seed {record['seed']}, {_policies(record)}: return {total}"


def _about(records: Sequence[Row]) -> str:
    ids, splits = ({record[key] for record in records} for _, key in _TOLD_APART)
    return escape(" · ".join([f"{len(records)} episodes", *sorted(ids), *sorted(splits)]))


def _sparks(records: Sequence[Row], rewards: Sequence[Sequence[float]]) -> list[tuple[str, float | None]]:
    """A line through each episode's rewards, all of one environment to the same scale."""
    spans: dict[str, list[float]] = {}
    for record, some in zip(records, rewards, strict=True):
        spans.setdefault(record["env"], []).extend(some)
    return [
        (_spark(some, min(spans[record["env"]]), max(spans[record["env"]])), some[-1]) if some else ("", None)
        for record, some in zip(records, rewards, strict=True)
    ]


def _spark(rewards: Sequence[float], low: float, high: float) -> str:
    points = [
        (60 * t / max(1, len(rewards) - 1), 15 - 13 * (reward - low) / (high - low or 1.0))
        for t, reward in enumerate(rewards)
    ]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    x, y = points[-1]
    label = escape(", ".join(map(number, rewards)))
    return (
        f'<svg class="spark" viewBox="-2 0 66 17" role="img" aria-label="{label}"><path d="M{path}"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2"/></svg>'
    )
