"""`collm report DIR...`: training runs and evaluations side by side, with the paper's numbers beside ours.

A DIR is a run of `collm train`, the folder of a `collm eval`, or a folder of such.  Written are a page with
learning curves and command lines (index.html), its tables as Markdown and LaTeX, and every measure of every
row as CSV.  What a row is, `baselines.cli.report_rows` says.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tyro.conf import Positional, arg

from baselines.cli.report_rows import ReportRow, collect
from baselines.cli.terminal import flags
from collm_envs.evaluation.retention import Outcome, retentions
from collm_envs.evaluation.stats import Summary, across
from collm_envs.pages.report import chart, code, prose, report, section, side_by_side, spread, table
from leaderboard.reported import METHODS, REPORTED

METRICS = {"IoU": "iou", "adjacency": "adj", "score": "score", "pass rate": "pass_rate"}
"""measure of the paper -> metric of ours, a share of 1"""
BY_METHOD: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    env: {
        METRICS[line.measure]: {
            method: value
            for (_, method), value in zip(METHODS, line.values, strict=True)
            if value is not None
        }
        for line in lines
    }
    for env, lines in REPORTED.items()
}
"""environment -> metric -> the paper's row -> percent"""
COSTS = {
    "seconds_parallel": ("s, at once", 3),
    "seconds_sequential": ("s, in turn", 3),
    "tokens_read": ("tokens read", 0),
    "tokens_written": ("tokens written", 0),
}
"""measure of an episode -> its column and decimals"""


@dataclass
class Report:
    """Set runs and evaluations side by side, beside the paper's numbers."""

    dirs: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR...")]
    """runs of collm train, folders of collm eval, or folders of such"""
    out: Path = Path("runs/report")
    """folder for index.html, tables.md, tables.tex and measures.csv"""
    title: str = "Runs side by side"
    """of the page"""


def main(args: Sequence[str]) -> None:
    settings = flags(Report, args, "collm report")
    if not settings.dirs:
        raise ValueError("which folders? collm report DIR...")
    rows = collect(settings.dirs, lambda why: print(f"left out: {why}", file=sys.stderr))
    settings.out.mkdir(parents=True, exist_ok=True)
    files = {"tables.md": markdown, "tables.tex": latex, "measures.csv": measures_csv}
    for name, write in files.items():
        (settings.out / name).write_text(write(rows), encoding="utf-8")
    (settings.out / "index.html").write_text(page(rows, settings.title), encoding="utf-8")
    print(f"{len(rows)} rows; page, Markdown, LaTeX and CSV: {settings.out / 'index.html'}")


def wide(env: str, rows: Sequence[ReportRow]) -> tuple[list[str], list[list[str]]]:
    """(columns, cells) of an environment's table: ours, the paper's in columns of their own, time and cost.

    The paper's rows that nobody has run yet stand below, with nothing but the paper's numbers.
    """
    reported = BY_METHOD.get(env, {})
    costs = [name for name in COSTS if any(name in row.numbers for row in rows)]
    columns = ["method", "over", "return", "IQM", "score"]
    kept = retentions([Outcome(env, r.kwargs, r.agents, r.name, r.numbers["return"].mean) for r in rows])
    if retained := any(share is not None for share in kept):
        columns.append("retention")
    for metric in reported:
        columns += [f"{metric} %", f"{metric} % in the paper"]
    columns += [COSTS[name][0] for name in costs]
    if differ := len({row.keywords for row in rows}) > 1:
        columns.append("keywords")
    cells = []
    for row, share in zip(rows, kept, strict=True):
        line = [row.name, row.units, _cell(row.numbers.get("return"), 3), f"{row.numbers['return'].iqm:.3f}"]
        line.append(_cell(row.numbers.get("score"), 3))
        line += ["" if share is None else f"{share:.2f}"] * retained
        for metric, values in reported.items():
            line += [_cell(row.numbers.get(metric), 1, 100), _percent(values.get(row.paper))]
        line += [_cell(row.numbers.get(name), COSTS[name][1]) for name in costs]
        cells.append(line + [row.keywords] * differ)
    for _, name in METHODS:
        if name not in {row.paper for row in rows} and any(name in values for values in reported.values()):
            line = [f"{name} (paper only)", "", "", "", "", *[""] * retained]
            for values in reported.values():
                line += ["", _percent(values.get(name))]
            cells.append(line + [""] * (len(columns) - len(line)))
    return columns, cells


