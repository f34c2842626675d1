"""Does a central critic beat Monte Carlo and decentral critics where episodes are long and rewards sparse?

    python studies/claim.py [--only games | CELL ...] [--runs N] [--jobs J]     what is missing, then the page
    python studies/claim.py --again CELL/METHOD/SEED                            a run again, beside its rows

*Question*: arXiv:2601.21972 says that a central critic (CoLLM-CC) beats Monte Carlo (MAGRPO) and decentral
critics (CoLLM-DC) where episodes are long or rewards sparse, and that all are alike where they are short and
dense.

*Tasks*: StrBuild-v0, words of one or two letters, terse prompts; an episode has 4 turns or one (8 can be
run), at each the word is built anew, and the prompt shows what one wrote before. Dense: a turn's reward is
paid at once. Final: all of an episode's reward is paid at its last turn (studies/claim_task.py), which leaves
the return what it is. HouseBuild-v1 and StrBuild-v1, terse prompts, where no agent sees all: a round of
messages, which earn nothing, before each turn of building, two of these and one, so that an episode has 4 and
2 turns; paid at its last. The anchor is a game with known answers, one-word texts (studies/claim_games.py).

*Policy*: the embedded model of 0.16 million parameters, one for each of two agents, which reads its newest
prompt alone on StrBuild-v0 (`self_contained`) and its history on the others; all runs of a task begin with
one warm start on noisy play, of two turns on StrBuild-v0.

*Methods*: CoLLM-CC with TD(0) and with GAE 0.9, CoLLM-DC with GAE 0.9 (critics are copies of the actor's
model, two passes a step), MAGRPO (one turn: groups of 8; more: the tree, groups of 2, on StrBuild-v1 of 4),
MA-REINFORCE with the leave-one-out baseline in groups of 8, counterfactual credit (C3: that baseline for what
follows a turn), and a method of ours, baselines/ridge.py, by itself and with other texts of an agent played
in place of its own. On StrBuild-v0 with turns paid at once also ridge with its turns replayed by silence; in
one turn, where TD(0) and GAE are the same, difference and Shapley's credit; at four turns with final rewards
a central critic that reads the newest turn alone, as the actors do. gamma is 1, since returns are not
discounted either; advantages of a step are normalised for each agent, for all methods.

*Equal*: the joint turns of a run, the same for all methods of a cell, and its learning rates: a whole run on
seed 100 with each of four actor's rates; the two with the larger area under their curves again on seeds 101
and 102; the larger mean of the three is the run's. No such seed is reported; the items are those that are.
Tuned for each task at several turns with final rewards, of which dense rewards and 8 turns of StrBuild-v0
take their rates, and in one turn on its own. Critics learn at 1e-3 in all of them. *Not equal*: a tree of
many turns is many joint turns, so that MAGRPO takes larger steps and fewer (a column of the tables; two at 8
turns, where it has no row); counterfactual credit and ridge with alternatives write four more texts for each
agent and turn, which no agent reads: they are in CPU seconds, and in tokens as many times those of the texts
that are played, on the page and not in the rows. *Seeds* 0 to 4.

*Measures*: returns on 64 held-out episodes, before, half-way and after; the area under that curve, by which
rates are chosen; the return at the fewest tokens and the fewest CPU seconds that a run of the cell had
(between two of the three measures by a straight line). Means with Student's t over seeds, from ten seeds on
with a bootstrap. P(better): the share of pairs of seeds in which a method ends above CoLLM-CC with GAE 0.9,
ties by half. One method is better where the whole interval of the difference is beyond a hundredth of the
best return, and both are alike where it is within; of twenty such intervals one is expected to err.

*Changed after a first look*: at first a trial was three eighths of a run on one seed. It chose rates that
broke longer runs of CoLLM-CC and MAGRPO, and the best rate was often the smallest; whole trials with smaller
rates replace it, on two seeds and then, for one method's rate had been a trial's luck, on three, and what was
run at rates that are no longer chosen is in a table of its own. CoLLM-CC with GAE 0.9 is what others are set
beside, since TD(0), which is published, was behind it. The hundredth, the leave-one-out baseline under
counterfactual credit and the critic of the newest turn came later than the first rows, too, and so did the
tasks of HouseBuild-v1 and StrBuild-v1, whose sizes are from single runs of leave-one-out on the tuning seed.

A row is an evaluation; a run's rows are written together when it is done, so the script can be stopped any
time. One thread a run; CPU seconds are those of training, evaluations not counted, on a machine with other
work.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import claim_games
import torch
from claim_runs import (
    C3,
    CREDITS,
    KEY,
    NEWEST,
    OURS,
    SILENT,
    Cell,
    area,
    label,
    one_run,
    rates_of,
    warm_started,
)

from baselines.runs.budget import append_rows, read_results

FOLDER = Path(__file__).parent / "results/claim"
ROWS, TRIED, PAGE = FOLDER / "text.csv", FOLDER / "text-trials.csv", FOLDER / "index.html"
SEEDS, TUNING = (0, 1, 2, 3, 4), (100, 101, 102)
MAIN = ("CC, TD(0)", "CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", "ridge")
ACTOR_RATES = (1.25e-4, 2.5e-4, 5e-4, 1e-3)
CELLS = (
    ("StrBuild-v0", 4, "final", (*MAIN, OURS, C3, NEWEST)),
    ("HouseBuild-v1", 4, "final", (*MAIN[1:], OURS, C3)),
    ("StrBuild-v1", 2, "final", (*MAIN[1:], OURS, C3)),
    ("StrBuild-v0", 4, "dense", (*MAIN, OURS, C3, SILENT)),
    ("StrBuild-v0", 1, "final", (*MAIN[1:], OURS, C3, SILENT, *CREDITS)),
    ("StrBuild-v0", 8, "final", (*(method for method in MAIN if method != "MAGRPO"), OURS)),
)
"""task, horizon, reward and methods, in order of weight"""


def trials(cell: Cell) -> dict[tuple[float, int], float]:
    """(actor's rate, seed) -> the area of its trial, of those that were made for a cell."""
    return {
        (float(row["rates"].partition("/")[0]), int(row["seed"])): float(row["area"])
        for row in read_results(TRIED)
        if (row["env"], row["turns"], row["reward"], row["method"]) == tuple(map(str, cell))
    }


def missing_trials(cell: Cell) -> list[tuple[float, int]]:
    """(actor's rate, seed) of the trials to make next: all rates, then the better two on two more seeds."""
    first, *others = TUNING
    areas = trials(cell)
    if missing := [(lr, first) for lr in ACTOR_RATES if (lr, first) not in areas]:
        return missing
    better = sorted(ACTOR_RATES, key=lambda lr: areas[lr, first])[-2:]
    return [(lr, seed) for seed in others for lr in better if (lr, seed) not in areas]


def chosen_rates(cell: Cell) -> dict[str, float] | None:
    """The rates with the largest mean area over all tuning seeds; None where trials are missing."""
    tuned = cell.tuned_at
    if missing_trials(tuned):
        return None
    areas = trials(tuned)
    tried_often = [lr for lr in ACTOR_RATES if (lr, TUNING[-1]) in areas]
    return rates_of(cell.method, max(tried_often, key=lambda lr: sum(areas[lr, seed] for seed in TUNING)))


Job = tuple[Cell, int, dict[str, float]]


def make_jobs(jobs: Sequence[Job], keep: Callable[[list[dict[str, Any]]], None], processes: int) -> None:
    """Make these runs, a process each, `processes` at a time; `keep` what each comes to as it is done."""
    if not jobs:
        return
    for cell, _, _ in jobs:
        warm_started(cell)  # once, before several look for it
    pool = ProcessPoolExecutor(processes, get_context("spawn"), torch.set_num_threads, (1,))
    try:
        for done in as_completed([pool.submit(one_run, *job) for job in jobs]):
            rows = done.result()
            keep(rows)
            print(*rows[0].values(), "->", *rows[-1].values(), flush=True)
    finally:
        pool.shutdown(cancel_futures=True)


def keep_trial(rows: list[dict[str, Any]]) -> None:
    line = {name: rows[0][name] for name in KEY}
    line |= {"area": round(area(rows), 5), "after": rows[-1]["return"], "cpu_s": rows[-1]["cpu_s"]}
    append_rows(TRIED, [line])


def keep_run(rows: list[dict[str, Any]]) -> None:
    append_rows(ROWS, rows)


def selected(words: Sequence[str]) -> list[tuple[Cell, int]]:
    """Cells and seeds that these begin the names of ("StrBuild-v0/4", "StrBuild-v0/4/final/ridge/0").

    In order of weight; all where no word is given.  Raises ValueError for a word that begins none.
    """
    names = {
        f"{env}/{turns}/{reward}/{method}/{seed}": (Cell(env, turns, reward, method), seed)
        for env, turns, reward, methods in CELLS
        for seed in SEEDS
        for method in methods
    }
    for word in words:
        if not any(f"{name}/".startswith(f"{word}/") for name in names):
            cells = ", ".join(f"{env}/{turns}/{reward}" for env, turns, reward, _ in CELLS)
            raise ValueError(f"{word!r} names no run: cells are {cells}; see METHODS, SEEDS in {__file__}")
    begun = [word + "/" for word in words] or [""]
    return [run for name, run in names.items() if any(f"{name}/".startswith(word) for word in begun)]


def make_runs(runs: Sequence[tuple[Cell, int]], most: int, processes: int) -> None:
    """Trials and runs that are missing, cell by cell, seed by seed; `most` in all."""
    for _, group in itertools.groupby(runs, key=lambda run: run[0][:3]):
        listed = list(group)
        for _ in ("all rates", "the better two"):
            jobs = [
                (cell, seed, rates_of(cell.method, lr))
                for cell in dict.fromkeys(cell.tuned_at for cell, _ in listed)
                for lr, seed in missing_trials(cell)
            ][:most]
            make_jobs(jobs, keep_trial, processes)
            most -= len(jobs)
        done = {tuple(row[name] for name in KEY) for row in read_results(ROWS)}
        jobs = [
            (cell, seed, rates)
            for cell, seed in listed
            if (rates := chosen_rates(cell)) and (*map(str, cell), str(seed), label(rates)) not in done
        ][:most]
        make_jobs(jobs, keep_run, processes)
        most -= len(jobs)


def last_rows(file: Path, key: Sequence[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """{values of the columns `key`, which tell runs apart: the last row of the run}"""
    return {tuple(row[name] for name in key): row for row in read_results(file, (*key, "step"))}


def once_more(runs: Sequence[tuple[Cell, int]]) -> None:
    """Make these runs again and print what they come to beside what is kept.  Keeps nothing."""
    kept = last_rows(ROWS, KEY)
    for cell, seed in runs:
        rates = chosen_rates(cell)
        if rates is None:
            raise ValueError(f"{cell}: trials of its learning rates are missing; make them without --again")
        rows = one_run(cell, seed, rates)
        row = kept.get((*map(str, cell), str(seed), label(rates)), {"return": "none"})
        print(
            *rows[0].values(), "->", *rows[-1].values(), "| return that is kept:", row["return"], flush=True
        )


def commands() -> str:
    """The command line that repeats a run of every cell, and its minutes."""
    lines = []
    for (env, turns, reward, method, seed, rates), row in last_rows(ROWS, KEY).items():
        chosen = chosen_rates(Cell(env, int(turns), reward, method))
        if seed == str(SEEDS[0]) and chosen and rates == label(chosen):
            minutes = float(row["cpu_s"]) / 60
            line = f"python studies/claim.py --again '{env}/{turns}/{reward}/{method}/{seed}'"
            lines.append(f"{line}  # rates {rates}, {minutes:.1f} CPU minutes of training")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=("games", "page"), help="make nothing else")
    parser.add_argument("--runs", type=int, default=1000, help="trials and runs to make at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument(
        "cells",
        nargs="*",
        metavar="CELL[/METHOD[/SEED]]",
        help="as StrBuild-v0/4/final; all if none is given",
    )
    parser.add_argument("--again", action="store_true", help="repeat runs that are there; keep nothing")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        runs = selected(settings.cells)
    except ValueError as error:
        parser.error(str(error))
    if settings.again:
        once_more(runs)
        return
    if settings.only == "games" or (settings.only is None and not settings.cells):
        claim_games.make()
    if settings.only is None:
        make_runs(runs, settings.runs, settings.jobs)
    import claim_page

    PAGE.write_text(claim_page.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
