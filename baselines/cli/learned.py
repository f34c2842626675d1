"""What runs on writing tasks have learned, for pages: curves of what texts hold, texts before and after.

A curve of the return alone says nothing about what earned it: on TLDR-v0 and ArXiv-v0 connectives and
lengths do, whatever the source says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from collm_envs.pages.report import Curve, chart, compared, prose, side_by_side, spread
from collm_envs.record import Record

MEASURES: Mapping[str, Mapping[str, str]] = {
    "TLDR-v0": {"source_covered": "source covered", "source_copied": "source copied"},
    "ArXiv-v0": {"source_covered": "source covered", "source_copied": "source copied"},
    "TLDR-v1": {
        "brief_facts": "facts in the brief text",
        "detailed_facts": "facts in the detailed text",
        "detailed_grounded": "grounded (detailed)",
        "detailed_own_words": "own words (detailed)",
    },
}
"""environment of writing -> metric -> what a page calls it; in neither of v0 are these paid"""
Evaluations = Sequence[Mapping[str, Any]]
"""the lines of a run's eval.jsonl"""


def curves(env: str, runs: Mapping[str, Sequence[Evaluations]]) -> str:
    """Charts of `MEASURES` and of the share of texts cut at the limit; "" for other environments.

    runs: name of a curve -> the evaluations of its seeds.
    """
    if env not in MEASURES:
        return ""
    charts = []
    metrics = {f"metric/{key}": name for key, name in MEASURES[env].items()}
    for key, name in {**metrics, "cut": "texts cut at the limit"}.items():
        drawn = [_curve(label, key, seeds) for label, seeds in runs.items()]
        charts.append(chart(drawn, "optimizer steps", name))
    charts += [""] * (len(charts) % 2)  # a last chart alone is as wide as the others
    return "".join(side_by_side(*charts[k : k + 2]) for k in range(0, len(charts), 2))


def _curve(label: str, key: str, seeds: Sequence[Evaluations]) -> Curve:
    steps = sorted(set.intersection(*({line["step"] for line in lines} for lines in seeds)))
    values = [{line["step"]: _value(line, key) for line in lines} for lines in seeds]
    return spread(label, steps, [[run[step] for step in steps] for run in values])


def _value(line: Mapping[str, Any], key: str) -> float:
    return 1.0 - line["closed"] if key == "cut" else line[key]


def sentence(env: str, name: str, seeds: Sequence[Evaluations]) -> str:
    """What was learned, in numbers: means of the seeds before and after; "" for other environments."""
    if env not in MEASURES:
        return ""

    def mean(key: str, at: int) -> float:
        return sum(_value(lines[at], key) for lines in seeds) / len(seeds)

    parts = [
        f"{name} {mean(f'metric/{key}', 0):.2f} to {mean(f'metric/{key}', -1):.2f}"
        for key, name in MEASURES[env].items()
    ]
    earned = f"{name}: return {mean('return', 0):.2f} to {mean('return', -1):.2f}"
    cut = f"texts cut at the limit {mean('cut', 0):.0%} to {mean('cut', -1):.0%}"
    return f"{earned}; {', '.join(parts)}; {cut}."


def texts(samples: Mapping[int, Sequence[Record]], first: Sequence[Record] = (), items: int = 5) -> str:
    """The same items before the first step and after the last, side by side; "" where there are no two.

    `first`: episodes of the untrained model, where the run began with a warm start.
    """
    if len(samples) < 2:
        return ""
    columns = {f"step {step}": _by_item(samples[step]) for step in (min(samples), max(samples))}
    if first:
        columns = {"untrained": _by_item(first), **columns}
    shared = set.intersection(*(set(column) for column in columns.values()))
    keys = [key for key in columns[f"step {min(samples)}"] if key in shared]
    return "".join(
        compared([asdict(column[key]) for column in columns.values()], [*columns]) for key in keys[:items]
    )


def _by_item(records: Sequence[Record]) -> dict[tuple[str, int], Record]:
    return {(record.item, record.seed): record for record in records}


def shown(
    env: str,
    runs: Mapping[str, Sequence[Evaluations]],
    samples: Mapping[str, Mapping[int, Sequence[Record]]],
    first: Sequence[Record] = (),
) -> list[str]:
    """The parts of a page about these runs of one environment: measures, sentences, texts of each."""
    said = "\n\n".join(filter(None, (sentence(env, name, seeds) for name, seeds in runs.items())))
    parts = [curves(env, runs), prose(said) if said else ""]
    for name, steps in samples.items():
        if both := texts(steps, first):
            parts += [prose(f"What {name} wrote before and after, on the same items:"), both]
    return [part for part in parts if part]
