"""The page of `collm crossplay`: a matrix of teams as picture and table, self-play against cross-play."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from collm_envs.evaluation.crossplay import MOST_SEATINGS, TeamResult
from collm_envs.evaluation.stats import Summary
from collm_envs.pages.matrix import matrix
from collm_envs.pages.report import prose, report, section, table


def crossplay_page(
    env: str,
    keywords: str,
    agents: Sequence[str],
    names: Sequence[str],
    cells: Sequence[Sequence[Summary]],
    by_team: Sequence[TeamResult],
    played: int,
) -> str:
    """The matrix as picture and table, and each team's self-play against its cross-play."""
    first = agents[0]
    others = "the other agent" if len(agents) == 2 else "the others"
    means = [[cell.mean for cell in row] for row in cells]
    columns = ["", *(str(k) for k in range(1, len(names) + 1))]
    rows = [
        [f"{k} {name}", *map(_interval, row)]
        for k, (name, row) in enumerate(zip(names, cells, strict=True), 1)
    ]
    text = (
        f"Mean return of {played} episodes a cell, the same items and seeds in all; 95 % intervals over the "
        f"pairs of item and seed. `{first}` is of the row's team, {others} of the column's. On the diagonal "
        "a team plays with itself."
    )
    if len(agents) > 2:
        text += (
            " Off it some of the others, not all, may be of the row's team too: every such seating is played."
        )
        text += f" Of more than {MOST_SEATINGS} seatings of a cell, {MOST_SEATINGS} were drawn."
    return report(
        "Partners one has not trained with",
        [
            section(
                env,
                prose(text),
                matrix(names, means, f"{first} of", f"{others} of", "mean return"),
                table(columns, rows),
                note=keywords,
            ),
            section("Self-play against cross-play", table(TEAM_COLUMNS, team_rows(names, by_team))),
        ],
        about="collm crossplay",
    )


TEAM_COLUMNS = ("team", "self-play", "cross-play", "gap")


def team_rows(names: Sequence[str], by_team: Sequence[TeamResult]) -> list[list[str]]:
    return [[name, *map(_interval, result)] for name, result in zip(names, by_team, strict=True)]


def _interval(cell: Summary) -> str:
    return f"{cell.mean:.3f}" if cell.low is None else f"{cell.mean:.3f} [{cell.low:.3f}, {cell.high:.3f}]"


def csv_text(names: Sequence[str], cells: Sequence[Sequence[Summary]]) -> str:
    """A line for each cell: who plays the first agent, who the others, mean and interval of the return."""
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(["first", "others", "mean", "low", "high"])
    for row, row_cells in zip(names, cells, strict=True):
        for column, cell in zip(names, row_cells, strict=True):
            lines.writerow([row, column, cell.mean, cell.low, cell.high])
    return file.getvalue()
