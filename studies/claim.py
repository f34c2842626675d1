"""Does a central critic beat Monte Carlo and decentral critics where episodes are long and rewards sparse?

    python studies/claim.py [--only games|page | CELL ...] [--runs N] [--jobs J]  what is missing; the page
    python studies/claim.py --again CELL/METHOD/SEED                              a run again, beside its rows

*Question*: arXiv:2601.21972 says that a central critic (CoLLM-CC) beats Monte Carlo methods (MAGRPO is one)
and decentral critics (CoLLM-DC) where episodes are long or rewards sparse, and that all are alike where they
are short and dense. Here a cell is long (4 turns or 8) and sparse (final), short (one turn), or long and
dense, which the paper's sentence leaves open: it is set beside "alike".

*Tasks*: StrBuild-v0, words of one or two letters, terse prompts; an episode has 4 turns or one, at each the
word is built anew, and the prompt shows what the agent wrote before. Dense: a turn's reward is paid at once.
Final: all of an episode's reward is paid at its last turn (studies/claim_task.py), which leaves the return
what it is. HouseBuild-v1 and StrBuild-v1, terse prompts, where no agent sees all and the world lasts: a
round of messages, which earn nothing, before each turn of building, paid at the last; 4 turns in all, on
HouseBuild-v1 also 8. The anchor is a game with known answers, one-word texts (studies/claim_games.py).

*Policy*: the embedded model of 0.16 million parameters, one for each of two agents, which reads its newest
prompt alone on StrBuild-v0 (`self_contained`) and its whole history on the others. All runs of a task begin
with one warm start on noisy play, of episodes of two turns, on HouseBuild-v1 of as many as the run's. Those
of HouseBuild-v1 and StrBuild-v1 come with the package. That of StrBuild-v0 is lost: each processor makes a
somewhat other one of the same lessons, so a run that is repeated there begins elsewhere (on a second machine
at 2.54 in place of 2.65).

*Methods*: CoLLM-CC and CoLLM-DC with GAE 0.9 (critics are copies of the actor's model, two passes a step),
MAGRPO (one turn: groups of 8; more: the tree, groups of 2), MA-REINFORCE with the leave-one-out baseline in
groups of 8, counterfactual credit (as in C3: four other texts of an agent in place of its own, for the
turn's own reward; that baseline for what follows, so that with final rewards it acts on the last turn alone,
without C3's continuations), and a method of ours, baselines/ridge.py, by itself and with four other texts of
an agent played in place of its own. CoLLM-CC with TD(0), which is published, is on StrBuild-v0 and
HouseBuild-v1 (in one turn it is GAE). On StrBuild-v0 also, with turns paid at once, ridge with its turns
replayed by silence; in one turn difference and Shapley's credit; at four turns with final rewards a central
critic that reads the newest turn alone, as the actors do. gamma is 1, since returns are not discounted
either; advantages of a step are normalised for each agent, for all methods with a model; in the game none
but those of an arm that says so. (In one turn MAGRPO and leave-one-out are then the same but for rounding;
and MAGRPO's siblings share what was paid before, so that dense and final are the same to it.)

*Equal*: the joint turns of a run, 16 steps of 64, at 8 turns of 128; and the tuning of the actor's learning
rate: a whole run on seed 100 with each of four rates, and with half the smallest or twice the largest as
long as that is the best; the two with the larger area under their curves again on seeds 101 and 102; the
largest mean of the three is the run's, once the rates beyond are tried on all three, too, where it is at an
edge (but for TD(0) on StrBuild-v0, whose mean ends below its start at every rate, least at the smallest).
Trials are scored on the same held-out episodes as runs; their seeds are not reported. Tuned for each task
and horizon with final rewards, of which dense rewards take their rates; ridge with silence has those of
ridge at 4 turns. *Seeds* 0 to 4, at 8 turns of HouseBuild-v1 0 to 9; 0 to 2 of ridge with silence and of the
newest turn's critic on StrBuild-v0 at 4 turns.

*Not equal*: critics learn at 1e-3; a quarter of that and four times that were tried on the trials' seeds
where the page says so, and no run was made anew for it. Nothing else of a method was tuned (ridge's settings
are its defaults). Ridge reads in training what the task measures of its states after every turn
(`Score.metrics`). On all of these tasks that holds what a turn has earned, or the score that is paid for,
before it is paid, so that to ridge no reward is sparse; no other method reads that. CoLLM-CC and
leave-one-out are therefore run with the same turns paid at once, too. A step has 16 starts for CC, DC and
ridge at 4 and 8 turns, two for leave-one-out and counterfactual credit (groups of 8) and for MAGRPO, whose
trees have 30 joint turns; MAGRPO's runs have 17 steps of 60. At 8 turns a tree is 510 joint turns, and
MAGRPO has no row with a model. Counterfactual credit and ridge with alternatives write four more texts for
each agent and turn, which no agent reads, and replay the turn with them: CPU seconds hold that; the page
multiplies their tokens by five, since rows count those of texts that are played, and at the fewest tokens of
a cell they are a straight line from the first measure. Tokens are those written, not those that a critic
reads.

*Measures*: returns on 64 held-out episodes, before, half-way and after; the area under that curve, by which
rates are chosen; the return at the fewest tokens and the fewest CPU seconds that a run of the cell had
(between two of the three measures by a straight line). Means with Student's t over seeds: intervals are over
seeds of training, given one warm start and these episodes. P(better): the share of pairs of seeds in which a
method ends above CoLLM-CC with GAE 0.9, ties by half. From four seeds on a method is better where the whole
interval of the difference is beyond a hundredth of the best return, and both are alike where it is within;
of twenty such intervals one is expected to err.

*Changed after a first look*: at first a trial was three eighths of a run on one seed. It chose rates that
broke longer runs of CoLLM-CC and MAGRPO; whole trials with smaller rates replace it, on two seeds and then
on three, since leave-one-out's rate had been a trial's luck, as its reported runs at two rates showed; all
that was run at rates that are no longer chosen is in a table of its own. CoLLM-CC with GAE 0.9 is what
others are set beside, since TD(0) was behind it. The hundredth, the leave-one-out baseline under
counterfactual credit, the critic of the newest turn, and trials of their own for counterfactual credit and
ridge with alternatives came later than the first rows, too. So did HouseBuild-v1 and StrBuild-v1: in first
tries, at the largest of the rates, with a critic and without, a team there learnt to write nothing; the
sizes of the two were chosen by some runs of leave-one-out on seed 100. 8 turns of HouseBuild-v1 first had
the warm start of 4 and steps of 64, with which three runs of critics went from 0.07 to nothing; then a warm
start of 8, steps of 128, trials of all methods at that horizon and, since five seeds decided only as pairs,
ten. Both forms of ridge came out ahead of CoLLM-CC. That warm start was lost, and one made elsewhere began
at 0.40 in place of 0.18 (a standard error of either is 0.08), so the cell was made anew from one that is
kept, trials and all; the rows and trials of the first are in text-first-start*.csv, and on the page beside
the others. StrBuild-v0 at 8 turns was left after a run of CoLLM-CC and of TD(0), which both fell, from 4.42
to 4.10 and 4.19 of 16. On StrBuild-v1 CoLLM-CC's choice fell on the largest rate, so it alone has two more
rates on all three seeds; from then on every choice at an edge was widened. Intervals of ten seeds were of a
bootstrap before, which is too narrow. The game's rates were five, on two tuning seeds, until three of the
fifteen that its sentences rest on were found at the grid's edge.

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
from claim_games import TUNING, area, best_rate, wider
from claim_runs import (
    C3,
    CREDITS,
    CRITIC_RATE,
    KEY,
    NEWEST,
    OURS,
    SILENT,
    Arm,
    label,
    one_run,
    rates_of,
    warm_started,
)

from baselines.runs.budget import append_rows, read_results

FOLDER = Path(__file__).parent / "results/claim"
ROWS, TRIED, PAGE = FOLDER / "text.csv", FOLDER / "text-trials.csv", FOLDER / "index.html"
SEEDS, TEN_SEEDS, THREE_SEEDS = tuple(range(5)), tuple(range(10)), (0, 1, 2)
WITH_GAE = ("CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", "ridge")
MAIN = ("CC, TD(0)", *WITH_GAE)
ACTOR_RATES, FACTOR = (1.25e-4, 2.5e-4, 5e-4, 1e-3), 2.0
"""and how many times larger or smaller a further rate is"""
ALWAYS_FALLS = {Arm("StrBuild-v0", 4, "final", "CC, TD(0)")}
"""whose mean ends below its start at every rate: the best is the smallest, however small; not widened"""
ALSO_TRIED = {
    # the choice fell on the largest rate that was tried
    Arm("StrBuild-v1", 4, "final", "CC, GAE 0.9"): (2.5e-4, 2e-3),
}
"""further rates for all tuning seeds"""
CRITIC_RATES, WITH_CRITIC_TRIALS = (2.5e-4, 4e-3), ("CC, GAE 0.9", "DC, GAE 0.9")
"""further rates of the critic, and the methods that have trials of them, at the actor's chosen rate"""
CELLS = (
    ("StrBuild-v0", 4, "final", SEEDS, (*MAIN, OURS, C3)),
    ("HouseBuild-v1", 4, "final", SEEDS, (*MAIN, OURS, C3)),
    ("StrBuild-v1", 4, "final", SEEDS, (*WITH_GAE, OURS, C3)),
    (
        "HouseBuild-v1",
        8,
        "final",
        TEN_SEEDS,
        ("CC, GAE 0.9", "DC, GAE 0.9", "leave-one-out", "ridge", OURS, C3),
    ),
    ("HouseBuild-v1", 8, "dense", SEEDS, ("CC, GAE 0.9", "leave-one-out")),
    ("HouseBuild-v1", 4, "dense", SEEDS, ("CC, GAE 0.9", "leave-one-out")),
    ("StrBuild-v1", 4, "dense", SEEDS, ("CC, GAE 0.9", "leave-one-out")),
    ("StrBuild-v0", 4, "dense", SEEDS, (*WITH_GAE, OURS, C3)),
    ("StrBuild-v0", 1, "final", SEEDS, (*WITH_GAE, OURS, C3, SILENT, *CREDITS)),
    ("StrBuild-v0", 4, "final", THREE_SEEDS, (NEWEST,)),
    ("StrBuild-v0", 4, "dense", THREE_SEEDS, (SILENT,)),
)
"""task, horizon, reward, seeds and methods, in order of weight"""


