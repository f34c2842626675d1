"""A list of episodes as one HTML page: a table to sort and filter, with a link to each episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.evaluation.headline import score_of
from collm_envs.pages.markup import aligned, document, escape, framed, number
from collm_envs.policies.names import short_name

Row = Mapping[str, Any]


class ListColumn(NamedTuple):
    """A column of a sortable table."""

    name: str
    cells: Sequence[tuple[str, str | float | None]]
    """for each row (HTML to show, value to sort and filter by); None for an unknown value"""
    numeric: bool = False
    filtered: bool = False
    """whether a menu filters by its values"""


def episodes_page(
    records: Sequence[Row], links: Sequence[str] = (), pages: Sequence[str] = (), title: str = "Episodes"
) -> str:
    """The HTML page with a table of these records.

    `links` are the addresses of their pages, one each; or `pages` are the pages themselves, which are then
    embedded in the list, folded.  Raises ValueError for another number of either.
    """
    for name, values in (("links", links), ("pages", pages)):
        if values and len(values) != len(records):
            raise ValueError(f"episodes_page: need {len(records)} {name}, got {len(values)}")
    hrefs = links or [f"#episode-{k}" for k in range(1, len(pages) + 1)]
    embedded = "".join(
        f'<div id="episode-{k}">{framed(page_html, _name(record, k))}</div>'
        for k, (record, page_html) in enumerate(zip(records, pages, strict=False), start=1)
    )
    body = f'<header><p class="eyebrow">{_about(records)}</p><h1>{escape(title)}</h1></header>'
    if len(alike := {_policies(record) for record in records}) == 1:
        body += f'<p class="quiet">played by {escape(alike.pop())}</p>'
    body += sortable(_columns(records, hrefs), least="return")
    body += f"<section>{embedded}</section>" if embedded else ""
    return document(title, body, ("episodes.js",))


def sortable(columns: Sequence[ListColumn], least: str = "") -> str:
    """An HTML table that `episodes.js` sorts and filters; `least` names a column with a lower bound."""
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
        f'<section class="list">{form}<div class="scroll" tabindex="0"><table class="sortable">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _n(column: ListColumn) -> str:
    return ' class="n"' if column.numeric else ""


def _cell(column: ListColumn, shown: str, value: str | float | None) -> str:
    return f'<td{_n(column)} data-v="{"" if value is None else escape(str(value))}">{shown}</td>'


def _menu(k: int, column: ListColumn) -> str:
    values = sorted({str(value) for _, value in column.cells if value is not None})
    if len(values) < 2:
        return ""
    options = "".join(f'<option value="{escape(v)}">{escape(v)}</option>' for v in values)
    return (
        f'<label>{escape(column.name)}<select data-column="{k}"><option value="">any</option>'
        f"{options}</select></label>"
    )


def _columns(records: Sequence[Row], hrefs: Sequence[str]) -> list[ListColumn]:
    items = [escape(record["item"]) for record in records]
    if hrefs:
        items = [f'<a href="{escape(href)}">{item}</a>' for href, item in zip(hrefs, items, strict=True)]
    rewards = [[turn["reward"] for turn in record["turns"]] for record in records]
    rejected = [_count_rejected(record) for record in records]
    ends = [record["turns"][-1]["metrics"] if record["turns"] else {} for record in records]
    names = list(dict.fromkeys(name for end in ends for name in [n for n in end if n != "score"][:3]))[:5]
    policies = [_policies(record) for record in records]
    return [
        ListColumn("item", [(html, record["item"]) for html, record in zip(items, records, strict=True)]),
        *(
            words_column(name, [r[key] for r in records])
            for name, key in _TOLD_APART
            if _several(records, key)
        ),
        numbers_column("seed", [record["seed"] for record in records]),
        numbers_column("turns", [len(episode_rewards) for episode_rewards in rewards]),
        ListColumn("reward by turn", _sparks(records, rewards)),
        numbers_column(
            "score", [score_of(record["turns"]) if record["turns"] else None for record in records]
        ),
        numbers_column("return", [sum(episode_rewards) for episode_rewards in rewards]),
        *(numbers_column(name.replace("_", " "), [end.get(name) for end in ends]) for name in names),
        numbers_column("rejected", rejected),
        numbers_column("seconds", [record["seconds"] for record in records], 1),
        *([words_column("policies", policies)] if len(set(policies)) > 1 else []),
        numbers_column("no.", range(1, len(records) + 1)),
    ]


_TOLD_APART = (("environment", "env"), ("split", "split"))
"""(column, key of a record): columns that are left out if all rows have the same value"""


def _several(records: Sequence[Row], key: str) -> bool:
    return len({record[key] for record in records}) > 1


def words_column(name: str, values: Sequence[str]) -> ListColumn:
    """A column of words, with a menu to filter by."""
    return ListColumn(name, [(escape(value), value) for value in values], filtered=True)


def numbers_column(name: str, values: Sequence[float | None], digits: int = 3) -> ListColumn:
    """A column of numbers, aligned at the point; None is an empty cell."""
    return ListColumn(name, list(zip(aligned(values, digits), values, strict=True)), numeric=True)


def _policies(record: Row) -> str:
    """The agents' policy if they share one, else all policies in order."""
    names = [short_name(name) for name in record["agents"].values()]
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def _count_rejected(record: Row) -> int:
    return sum(len(lines) for turn in record["turns"] for lines in turn["rejected"].values())


def _name(record: Row, k: int) -> str:
    total = number(sum(turn["reward"] for turn in record["turns"]))
    return f"{k}. {record['item']}, seed {record['seed']}, {_policies(record)}: return {total}"


def _about(records: Sequence[Row]) -> str:
    ids, splits = ({record[key] for record in records} for _, key in _TOLD_APART)
    return escape(" · ".join([f"{len(records)} episodes", *sorted(ids), *sorted(splits)]))


def _sparks(records: Sequence[Row], rewards: Sequence[Sequence[float]]) -> list[tuple[str, float | None]]:
    """A sparkline of each episode's rewards, on the same scale for all episodes of an environment."""
    spans: dict[str, list[float]] = {}
    for record, episode_rewards in zip(records, rewards, strict=True):
        spans.setdefault(record["env"], []).extend(episode_rewards)
    return [
        (_spark(episode_rewards, min(spans[record["env"]]), max(spans[record["env"]])), episode_rewards[-1])
        if episode_rewards
        else ("", None)
        for record, episode_rewards in zip(records, rewards, strict=True)
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
