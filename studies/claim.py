"""Does a central critic beat Monte Carlo and decentral critics where episodes are long and rewards sparse?

    python studies/claim.py [--only games | CELL ...] [--runs N] [--jobs J]     what is missing, then the page

**Protocol**, written before the runs. *Question*: arXiv:2601.21972 says that a central critic (CoLLM-CC)
beats Monte Carlo (MAGRPO) and decentral critics (CoLLM-DC) where episodes are long or rewards sparse, and
that all are alike where they are short and dense.

*Task*: StrBuild-v0, words of one or two letters, terse prompts. An episode has 8 turns, 4 or one; at each the
word is built anew, and the prompt shows what one wrote before. Dense: a turn's reward is paid at once.
Final: all of an episode's reward is paid at its last turn (studies/claim_task.py), which leaves the return
what it is. (StrBuild-v1 and HouseBuild-v1 pay final rewards by themselves; there this small a team learnt in
tries to write nothing, with Monte Carlo and with a critic, because a wrong block costs more than it knew how
to avoid. No rows are kept of those tries.)

*Policies*: the embedded model of 0.16 million parameters, one for each of two agents, which reads its
newest prompt alone (`self_contained`); all runs begin with one warm start on noisy play of two turns.
*Methods*: CoLLM-CC with TD(0) and with GAE 0.9, CoLLM-DC with GAE 0.9 (critics are copies of the actor's
model, two passes a step), MAGRPO (one turn: groups of 8; more: the tree, groups of 2), MA-REINFORCE with the
leave-one-out baseline in groups of 8, and a method of ours, baselines/ridge.py. Where a turn is paid at once,
counterfactual credit (C3; what follows a turn keeps the leave-one-out baseline) and ridge with its turns
replayed, too; in one turn, where TD(0) and GAE are the same, difference and Shapley's credit. At four turns
with final rewards also a central critic that reads the newest turn alone, as the actors do. gamma is 1, since
returns are not discounted either; advantages of a step are normalised for each agent, for all methods.

*Equal*: the joint turns of a run, the same for all methods of a cell, and its learning rates: a whole run on
seed 100 with each of four actor's rates; the two with the larger area under their curves again on seed 101;
the larger mean of both is the run's. Neither seed is reported. Tuned at four turns with final rewards (what
replays turns: with dense ones), which 8 turns use too, and in one turn on its own. *Seeds* 0 to 4.
*Tuned twice*: at first a trial was three eighths of a run on one seed. It chose rates that broke longer runs
of CoLLM-CC and MAGRPO, and the best rate was the smallest of those tried; these trials replace it. What was
run at rates that are no longer chosen is in a table of its own.

*Measures*: returns on held-out words, before, half-way and after; the area under that curve; the
return at the fewest tokens and the fewest CPU seconds that a run of the cell had (between two measures by a
straight line). Means with Student's t over seeds; P(better): the share of pairs of seeds in which a method
ends above CoLLM-CC with GAE 0.9, ties by half. What is called better is so beyond the interval of the
difference, and of twenty such intervals one is expected to err.

A row is an evaluation; a run's rows are written together when it is done, so the script can be stopped any
time. One thread a run; CPU seconds are those of training, evaluations not counted. The anchor, a game with
known answers, is studies/claim_games.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import claim_games
import torch
from claim_task import PaidAtTheEnd

from baselines.cli.train import command
from baselines.lm.tiny import model as tiny
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs.algorithms import algorithm
from baselines.runs.budget import Budget, append_rows, read_results
from collm_envs import make_task
from collm_envs.task import Task

FOLDER = Path(__file__).parent / "results/claim"
ROWS, TRIED, PAGE = FOLDER / "text.csv", FOLDER / "text-trials.csv", FOLDER / "index.html"
ENV = "StrBuild-v0"
WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "self_contained": True}
SEEDS, TUNING = (0, 1, 2, 3, 4), (100, 101)
JOINT_TURNS, STEPS, MEASURES = 64, 16, 2
"""of a step; steps of that size in a run; measures in a run after the one before it"""
EVALUATION = 64
"""held-out episodes of a measure"""
MAIN = ("CC, TD(0)", "CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", "ridge")
REPLAYED = ("counterfactual credit", "ridge, replayed")
"""methods that play a turn again without an agent's text: nothing to be had where the turn is not paid"""
CREDITS = ("difference credit", "Shapley credit")
NEWEST = "CC of the newest turn"
REFERENCE = "CC, GAE 0.9"
"""the method that the others are set beside"""
CRITIC = {"gamma": 1.0, "critic_epochs": 2}
LEAVE_ONE_OUT = {"group": 8, "baseline": "leave-one-out"}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "CC, TD(0)": ("maac", {**CRITIC, "lam": 0.0}),
    "CC, GAE 0.9": ("maac", {**CRITIC, "lam": 0.9}),
    "DC, GAE 0.9": ("maac", {**CRITIC, "lam": 0.9, "critic": "decentral"}),
    "MAGRPO": ("magrpo", {}),
    "leave-one-out": ("reinforce", LEAVE_ONE_OUT),
    "ridge": ("ridge", {"lam": 0.9, "counterfactual": False}),
    "counterfactual credit": ("reinforce", {**LEAVE_ONE_OUT, "credit": "counterfactual"}),
    "ridge, replayed": ("ridge", {"lam": 0.9, "counterfactual": True}),
    NEWEST: ("maac", {**CRITIC, "lam": 0.9, "critic_history": "last turn"}),
    "difference credit": ("reinforce", {**LEAVE_ONE_OUT, "credit": "difference"}),
    "Shapley credit": ("reinforce", {**LEAVE_ONE_OUT, "credit": "shapley"}),
}
ACTOR_RATES = (1.25e-4, 2.5e-4, 5e-4, 1e-3)
CRITIC_RATE = 1e-3
KEY = ("turns", "reward", "method", "seed", "rates")
FIELDS = (
    *KEY,
    "step",
    "joint_turns",
    "tokens",
    "cpu_s",
    "return",
    "explained_variance",
    "advantage_variance",
)