def trials(arm: Arm, critic_rate: float = CRITIC_RATE) -> dict[tuple[float, int], float]:
    """(actor's rate, seed) -> the area of its trial, of those that were made for an arm.

    critic_rate: of the critic, where the method has one
    """
    areas = {}
    for row in read_results(TRIED, KEY):
        lr, _, critic_lr = row["rates"].partition("/")
        own = (row["env"], row["turns"], row["reward"], row["method"]) == tuple(map(str, arm))
        if own and float(critic_lr or critic_rate) == critic_rate:
            areas[float(lr), int(row["seed"])] = float(row["area"])
    return areas


def missing_trials(arm: Arm) -> list[tuple[float, int]]:
    """(actor's rate, seed) of the trials to make next.

    `ACTOR_RATES` on the first seed; half the smallest or twice the largest as long as that is the best; then
    the better two, and those of `ALSO_TRIED`, on the other seeds; then, as long as the mean of all seeds is
    best at an edge, half or twice that on all of them.
    """
    first, *others = TUNING
    areas, further = trials(arm), ALSO_TRIED.get(arm, ())
    if missing := [(lr, first) for lr in (*ACTOR_RATES, *further) if (lr, first) not in areas]:
        return missing
    ranked = sorted((lr for lr, seed in areas if seed == first), key=lambda lr: areas[lr, first])
    if beyond := wider(ranked[-1], ranked, FACTOR):
        return [(beyond, first)]
    again = dict.fromkeys((*ranked[-2:], *further))
    if missing := [(lr, seed) for seed in others for lr in again if (lr, seed) not in areas]:
        return missing
    beyond = None if arm in ALWAYS_FALLS else wider(best_rate(areas), ranked, FACTOR)
    return [(beyond, seed) for seed in TUNING if (beyond, seed) not in areas] if beyond else []


