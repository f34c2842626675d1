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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from baselines.cli import learned
from baselines.cli.report_diagnostics import diagnostics
from baselines.cli.report_rows import ReportRow, collect
from baselines.cli.report_tables import BY_METHOD, reported, together, wide
from baselines.cli.terminal import flags
from baselines.runs import remarks, samples
from collm_envs.pages.report import chart, code, folded, prose, report, section, side_by_side, spread, table


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
    count = f"{len(rows)} row{'s' * (len(rows) != 1)}"
    print(f"{count}; page, Markdown, LaTeX and CSV: {settings.out / 'index.html'}")


def _by_env(rows: Sequence[ReportRow]) -> dict[str, list[ReportRow]]:
    return {env: [row for row in rows if row.env == env] for env in dict.fromkeys(row.env for row in rows)}


NOTE = (
    "Score: reward of an episode's last turn, or the task's own measure from 0 to 1; return: sum of the "
    "rewards of all turns, of which the IQM is. "
    "Mean and 95 % interval: over training seeds (Student's t for three to ten of them, a percentile "
    "bootstrap from eleven on; of two both are shown), or over pairs of item and episode seed where nothing "
    "was trained. IQM: interquartile mean. Retention: return of a team over that of the same policy as one "
    "agent with all views and blocks."
)
PAPER = (
    "Reported by arXiv:2601.21972 with models of 1.7B to 4B parameters; not measured here, and to be "
    "compared only with rows on the published data and keywords."
)
TOGETHER = (
    "Returns scaled so that the random player is 0 and the expert 1. Interquartile mean over environments "
    "and seeds with a 95 % bootstrap stratified by environment (arXiv:2108.13264); none for a single run."
)


def markdown(rows: Sequence[ReportRow]) -> str:
    """The tables as Markdown."""
    by_env = _by_env(rows)
    parts = [f"## {env}\n\n{_pipes(*wide(env, env_rows))}" for env, env_rows in by_env.items()]
    parts.append(NOTE)
    columns, cells = together(rows)
    if cells:
        parts += [f"## All environments together\n\n{_pipes(columns, cells)}", TOGETHER]
    if papers := [f"### {env}\n\n{_pipes(*reported(env))}" for env in by_env if reported(env)[1]]:
        parts += ["## What the paper reports", PAPER, *papers]
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
        tables = {env: wide(env, env_rows), f"{env}, in the paper": reported(env)}
        for title, (columns, cells) in tables.items():
            if not cells:
                continue
            lines = [
                " & ".join(cell.translate(escapes) for cell in line) + r" \\" for line in [columns, *cells]
            ]
            body = "\n".join([lines[0], r"\hline", *lines[1:]])
            align = "ll" + "r" * (len(columns) - 2)
            tabular = f"\\begin{{tabular}}{{{align}}}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}"
            parts.append(f"% {title}\n{tabular}")
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
        repeat = folded("the commands that repeat these rows", code(commands))
        trained = [*_charts(env_rows), *diagnostics(env_rows), *_learned(env, env_rows)]
        parts.append(section(env, shown, *trained, repeat, note=note))
    parts.insert(0, prose(NOTE))
    columns, cells = together(rows)
    if cells:
        parts.append(section("All environments together", table(columns, cells), prose(TOGETHER)))
    papers = [table(*reported(env), caption=env) for env in _by_env(rows) if reported(env)[1]]
    if papers:
        parts.append(section("What the paper reports", prose(PAPER), *papers))
    return report(title, parts, about="collm report")


def _learned(env: str, rows: Sequence[ReportRow]) -> list[str]:
    """What the texts of an environment's runs hold, and texts of the same items before and after."""
    trained = [row for row in rows if row.curves]
    lines = [f"{row.name}: {line}" for row in trained for line in remarks.of_run(row.curves["training"][0])]
    runs = {row.name: row.curves["evaluation"] for row in trained}
    texts = {row.name: samples.read_samples(row.folders[0]) for row in trained}
    parts = learned.shown(env, runs, texts) if runs else []
    return [*([prose("\n\n".join(lines))] if lines else []), *parts]


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