class Cell(NamedTuple):
    """A horizon, a reward and a method."""

    turns: int
    reward: str
    method: str

    @property
    def tuned_at(self) -> Cell:
        """The cell whose trials choose the learning rates of this one."""
        if self.turns == 1:
            return self
        return Cell(4, "dense" if self.method in REPLAYED else "final", self.method)


CELLS = (
    (4, "final", (*MAIN, NEWEST)),
    (4, "dense", (*MAIN, *REPLAYED)),
    (1, "final", (*MAIN[1:], *REPLAYED, *CREDITS)),
    (8, "final", MAIN),
)
"""horizon, reward and methods, in order of weight"""


def cells() -> Iterator[Cell]:
    """All cells, in order of weight."""
    return (Cell(turns, reward, method) for turns, reward, methods in CELLS for method in methods)


def task_of(turns: int, reward: str) -> Task:
    """The task of a cell."""
    task = make_task(ENV, **WORDS, max_turns=turns)
    return task if reward == "dense" else PaidAtTheEnd(task)


def config_of(cell: Cell, seed: int, rates: dict[str, float], model: str = "tiny") -> Any:
    """The settings of a run."""
    kind, own = METHODS[cell.method]
    return algorithm(kind).Config(
        env=ENV,
        env_kwargs={**WORDS, "max_turns": cell.turns},
        model=model,
        max_new_tokens=100,
        history="last turn",
        normalize=True,
        seed=seed,
        steps=10_000,
        checked_turns=0,
        **sizes(kind, cell.turns),
        **own,
        **rates,
    )


def warm_started() -> str:
    """The folder of the model that all runs begin with: taught on episodes of two turns by noisy play."""
    return str(tiny.folder(ENV, {**WORDS, "max_turns": 2}, "last turn"))