def _cell(number: Summary | None, digits: int, times: float = 1) -> str:
    if number is None:
        return ""
    mean, low, high = (None if x is None else f"{x * times:.{digits}f}" for x in number[:3])
    return f"{mean}" if low is None else f"{mean} [{low}, {high}]"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _by_env(rows: Sequence[ReportRow]) -> dict[str, list[ReportRow]]:
    return {env: [row for row in rows if row.env == env] for env in dict.fromkeys(row.env for row in rows)}


def together(rows: Sequence[ReportRow]) -> tuple[list[str], list[list[str]]]:
    """(columns, cells) over all environments, of the methods that were run on each of them.

    A return counts from 0, the random player's on that environment and keywords, to 1, the expert's.
    An environment where both of them return the same is left out, and there are no rows where fewer than two
    have both players.
    """
    scales: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        if row.name in ("random", "expert"):
            scales.setdefault((row.env, row.keywords), {}).setdefault(row.name, row.returns[0])
    scales = {env_key: ends for env_key, ends in scales.items() if len({*ends.values()}) == 2}
    returns_by_method: dict[str, dict[tuple[str, str], np.ndarray]] = {}
    for row, name in zip(rows, _methods(rows), strict=True):
        if ends := scales.get(env_key := (row.env, row.keywords)):
            scaled = (np.array(row.returns) - ends["random"]) / (ends["expert"] - ends["random"])
            returns_by_method.setdefault(name, {})[env_key] = scaled
    cells = []
    for name, returns in returns_by_method.items():
        if len(returns) == len(scales) > 1:
            total = across([*returns.values()])
            between = "" if total.low is None else f" [{total.low:.3f}, {total.high:.3f}]"
            cells.append([name, f"{total.iqm:.3f}{between}", f"{total.mean:.3f}"])
    return ["method", "IQM", "mean"], sorted(cells, key=lambda line: -float(line[1].split()[0]))


def _methods(rows: Sequence[ReportRow]) -> list[str]:
    """The name of each row's method: the paper's, or its own where a place has several rows of that one.

    Rows of one name in one place are numbered from the second on.
    """
    alike = Counter((row.env, row.keywords, row.paper) for row in rows)
    several = {paper for (_, _, paper), n in alike.items() if n > 1}
    named: Counter[tuple[str, str, str]] = Counter()
    methods = []
    for row in rows:
        name = row.name if not row.paper or row.paper in several else row.paper
        named[row.env, row.keywords, name] += 1
        n = named[row.env, row.keywords, name]
        methods.append(name if n == 1 else f"{name} ({n})")
    return methods


NOTE = (
    "Score: reward of an episode's last turn, or the task's own measure from 0 to 1; return: sum of the "
    "rewards of all turns, of which the IQM is. "
    "Retention: the team's return over that of the same policy as one agent with all views and blocks. "
    "Mean and 95 % interval: over training seeds (Student's t below five of them, else a percentile "
    "bootstrap), or over pairs of item and episode seed where nothing was trained. IQM: interquartile mean. "
    "Columns in the paper: as reported by arXiv:2601.21972 with models of 1.7B to 4B parameters; "
    "not measured here, and to be compared only with rows on the published data and keywords."
)
TOGETHER = (
    "Returns scaled so that the random player is 0 and the expert 1. Interquartile mean over environments "
    "and seeds with a 95 % bootstrap stratified by environment (arXiv:2108.13264); none for a single run."
)


def markdown(rows: Sequence[ReportRow]) -> str:
    """The tables as Markdown."""
    parts = [f"## {env}\n\n{_pipes(*wide(env, env_rows))}" for env, env_rows in _by_env(rows).items()]
    parts.append(NOTE)
    columns, cells = together(rows)
    if cells:
        parts += [f"## All environments together\n\n{_pipes(columns, cells)}", TOGETHER]
    return "\n\n".join(parts) + "\n"


