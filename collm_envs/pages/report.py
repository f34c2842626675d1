"""A report as one self-contained HTML file, composed of sections.

    report(title, [section, ...], about="") -> str         the whole page
    section(heading, *parts, note="") -> str               a heading over parts made by these:

    prose(text) -> str                                     paragraphs; `code` between backticks
    code(text) -> str                                      a block to copy, e.g. a command line
    table(columns, rows, caption="") -> str                cells are str, numbers or None
    chart(series, x_label, y_label, levels=None, caption="") -> str
                                                           learning curves, see `Curve` and `spread`
    side_by_side(*parts) -> str                            parts in columns if the screen is wide enough
    folded(title, part) -> str                             a part that is shown when it is opened
    episode(title, page) -> str                            a page of `pages.episode.page`, folded
    compared(records, titles) -> str                       texts of the same item in several records

    Curve(name, x, mean, low=(), high=())                  a line and its band
    spread(name, x, runs) -> Curve                         mean of several seeds, band from min to max

String arguments are text and are escaped; return values are HTML, to be passed to each other only.
Nothing is fetched, and only the episodes use JavaScript.

    curves = [spread("CoLLM-CC", steps, [seed_0, seed_1, seed_2]), spread("MAGRPO", steps, [...])]
    html = report(
        "Two tiny models learn to build a word",
        [section("Learning", chart(curves, "optimizer steps", "return", {"expert": 8.0})),
         section("Episodes", episode("before", page(...)), episode("after", page(...)))],
    )
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from collm_envs.pages.chart import Curve, colour, curves, spread
from collm_envs.pages.lanes import lane
from collm_envs.pages.markup import aligned, document, escape, framed, number

__all__ = [
    "Curve",
    "chart",
    "code",
    "compared",
    "episode",
    "folded",
    "prose",
    "report",
    "section",
    "side_by_side",
    "spread",
    "table",
]
Cell = str | float | None


def report(title: str, sections: Sequence[str], about: str = "") -> str:
    """The HTML page.  `about` is a line of small print above the title."""
    head = f'<header><p class="eyebrow">{escape(about)}</p><h1>{escape(title)}</h1></header>'
    return document(title, head + "".join(sections))


def section(heading: str, *parts: str, note: str = "") -> str:
    """A heading with a note at its right, above the parts."""
    aside = f'<span class="quiet">{escape(note)}</span>' if note else ""
    return f"<section><header><h2>{escape(heading)}</h2>{aside}</header>{''.join(parts)}</section>"


def prose(text: str) -> str:
    """Paragraphs, separated by blank lines; text between backticks is set as code."""
    paragraphs = [escape(" ".join(part.split())) for part in re.split(r"\n\s*\n", text.strip())]
    marked = (re.sub(r"`([^`]+)`", r"<code>\1</code>", paragraph) for paragraph in paragraphs)
    return f'<div class="prose">{"".join(f"<p>{paragraph}</p>" for paragraph in marked)}</div>'


def code(text: str) -> str:
    """A block of text to copy, unchanged."""
    return f'<pre class="box" tabindex="0">{escape(text)}</pre>'


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str = "", digits: int = 3) -> str:
    """Rows of cells under their columns; the first cell names its row.

    A column of numbers is right-aligned with `digits` decimals; None is a dash.  A column may be called "": a
    screen reader then hears no header.  Raises ValueError for a
    row of another length.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"table: need {len(columns)} cells a row, got {len(row)}: {row}")
    formatted = [_column([row[k] for row in rows], digits) for k in range(len(columns))]
    head = "".join(
        f'<th scope="col"{_right(numeric)}>{escape(name)}</th>' if name else "<td></td>"
        for name, (numeric, _) in zip(columns, formatted, strict=True)
    )
    body = ""
    for k in range(len(rows)):
        (_, first), *others = formatted
        cells = "".join(f"<td{_right(numeric)}>{shown[k]}</td>" for numeric, shown in others)
        body += f'<tr><th scope="row">{first[k]}</th>{cells}</tr>'
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    scrolled = f'<div class="scroll" tabindex="0"><table>{inner}</table></div>'
    if not caption:
        return scrolled
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>{scrolled}</figure>"  # not cut on a narrow screen
    )


def chart(
    series: Sequence[Curve],
    x_label: str,
    y_label: str,
    levels: Mapping[str, float] | None = None,
    caption: str = "",
) -> str:
    """Learning curves with their bands; `levels` are dashed horizontal lines, by name."""
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure class="plot">{note}{curves(series, x_label, y_label, levels)}</figure>'


def side_by_side(*parts: str) -> str:
    """Parts in columns of equal width, one below the other on a narrow screen."""
    return f'<div class="pair">{"".join(f"<div>{part}</div>" for part in parts)}</div>'


def folded(title: str, part: str) -> str:
    """A part that is shown when it is opened."""
    return f'<details class="fold"><summary>{escape(title)}</summary>{part}</details>'


def episode(title: str, page: str) -> str:
    """A page, e.g. of `pages.episode.page`, folded under its title."""
    return framed(page, title)


def compared(records: Sequence[Mapping[str, Any]], titles: Sequence[str]) -> str:
    """What each agent wrote at the last turn of the same item's episodes, one column for each of `titles`.

    records: as plain JSON (`dataclasses.asdict`), all of one environment and item.
    """
    parts = []
    for k, agent in enumerate(records[0]["agents"]):
        lanes = []
        for record, title in zip(records, titles, strict=True):
            turn = record["turns"][-1]
            lanes.append(lane(turn, agent, f"{title}: reward {number(turn['reward'], 2)}", colour(k)))
        parts.append(side_by_side(*lanes))
    head = f"<h3>{escape(records[0]['item'])}</h3>"
    return head + "".join(parts)


def _column(cells: Sequence[Cell], digits: int) -> tuple[bool, list[str]]:
    """(whether all cells are numbers or None, the cells as HTML)."""
    present = [cell for cell in cells if cell is not None]
    numbers = [cell for cell in cells if not isinstance(cell, str)]
    if present and len(numbers) == len(cells):
        return True, aligned(numbers, digits)
    return False, ["–" if cell is None else escape(str(cell)) for cell in cells]


def _right(numeric: bool) -> str:
    return ' class="n"' if numeric else ""
