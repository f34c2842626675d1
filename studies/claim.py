"""Does a central critic beat Monte Carlo and decentral critics where episodes are long and rewards sparse?

    python studies/claim.py [--only games | CELL ...] [--runs N]     the runs that are missing, then the page

**Protocol**, written before the runs. *Question*: arXiv:2601.21972 says that a central critic (CoLLM-CC)
beats Monte Carlo (MAGRPO) and decentral critics (CoLLM-DC) where episodes are long or rewards sparse, and
that all are alike where they are short and dense.

*Task*: StrBuild-v0, words of one or two letters, terse prompts. An episode is 4 turns or one; at each the
word is built anew, and the prompt shows what one wrote before. Dense: a turn's reward is paid at once.
Final: all of an episode's reward is paid at its last turn (studies/claim_task.py), which leaves the return
what it is. (StrBuild-v1 and HouseBuild-v1 pay final rewards by themselves; there this small a team learnt in
tries to write nothing, with Monte Carlo and with a critic, because a wrong block costs more than it knew how
to avoid. No rows are kept of those tries.)

*Policies*: the embedded model of 0.16 million parameters, one for each of two agents, which reads its
newest prompt alone (`self_contained`); all runs begin with one warm start on noisy play of two turns.
*Methods*: CoLLM-CC with TD(0) and with GAE 0.9, CoLLM-DC with GAE 0.9 (critics are copies of the actor's
model, two passes a step), MAGRPO (one turn: groups of 8; four: the tree, groups of 2), MA-REINFORCE with the
leave-one-out baseline in groups of 8, and a method of ours, baselines/ridge.py. Where a turn is paid at once,
counterfactual credit (C3) and ridge with its turns replayed, too. gamma is 1, since returns are not
discounted either; advantages of a step are normalised for each agent, for all methods.

*Equal*: the joint turns of a run, the same for all methods of a cell, and its learning rates: four trials
each (TRIALS below), three eighths of a run on seed 100, which is not reported; the rates of the trial with
the largest area under its curve are the run's. Tuned at four turns with final rewards (what replays turns:
with dense ones) and used everywhere. *Seeds* 0 to 4. *After the first look*: a short trial may favour a
rate that breaks a longer run, so "slow" has CoLLM-CC and MAGRPO at the rate of leave-one-out, too.

*Measures*: returns on held-out words, before, half-way and after; the area under that curve; the
return at the fewest tokens and the fewest CPU seconds that a run of the cell had (between two measures by a
straight line). Means with Student's t over seeds; P(better): the share of pairs of seeds in which a method
ends above CoLLM-CC with TD(0), ties by half. What is called better is so beyond the interval of the
difference, and of twenty such intervals one is expected to err.

A row is an evaluation; a run's rows are written together when it is done, so the script can be stopped any
time. One thread; CPU seconds are those of training, evaluations not counted. The anchor, a game with known
answers, is studies/claim_games.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
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
SEEDS, TUNING, TRIAL = (0, 1, 2, 3, 4), 100, 3 / 8
JOINT_TURNS, STEPS, MEASURES = 64, 16, 2
"""of a step; steps of that size in a run; measures in a run after the one before it"""
EVALUATION = 64
"""held-out episodes of a measure"""
MAIN = ("CC, TD(0)", "CC, GAE 0.9", "DC, GAE 0.9", "MAGRPO", "leave-one-out", "ridge")
SLOWER = {"CC slow": "CC, GAE 0.9", "MAGRPO slow": "MAGRPO"}
"""method -> the same one at the rate of leave-one-out, which no trial chose: added after the first look"""
REPLAYED = ("counterfactual credit", "ridge, replayed")
"""methods that play a turn again without an agent's text: nothing to be had where the turn is not paid"""
CRITIC = {"gamma": 1.0, "critic_epochs": 2}
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "CC, TD(0)": ("maac", {**CRITIC, "lam": 0.0}),
    "CC, GAE 0.9": ("maac", {**CRITIC, "lam": 0.9}),
    "DC, GAE 0.9": ("maac", {**CRITIC, "lam": 0.9, "critic": "decentral"}),
    "MAGRPO": ("magrpo", {}),
    "leave-one-out": ("reinforce", {"group": 8, "baseline": "leave-one-out"}),
    "ridge": ("ridge", {"lam": 0.9, "counterfactual": False}),
    "counterfactual credit": ("reinforce", {"group": 8, "credit": "counterfactual"}),
    "ridge, replayed": ("ridge", {"lam": 0.9, "counterfactual": True}),
}
METHODS |= {slower: METHODS[method] for slower, method in SLOWER.items()}
RATES = ({"lr": 5e-4}, {"lr": 1e-3}, {"lr": 2e-3}, {"lr": 2.5e-4})
TRIALS: dict[str, Sequence[dict[str, float]]] = {
    "maac": (
        {"lr": 5e-4, "critic_lr": 1e-3},
        {"lr": 1e-3, "critic_lr": 1e-3},
        {"lr": 1e-3, "critic_lr": 3e-3},
        {"lr": 2.5e-4, "critic_lr": 1e-3},
    ),
    "magrpo": RATES,
    "reinforce": RATES,
    "ridge": RATES,
}
"""algorithm -> the rates that are tried; the last for all, since three had their best at the smallest"""
KEY = ("turns", "reward", "method", "seed")
FIELDS = (
    *KEY,
    "rates",
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


CELLS = ((4, "final", (*MAIN, *SLOWER)), (1, "final", (*MAIN, *REPLAYED)), (4, "dense", (*MAIN, *REPLAYED)))
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


def one_run(cell: Cell, seed: int, rates: dict[str, float], share: float = 1.0) -> list[dict[str, Any]]:
    """A run over this share of the joint turns: its rows, before the first step and at each measure."""
    kind, task = METHODS[cell.method][0], task_of(cell.turns, cell.reward)
    config = config_of(cell, seed, rates, warm_started())
    module = algorithm(kind)
    team, budget = module.team(config, task), Budget(float("inf"))
    size = joint_turns(kind, cell.turns)
    all_turns = size * max(1, round(share * JOINT_TURNS * STEPS / size))
    rows: list[dict[str, Any]] = []
    tokens, newest = 0.0, [{"explained_variance": 0.0, "advantage_variance": 0.0}]

    def measure() -> None:
        earned = held_out(task, team) if team.step else before(cell.turns)
        means = [fmean(step.get(name, 0.0) for step in newest) for name in FIELDS[-2:]]
        at = (team.step, team.step * size, round(tokens), round(budget.spent, 2))
        label = "/".join(f"{rate:g}" for rate in rates.values())
        values = (*cell, seed, label, *at, *(round(x, 5) for x in (earned, *means)))
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


def chosen_rates(method: str) -> dict[str, float]:
    """The rates of the trial with the largest area; trials that are missing are made."""
    if method in SLOWER:
        slow = chosen_rates("leave-one-out")["lr"]
        return next(rates for rates in TRIALS[METHODS[method][0]] if rates["lr"] == slow)
    reward = "dense" if method in REPLAYED else "final"
    cell, trials = Cell(4, reward, method), TRIALS[METHODS[method][0]]
    for number, rates in enumerate(trials):
        if (method, str(number)) not in {(row["method"], row["trial"]) for row in read_results(TRIED)}:
            rows = one_run(cell, TUNING, rates, share=TRIAL)
            line = {"method": method, "trial": number, "rates": rows[0]["rates"], "seed": TUNING}
            line |= {"area": round(area(rows), 5), "cpu_s": rows[-1]["cpu_s"]}
            append_rows(TRIED, [line])
            print("trial", *line.values(), flush=True)
    areas = {int(row["trial"]): float(row["area"]) for row in read_results(TRIED) if row["method"] == method}
    return dict(trials[max(areas, key=areas.__getitem__)])


def make_runs(chosen: Sequence[str], most: int) -> None:
    """Runs that are missing, seed by seed within each horizon, `most` of them."""
    done = {tuple(row[name] for name in KEY) for row in read_results(ROWS)}
    listed = [cell for cell in cells() if not chosen or f"{cell.turns}/{cell.reward}" in chosen]
    for _, group in itertools.groupby(listed, key=lambda cell: (cell.turns, cell.reward)):
        for seed, cell in itertools.product(SEEDS, list(group)):
            if most and (*map(str, cell), str(seed)) not in done:
                most -= 1
                rows = one_run(cell, seed, chosen_rates(cell.method))
                append_rows(ROWS, rows)
                print(*rows[0].values(), "->", *rows[-1].values(), flush=True)


def commands() -> str:
    """The command line of every run that is there, its seed left open; late rewards are this script's."""
    reported = dict.fromkeys(
        (Cell(int(row["turns"]), row["reward"], row["method"]), row["rates"]) for row in read_results(ROWS)
    )
    lines = []
    for cell, label in reported:
        if cell.reward == "final" and cell.turns > 1:
            again = f"python studies/claim.py {cell.turns}/{cell.reward}"
            lines.append(f"# {cell.method}, {cell.turns} turns, {cell.reward}: rates {label}\n{again}")
            continue
        kind = METHODS[cell.method][0]
        rates = next(
            trial for trial in TRIALS[kind] if "/".join(f"{rate:g}" for rate in trial.values()) == label
        )
        config = config_of(cell, 0, rates)
        config.steps = round(JOINT_TURNS * STEPS / joint_turns(kind, cell.turns))
        line = command(kind, config)
        lines.append(f"# {cell.method}, {cell.turns} turns, {cell.reward}\n{line} --seed SEED")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", choices=("games", "page"), help="make nothing else")
    parser.add_argument("--runs", type=int, default=1000, help="runs with models to make at most")
    parser.add_argument(
        "cells", nargs="*", metavar="TURNS/REWARD", help="as 8/final; all where none is given"
    )
    settings = parser.parse_args()
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    if settings.only != "page":
        claim_games.make()
    if settings.only is None:
        make_runs(settings.cells, settings.runs)
    import claim_page

    PAGE.write_text(claim_page.page(), encoding="utf-8")


if __name__ == "__main__":
    main()