def _pipes(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *cells]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def latex(rows: Sequence[ReportRow]) -> str:
    """The tables as LaTeX tabulars, for no package."""
    escapes = str.maketrans(
        {**{c: f"\\{c}" for c in "&%$#_{}"}, "\\": r"\textbackslash{}"}
        | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    )
    parts = []
    for env, env_rows in _by_env(rows).items():
        columns, cells = wide(env, env_rows)
        lines = [" & ".join(cell.translate(escapes) for cell in line) + r" \\" for line in [columns, *cells]]
        body = "\n".join([lines[0], r"\hline", *lines[1:]])
        align = "ll" + "r" * (len(columns) - 2)
        parts.append(f"% {env}\n\\begin{{tabular}}{{{align}}}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}")
    return "\n\n".join([f"% {NOTE}", *parts]) + "\n"


def measures_csv(rows: Sequence[ReportRow]) -> str:
    """Every measure of every row, one a line, unscaled; the paper's number in percent."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = "env kwargs method over measure mean low high iqm paper_percent folders"
    writer.writerow(names.split())
    for row in rows:
        for measure, number in row.numbers.items():
            reported = BY_METHOD.get(row.env, {}).get(measure, {}).get(row.paper)
            where = " ".join(map(str, row.folders))
            writer.writerow(
                [
                    row.env,
                    json.dumps(dict(row.kwargs)),
                    row.name,
                    row.units,
                    measure,
                    *number,
                    reported,
                    where,
                ]
            )
    return file.getvalue()


def page(rows: Sequence[ReportRow], title: str) -> str:
    """The page: for each environment its table, learning curves and command lines."""
    parts = []
    for env, env_rows in _by_env(rows).items():
        columns, cells = wide(env, env_rows)
        commands = "\n\n".join(f"# {row.name}\n{row.command}" for row in env_rows)
        shown = table(columns, [[_kept_whole(cell) for cell in line] for line in cells])
        keyword_texts = {row.keywords for row in env_rows}
        note = keyword_texts.pop() if len(keyword_texts) == 1 else ""
        repeat = prose("To repeat these rows:"), code(commands)
        parts.append(section(env, shown, *_charts(env_rows), *repeat, note=note))
    parts.insert(0, prose(NOTE))
    columns, cells = together(rows)
    if cells:
        parts.append(section("All environments together", table(columns, cells), prose(TOGETHER)))
    return report(title, parts, about="collm report")


def _kept_whole(cell: str) -> str:
    """The same text that a narrow column breaks before brackets and after commas of words alone."""
    return re.sub(r"(?<=\d),? (?=-?\d+\.|seed|pair)", lambda gap: gap[0].replace(" ", "\u00a0"), cell)


def _charts(rows: Sequence[ReportRow]) -> list[str]:
    """Learning curves, one pair of charts for all runs on the same keywords: only their returns compare."""
    out = []
    for kwargs in dict.fromkeys(row.keywords for row in rows if row.curves):
        here = [row for row in rows if row.keywords == kwargs]
        alike = Counter(row.paper for row in here)
        short = {row.name: row.paper if row.paper and alike[row.paper] == 1 else row.name for row in here}
        levels = {short[row.name]: row.numbers["return"].mean for row in here if not row.curves}
        pair = []
        for kind in ("evaluation", "training"):
            curves = []
            for row in here:
                if row.curves:
                    seeds = [{line["step"]: line["return"] for line in lines} for lines in row.curves[kind]]
                    steps = sorted(set(seeds[0]).intersection(*seeds[1:]))
                    curves.append(spread(row.name, steps, [[seed[step] for step in steps] for seed in seeds]))
            caption = f"{kind}: mean of the seeds, band from the least to the most"
            pair.append(chart(curves, "optimizer steps", "return", levels, caption))
        out += [prose(f"Learning curves with `{kwargs}`:") if kwargs else "", side_by_side(*pair)]
    return out