def missing_critic_trials(arm: Arm) -> list[tuple[dict[str, float], int]]:
    """(rates, seed) of the trials of `CRITIC_RATES` that are missing, at the actor's rate that is chosen."""
    chosen = chosen_rates(arm)
    if chosen is None or arm.method not in WITH_CRITIC_TRIALS or arm != arm.tuned_at:
        return []
    return [
        ({**chosen, "critic_lr": rate}, seed)
        for rate in CRITIC_RATES
        for seed in TUNING
        if (chosen["lr"], seed) not in trials(arm, rate)
    ]


def chosen_rates(arm: Arm) -> dict[str, float] | None:
    """The rates with the largest mean area over all tuning seeds; None where trials are missing."""
    tuned = arm.tuned_at
    if missing_trials(tuned):
        return None
    return rates_of(arm.method, best_rate(trials(tuned)))


Job = tuple[Arm, int, dict[str, float]]


def make_jobs(jobs: Sequence[Job], keep: Callable[[list[dict[str, Any]]], None], processes: int) -> None:
    """Make these runs, a process each, `processes` at a time; `keep` what each comes to as it is done."""
    if not jobs:
        return
    for arm, _, _ in jobs:
        warm_started(arm)  # once, before several look for it
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
    line |= {
        "area": round(area(rows), 5),
        "after": rows[-1]["return"],
        "cpu_s": rows[-1]["cpu_s"],
    }
    append_rows(TRIED, [line])