def sizes(kind: str, turns: int) -> dict[str, int]:
    """Episodes of a step, of a tree its groups too."""
    if kind != "magrpo":
        return {"episodes": max(8, JOINT_TURNS // turns)}
    return claim_games.tree_sizes(turns, JOINT_TURNS)


def joint_turns(kind: str, turns: int) -> int:
    """Joint turns of a step."""
    return claim_games.joint_turns(sizes(kind, turns), turns)


def rates_of(method: str, lr: float) -> dict[str, float]:
    """The learning rates of a run at this actor's rate."""
    return {"lr": lr} | ({"critic_lr": CRITIC_RATE} if METHODS[method][0] == "maac" else {})


def label(rates: Mapping[str, float]) -> str:
    """Rates as they are written into rows."""
    return "/".join(f"{rate:g}" for rate in rates.values())


def one_run(cell: Cell, seed: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """A run: its rows, before the first step and at each measure."""
    kind, task = METHODS[cell.method][0], task_of(cell.turns, cell.reward)
    config = config_of(cell, seed, rates, warm_started())
    module = algorithm(kind)
    team, budget = module.team(config, task), Budget(float("inf"))
    size = joint_turns(kind, cell.turns)
    all_turns = size * max(1, round(JOINT_TURNS * STEPS / size))
    rows: list[dict[str, Any]] = []
    tokens, newest = 0.0, [{"explained_variance": 0.0, "advantage_variance": 0.0}]

    def measure() -> None:
        earned = held_out(task, team) if team.step else before(cell.turns)
        means = [fmean(step.get(name, 0.0) for step in newest) for name in FIELDS[-2:]]
        at = (team.step, team.step * size, round(tokens), round(budget.spent, 2))
        values = (*cell, seed, label(rates), *at, *(round(x, 5) for x in (earned, *means)))
        rows.append(dict(zip(FIELDS, values, strict=True)))

    measure()
    newest.clear()
    for metrics in budget.within(module.train(config, task, team)):
        tokens += metrics["tokens"]
        newest.append(metrics)
        if team.step * size >= all_turns * len(rows) / MEASURES:
            measure()
            newest.clear()
        if team.step * size >= all_turns:
            return rows
    return rows


def held_out(task: Task, team: Any) -> float:
    """The mean return on held-out words."""
    return rollout_metrics(play(task, eval_starts(task, EVALUATION), team.policies, "claim"))["return"]


@cache
def before(turns: int) -> float:
    """The mean return on held-out words that all runs of this horizon begin with."""
    config = config_of(Cell(turns, "dense", "leave-one-out"), 0, {}, warm_started())
    task = task_of(turns, "dense")
    return held_out(task, algorithm("reinforce").team(config, task))


def area(rows: Sequence[Mapping[str, Any]]) -> float:
    """The mean return over a run's joint turns: the area under its curve, by trapezoids."""
    at, earned = ([float(row[name]) for row in rows] for name in ("joint_turns", "return"))
    pieces = zip(itertools.pairwise(at), itertools.pairwise(earned), strict=True)
    return sum((b - a) * (y + z) / 2 for (a, b), (y, z) in pieces) / (at[-1] - at[0])


def trials(cell: Cell) -> dict[tuple[float, int], float]:
    """(actor's rate, seed) -> the area of its trial, of those that were made for a cell."""
    return {
        (float(row["rates"].partition("/")[0]), int(row["seed"])): float(row["area"])
        for row in read_results(TRIED)
        if (row["turns"], row["reward"], row["method"]) == tuple(map(str, cell))
    }


def missing_trials(cell: Cell) -> list[tuple[float, int]]:
    """(actor's rate, seed) of the trials to make next: all rates, then the better two on a second seed."""
    first, second = TUNING
    areas = trials(cell)
    if missing := [(lr, first) for lr in ACTOR_RATES if (lr, first) not in areas]:
        return missing
    better = sorted(ACTOR_RATES, key=lambda lr: areas[lr, first])[-2:]
    return [(lr, second) for lr in better if (lr, second) not in areas]


def chosen_rates(cell: Cell) -> dict[str, float] | None:
    """The rates with the largest mean area over both seeds; None where trials are missing."""
    tuned = cell.tuned_at
    if missing_trials(tuned):
        return None
    areas, (first, second) = trials(tuned), TUNING
    twice = [lr for lr in ACTOR_RATES if (lr, second) in areas]
    return rates_of(cell.method, max(twice, key=lambda lr: areas[lr, first] + areas[lr, second]))


Job = tuple[Cell, int, dict[str, float]]


def make_jobs(jobs: Sequence[Job], keep: Callable[[list[dict[str, Any]]], None], processes: int) -> None:
    """Make these runs, a process each, `processes` at a time; `keep` what each comes to as it is done."""
    if not jobs:
        return
    warm_started()  # once, before several look for it
    threads = torch.set_num_threads
    with ProcessPoolExecutor(processes, get_context("spawn"), threads, (1,)) as pool:
        for done in as_completed([pool.submit(one_run, *job) for job in jobs]):
            rows = done.result()
            keep(rows)
            print(*rows[0].values(), "->", *rows[-1].values(), flush=True)


def keep_trial(rows: list[dict[str, Any]]) -> None:
    line = {name: rows[0][name] for name in KEY}
    line |= {"area": round(area(rows), 5), "after": rows[-1]["return"], "cpu_s": rows[-1]["cpu_s"]}
    append_rows(TRIED, [line])


def keep_run(rows: list[dict[str, Any]]) -> None:
    append_rows(ROWS, rows)


def make_runs(chosen: Sequence[str], most: int, processes: int) -> None:
    """Trials and runs that are missing, cell by cell, seed by seed; `most` runs."""
    for turns, reward, methods in CELLS:
        if chosen and f"{turns}/{reward}" not in chosen:
            continue
        group = [Cell(turns, reward, method) for method in methods]
        for _ in TUNING:
            jobs = [
                (cell, seed, rates_of(cell.method, lr))
                for cell in dict.fromkeys(cell.tuned_at for cell in group)
                for lr, seed in missing_trials(cell)
            ]
            make_jobs(jobs, keep_trial, processes)
        done = {tuple(row[name] for name in KEY) for row in read_results(ROWS)}
        jobs = []
        for seed, cell in itertools.product(SEEDS, group):
            rates = chosen_rates(cell)
            assert rates is not None  # its trials are made above
            if (*map(str, cell), str(seed), label(rates)) not in done:
                jobs.append((cell, seed, rates))
        make_jobs(jobs[:most], keep_run, processes)
        most = max(0, most - len(jobs))


def commands() -> str:
    """The command line of every run that is there, its seed left open; late rewards are this script's."""
    reported = dict.fromkeys(
        (Cell(int(row["turns"]), row["reward"], row["method"]), row["rates"]) for row in read_results(ROWS)
    )
    lines = []
    for cell, rates in reported:
        if cell.reward == "final" and cell.turns > 1:
            again = f"python studies/claim.py {cell.turns}/{cell.reward}"
            lines.append(f"# {cell.method}, {cell.turns} turns, {cell.reward}: rates {rates}\n{again}")
            continue
        kind = METHODS[cell.method][0]
        config = config_of(cell, 0, rates_of(cell.method, float(rates.partition("/")[0])))
        config.steps = round(JOINT_TURNS * STEPS / joint_turns(kind, cell.turns))
        line = command(kind, config)
        lines.append(f"# {cell.method}, {cell.turns} turns, {cell.reward}\n{line} --seed SEED")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=("games", "page"), help="make nothing else")
    parser.add_argument("--runs", type=int, default=1000, help="runs with models to make at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument(
        "cells", nargs="*", metavar="TURNS/REWARD", help="as 8/final; all where none is given"
    )
    settings = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if settings.only != "page":
        claim_games.make()
    if settings.only is None:
        make_runs(settings.cells, settings.runs, settings.jobs)
    import claim_page

    PAGE.write_text(claim_page.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
