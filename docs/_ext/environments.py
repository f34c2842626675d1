"""The page of each environment: picture, numbers, rules, keywords, and what the board has of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import collm_envs
from collm_envs import catalogue
from collm_envs.keyword_docs import general_keywords, keyword_rows, keyword_table, markdown_table
from collm_envs.pages import svg
from collm_envs.pages.chart import reward_bars
from collm_envs.record import Record
from collm_envs.replay import scenes
from leaderboard.lists import LISTS
from leaderboard.page import BoardRow

YARDSTICK = "scripted"
PLAYER = "noisy"
"""the scripted player whose episode is drawn: neither perfect nor senseless"""


class Sample(NamedTuple):
    """The first sample episode of an entry."""

    row: BoardRow
    record: Record


def page(id: str, rows: Sequence[BoardRow]) -> str:
    """The page of an environment in Markdown; `rows` are those of the whole board."""
    env = collm_envs.make(id)
    own = [row for row in rows if row.entry.env == id and row.status != "withdrawn"]
    samples = [Sample(row, row.sample[0]) for row in own if row.entry.list == id and _is_yardstick(row)]
    parts = [f"# {id}", *_opening(id), _picture(samples)]
    parts.append(f"```python\nimport collm_envs\n\nenv = collm_envs.make({id!r})\n```")
    parts.append(markdown_table(("fact", "by default"), [*catalogue.facts(env), *catalogue.spaces(env)]))
    parts += _rules(id)
    parts += ["## Keywords", f"Of `collm_envs.make({id!r}, ...)`:", keyword_table(keyword_rows(id))]
    parts += ["Of every task of more than one agent:", keyword_table(general_keywords())]
    parts += ["## Scores", _scores(own)]
    where, prompt = catalogue.first_prompt(env)
    parts += ["## First prompt", f"{where[0].upper()}{where[1:]}:", f"````text\n{prompt}\n````"]
    return "\n\n".join(parts) + "\n"


def overview() -> str:
    """The table of all environments in Markdown."""
    rows = []
    for id, spec in collm_envs.registry.items():
        task = collm_envs.make(id).task
        low, high = task.reward_range
        numbers = [str(len(task.agents)), str(task.max_turns), f"{low:g} to {high:g}"]
        rows.append((f"[{id}]({id}.md)", spec.summary, *numbers))
    head = ("environment", "the agents", "agents", "turns", "reward of a turn")
    pages = "\n".join(collm_envs.registry)
    return (
        "# Environments\n\nAll are cooperative: the agents share one reward. "
        "`v0` is the published task, `v1` ours without its accidents.\n\n"
        f"{markdown_table(head, rows)}\n\n"
        '<a href="../catalogue.html">All rules on one page</a>, to keep or to print.\n\n'
        f"```{{toctree}}\n:hidden:\n\n{pages}\n```\n"
    )


def _opening(id: str) -> list[str]:
    """The docstring up to its first heading."""
    opening = []
    for block in catalogue.blocks(id):
        if block.heading:
            break
        opening.append(block.body)
    return opening


def _rules(id: str) -> list[str]:
    """The docstring from its first heading on, each heading a section."""
    parts: list[str] = []
    for block in catalogue.blocks(id):
        if block.heading:
            parts.append(f"## {block.heading}")
        if parts:
            parts.append(f"```text\n{block.body}\n```" if block.kind == "code" else block.body)
    return parts


def _picture(samples: Sequence[Sample]) -> str:
    """A drawing of a scripted episode: the world at its end, or all players' rewards where it has none."""
    links = " · ".join(f'<a href="../board/{row.entry.id}/1.html">{row.entry.name}</a>' for row, _ in samples)
    drawn = next((scenes(record)[-1] for row, record in samples if row.entry.name == PLAYER), None)
    if drawn and all(drawn.size):
        picture = f'<div class="world">{svg.world(drawn, f"what the {PLAYER} player built")}</div>'
        caption = f"What the scripted player {PLAYER} built. Missing cells are dashed, wrong ones crossed."
    else:
        turns = [record.turns[-1] for _, record in samples]
        bars = [row.entry.name for row, _ in samples]
        picture = reward_bars([t["reward"] for t in turns], [t["parts"] for t in turns], bars)
        caption = "The last turn of one episode of each scripted player: the parts of its reward."
    return f"<figure>{picture}<figcaption>{caption} Episodes to read: {links}</figcaption></figure>"


def _scores(rows: Sequence[BoardRow]) -> str:
    """The board's rows of the environment, list by list, yardsticks marked."""
    text = []
    for name in dict.fromkeys(row.entry.list for row in rows):
        shown = [row for row in rows if row.entry.list == name]
        lines = [
            (
                f'<a href="../board/{row.entry.id}/index.html">{row.entry.name}</a>',
                "yardstick" if _is_yardstick(row) else row.entry.method,
                str(row.entry.agents),
                f"{row.entry.claim['score']['mean']:.3f}",
            )
            for row in shown
        ]
        head = ("entry", "method", "agents", "score")
        text.append(f"`{name}`: {LISTS[name].about}.\n\n{markdown_table(head, lines)}")
    text.append(
        "A score is the mean over 64 pairs of item and seed, each played 4 times; an entry says what it is. "
        '<a href="../board/index.html">The board</a> has intervals, models and commands.'
    )
    return "\n\n".join(text)


def _is_yardstick(row: BoardRow) -> bool:
    return row.entry.kind == YARDSTICK