def keep_run(rows: list[dict[str, Any]]) -> None:
    append_rows(ROWS, rows)


def selected(words: Sequence[str]) -> list[tuple[Arm, int]]:
    """Cells and seeds that these begin the names of ("StrBuild-v0/4", "StrBuild-v0/4/final/ridge/0").

    In order of weight; all where no word is given.  Raises ValueError for a word that begins none.
    """
    names = {
        f"{env}/{turns}/{reward}/{method}/{seed}": (Arm(env, turns, reward, method), seed)
        for env, turns, reward, seeds, methods in CELLS
        for seed in seeds
        for method in methods
    }
    for word in words:
        if not any(f"{name}/".startswith(f"{word}/") for name in names):
            cells = ", ".join(f"{env}/{turns}/{reward}" for env, turns, reward, *_ in CELLS)
            raise ValueError(f"{word!r} names no run: cells are {cells}; see CELLS in {__file__}")
    begun = [word + "/" for word in words] or [""]
    return [run for name, run in names.items() if any(f"{name}/".startswith(word) for word in begun)]


def make_runs(runs: Sequence[tuple[Arm, int]], most: int, processes: int) -> None:
    """Trials and runs that are missing, cell by cell, seed by seed; `most` in all."""
    for _, group in itertools.groupby(runs, key=lambda run: run[0][:3]):
        listed = list(group)
        while jobs := [
            (arm, seed, rates_of(arm.method, lr))
            for arm in dict.fromkeys(arm.tuned_at for arm, _ in listed)
            for lr, seed in missing_trials(arm)
        ][:most]:
            make_jobs(jobs, keep_trial, processes)
            most -= len(jobs)
        done = {tuple(row[name] for name in KEY) for row in read_results(ROWS)}
        jobs = [
            (arm, seed, rates)
            for arm, seed in listed
            if (rates := chosen_rates(arm)) and (*map(str, arm), str(seed), label(rates)) not in done
        ][:most]
        make_jobs(jobs, keep_run, processes)
        most -= len(jobs)
    jobs = [
        (arm, seed, rates)
        for arm in dict.fromkeys(arm for arm, _ in runs)
        for rates, seed in missing_critic_trials(arm)
    ]
    make_jobs(jobs[:most], keep_trial, processes)


def last_rows(file: Path, key: Sequence[str]) -> dict[tuple[str, ...], dict[str, str]]:
    """{values of the columns `key`, which tell runs apart: the last row of the run}"""
    return {tuple(row[name] for name in key): row for row in read_results(file, (*key, "step"))}


def once_more(runs: Sequence[tuple[Arm, int]]) -> None:
    """Make these runs again and print what they come to beside what is kept.  Keeps nothing."""
    kept = last_rows(ROWS, KEY)
    for arm, seed in runs:
        rates = chosen_rates(arm)
        if rates is None:
            raise ValueError(f"{arm}: trials of its learning rates are missing; make them without --again")
        rows = one_run(arm, seed, rates)
        row = kept.get((*map(str, arm), str(seed), label(rates)), {"return": "none"})
        print(
            *rows[0].values(), "->", *rows[-1].values(), "| return that is kept:", row["return"], flush=True
        )


def commands() -> str:
    """The command line that repeats a run of every method in every cell, and its minutes."""
    lines = []
    for (env, turns, reward, method, seed, rates), row in last_rows(ROWS, KEY).items():
        chosen = chosen_rates(Arm(env, int(turns), reward, method))
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
    if settings.again and not settings.cells:
        parser.error("--again repeats runs that are named: CELL/METHOD/SEED")
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
