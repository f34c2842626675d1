"""Does a central critic beat Monte Carlo and decentral critics where episodes are long and rewards sparse?

    python studies/claim.py [--only games | CELL ...] [--runs N] [--jobs J]     what is missing, then the page
    python studies/claim.py --again CELL/METHOD/SEED                            a run again, beside its rows

*Question*: arXiv:2601.21972 says that a central critic (CoLLM-CC) beats Monte Carlo (MAGRPO) and decentral
critics (CoLLM-DC) where episodes are long or rewards sparse, and that all are alike where they are short and
dense.

*Task*: StrBuild-v0, words of one or two letters, terse prompts. An episode has 4 turns or one (8 can be run);
at each the word is built anew, and the prompt shows what one wrote before. Dense: a turn's reward is paid at
once. Final: all of an episode's reward is paid at its last turn (studies/claim_task.py), which leaves the
return what it is. (StrBuild-v1 and HouseBuild-v1 pay final rewards by themselves; there this small a team
learnt in tries to write nothing, with Monte Carlo and with a critic, because a wrong block costs more than it
knew how to avoid. No rows are kept of those tries.)

*Policies*: the embedded model of 0.16 million parameters, one for each of two agents, which reads its newest
prompt alone (`self_contained`); all runs begin with one warm start on noisy play of two turns. *Methods*:
CoLLM-CC with TD(0) and with GAE 0.9, CoLLM-DC with GAE 0.9 (critics are copies of the actor's model, two
passes a step), MAGRPO (one turn: groups of 8; more: the tree, groups of 2), MA-REINFORCE with the
leave-one-out baseline in groups of 8, and a method of ours, baselines/ridge.py. Where a turn is paid at once,
counterfactual credit (C3; what follows a turn keeps the leave-one-out baseline) and ridge with its turns
replayed, by silence or by other texts of the agent's, too; in one turn, where TD(0) and GAE are the same,
difference and Shapley's credit. At four turns with final rewards also a central critic that reads the newest
turn alone, as the actors do. gamma is 1, since returns are not discounted either; advantages of a step are
normalised for each agent, for all methods.

*Equal*: the joint turns of a run, the same for all methods of a cell, and its learning rates: a whole run on
seed 100 with each of four actor's rates; the two with the larger area under their curves again on seeds 101
and 102; the larger mean of the three is the run's. No such seed is reported; the words are those that are.
Tuned at four turns with final rewards, of which dense rewards and 8 turns take their rates (what replays
turns has those of the method that does not), and in one turn on its own. Critics learn at 1e-3 in all of
them. *Not equal*: a tree of many turns is many joint turns, so that MAGRPO takes larger steps and fewer (a
column of the tables; two at 8 turns, where it has no row); counterfactual credit and ridge with alternatives
write four more texts for each agent and turn, which no agent reads and its tokens leave out. *Seeds* 0 to 4.

*Measures*: returns on 64 held-out words, before, half-way and after; the area under that curve, by which
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
counterfactual credit and the critic of the newest turn came later than the first rows, too.

A row is an evaluation; a run's rows are written together when it is done, so the script can be stopped any
time. One thread a run; CPU seconds are those of training, evaluations not counted, on a machine with other
work. The anchor, a game with known answers, is studies/claim_games.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import claim_games
import torch
from claim_task import PaidAtTheEnd

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
SEEDS, TUNING = (0, 1, 2, 3, 4), (100, 101, 102)
JOINT_TURNS, STEPS, MEASURES = 64, 16, 2
"""of a step; steps of that size in a run; measures in a run after the one before it"""
EVALUATION = 64
"""held-out episodes of a measure"""
MAIN = ("CC, TD(0)", "CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", "ridge")
OURS, C3 = "ridge, alternatives", "counterfactual credit"
REPLAYED = {C3: "leave-one-out", "ridge, replayed": "ridge", OURS: "ridge"}
"""methods that play a turn again without an agent's text -> the same one that does not; idle where a turn is
not paid"""
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
    C3: ("reinforce", {**LEAVE_ONE_OUT, "credit": "counterfactual"}),
    "ridge, replayed": ("ridge", {"lam": 0.9, "counterfactual": True}),
    OURS: ("ridge", claim_games.ALTERNATIVES),
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
        return self if self.turns == 1 else Cell(4, "final", REPLAYED.get(self.method, self.method))


CELLS = (
    (4, "final", (*MAIN, OURS, C3, NEWEST)),
    (4, "dense", (*MAIN, *REPLAYED)),
    (1, "final", (*MAIN[1:], *REPLAYED, *CREDITS)),
    (8, "final", tuple(method for method in MAIN if method != "MAGRPO")),
)
"""horizon, reward and methods, in order of weight"""


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
    warm_started()  # once, before several look for it
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
    """Cells and seeds that these begin the names of ("4/final", "4/final/ridge/0"), in order of weight.

    All where no word is given.  Raises ValueError for a word that begins none.
    """
    names = {
        f"{turns}/{reward}/{method}/{seed}": (Cell(turns, reward, method), seed)
        for turns, reward, methods in CELLS
        for seed in SEEDS
        for method in methods
    }
    for word in words:
        if not any(f"{name}/".startswith(f"{word}/") for name in names):
            cells = ", ".join(f"{turns}/{reward}" for turns, reward, _ in CELLS)
            raise ValueError(f"{word!r} names no run: cells are {cells}; see METHODS, SEEDS in {__file__}")
    begun = [word + "/" for word in words] or [""]
    return [run for name, run in names.items() if any(f"{name}/".startswith(word) for word in begun)]


def make_runs(runs: Sequence[tuple[Cell, int]], most: int, processes: int) -> None:
    """Trials and runs that are missing, cell by cell, seed by seed; `most` in all."""
    for _, group in itertools.groupby(runs, key=lambda run: (run[0].turns, run[0].reward)):
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
    for (turns, reward, method, seed, rates), row in last_rows(ROWS, KEY).items():
        chosen = chosen_rates(Cell(int(turns), reward, method))
        if seed == str(SEEDS[0]) and chosen and rates == label(chosen):
            minutes = float(row["cpu_s"]) / 60
            line = f"python studies/claim.py --again '{turns}/{reward}/{method}/{seed}'"
            lines.append(f"{line}  # rates {rates}, {minutes:.1f} CPU minutes of training")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=("games", "page"), help="make nothing else")
    parser.add_argument("--runs", type=int, default=1000, help="trials and runs to make at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument(
        "cells", nargs="*", metavar="CELL[/METHOD[/SEED]]", help="as 4/final; all where none is given"
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
