"""Does any credit beat the shared reward?  MAGRPO with the tiny model, five seeds, equal CPU seconds.

    python studies/credit.py        make the runs that are missing, one after the other, and the page anew

A run is 20 CPU seconds of one thread, everything that a credit costs counted in: replays, fits, and the texts
that counterfactual credit writes besides.  Evaluations are not counted.  All runs of an environment begin
with the same warm start, play 64 episodes a step in groups of 8 at one learning rate (that of
studies/learning.py, chosen on the shared reward), and are evaluated on the same 256 episodes of items that
were not trained on.  "random" is a control: weights drawn once for a run.  A run's row is written when it is
done, so the script can be stopped at any time; rows come seed by seed, so that what is there can be compared.

Agreement is measured on 256 turns of the warm-started policies.  phi is the exact Shapley value; a credit's
own number c_i is r/N (shared), w_i r (weights) or r - b_i (baselines: silence for the difference reward,
other texts for the counterfactual one, whose numbers are therefore gains on the expected and not shares of
the reward); "learned" was fitted to the turns of ten training steps before.

Two things follow from the definitions and are no finding.  For two builders the written functions expect what
the other one's text earns alone, which is what the difference reward takes away: wherever the function is
right, "qllm" is the difference reward.  And each builder has an Adam of its own, which takes out constant
factors, so weights that hardly vary over states ("random": not at all) train like the shared reward.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from baselines import magrpo
from baselines.credit import coalitions
from baselines.credit import rules as credits
from baselines.credit.pinned import FLOOR
from baselines.credit.rules import Credit, team_rewards, weighted
from baselines.play.episode import Node, rollout_metrics
from baselines.play.replays import Replays
from baselines.play.rollout import eval_starts, play, starts
from baselines.runs import texts
from baselines.runs.budget import Budget, append_rows, read_results
from baselines.train.team import Team
from collm_envs import Task, make
from collm_envs.evaluation.stats import interval, spearman
from collm_envs.pages.bars import Bar, bars
from collm_envs.pages.report import folded, prose, report, section, table

FOLDER = Path(__file__).parent / "results"
RUNS, AGREEMENT, PAGE = FOLDER / "credit.csv", FOLDER / "credit-agreement.csv", FOLDER / "credit.html"
FIELDS = ("env", "credit", "seed", "steps", "cpu_s", "replays", "before", "return", "iou_before", "iou")
AGREED = ("env", "credit", "error", "error_low", "error_high", "spearman", "low", "high", "within")
CPU_S = 20
SEEDS = (0, 1, 2, 3, 4)
ENVS: dict[str, dict[str, Any]] = {
    "StrBuild-v0": {
        "env_kwargs": {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "max_turns": 1},
        "max_new_tokens": 100,
    },
    "HouseBuild-v0": {
        "env_kwargs": {"prompts": "terse", "houses": "generated", "size": [4, 5, 5], "max_turns": 1},
        "max_new_tokens": 160,
    },
}
WRITTEN = {"StrBuild-v0": "qllm:str_build", "HouseBuild-v0": "qllm:house_build"}
CREDITS = ("shared", "difference", "shapley", "counterfactual", "learned", "qllm", "random")


def setting(env: str, credit: str, seed: int) -> magrpo.Config:
    """The settings of a run; a control is a shared run until its team is made."""
    name = WRITTEN[env] if credit == "qllm" else "shared" if credit == "random" else credit
    return magrpo.Config(env=env, group=8, lr=1e-3, steps=10_000, seed=seed, credit=name, **ENVS[env])


def prepared(env: str, credit: str, seed: int) -> tuple[Any, Task, Team]:
    """What a run begins with."""
    config: Any = texts.with_models(setting(env, credit, seed))
    task = make(env, **ENVS[env]["env_kwargs"]).task
    team = magrpo.team(config, task)
    if credit == "random":
        team.credit = Credit(random_weights(seed, len(task.agents)))
    return config, task, team


def random_weights(seed: int, n: int) -> credits.Rule:
    """Weights drawn once, uniform on the simplex above the floor, the same for every turn."""
    rng = Random(f"study/{seed}")
    drawn = [rng.expovariate(1) for _ in range(n)]
    w = torch.tensor([FLOOR / n + (1 - FLOOR) * x / sum(drawn) for x in drawn], dtype=torch.float64)
    return lambda replays, nodes: weighted(w.expand(len(nodes), n))


def one_run(env: str, credit: str, seed: int) -> dict[str, Any]:
    """The row of one run."""
    config, task, team = prepared(env, credit, seed)
    before = untrained(env)
    replays, budget = [], Budget(CPU_S)
    for metrics in budget.within(magrpo.train(config, task, team)):
        replays.append(metrics.get("credit_replays", 0.0))
    after = evaluated(task, team)
    values = (env, credit, seed, team.step, round(budget.spent, 1), fmean(replays))
    values += (before["return"], after["return"], before["metric/iou"], after["metric/iou"])
    return dict(zip(FIELDS, values, strict=True))


@cache
def untrained(env: str) -> dict[str, float]:
    """The evaluation before the first step: every run of an environment begins with the same weights."""
    _, task, team = prepared(env, "shared", 0)
    return evaluated(task, team)


def evaluated(task: Task, team: Team) -> dict[str, float]:
    return rollout_metrics(play(task, eval_starts(task, 256), team.policies, "study"))


def agreement(env: str) -> list[dict[str, Any]]:
    """How near each credit comes to exact Shapley on turns of the warm-started policies."""
    rows = []
    for credit in CREDITS:
        if credit == "shapley" or not known(env, credit):
            continue
        _, task, team = prepared(env, credit, 0)
        for step in range(10 if credit == "learned" else 0):
            seen = play(task, starts(task, 0, step, 8), team.policies, f"0/{step}", copies=8)
            team.credit.divide(task, seen)
        some = play(
            task, eval_starts(task, 256), team.policies, "study", alternatives=team.credit.alternatives
        )
        c, phi = own_numbers(team.credit, task, some), coalitions.shapley_values(Replays(task, some), some)
        errors = contribution_error(c, phi)
        error, low, high = over_turns(len(some), lambda k, e=errors: float(e[k].mean()))
        rank = over_turns(len(some), lambda k, c=c, phi=phi: spearman(c[k].numpy(), phi[k].numpy()))
        within = spearman(*((x - x.mean(dim=1, keepdim=True)).numpy() for x in (c, phi)))
        rows.append(dict(zip(AGREED, (env, credit, error, low, high, *rank, within), strict=True)))
    return rows


def own_numbers(credit: Credit, task: Task, nodes: Sequence[Node]) -> Tensor:
    """c_i of one-turn episodes: m_i r / N where only m divides, r + p_i otherwise.   -> (B, N)"""
    shares = credit.divide(task, nodes)
    r = team_rewards(nodes)[:, None]
    return r + shares.plus if bool(shares.plus.any()) else shares.times * r / len(task.agents)


def contribution_error(c: Tensor, phi: Tensor) -> Tensor:
    """Half of sum_i |c_i / sum |c| - phi_i / sum |phi||: 0 for the same shares, at most 1.   -> (B,)"""
    one, two = (x / x.abs().sum(dim=1, keepdim=True).clamp(min=1e-12) for x in (c, phi))
    return (one - two).abs().sum(dim=1) / 2


def over_turns(n: int, value: Callable[[Tensor], float], draws: int = 500) -> tuple[float, float, float]:
    """The value on all n turns, and a 95 % bootstrap interval over turns."""
    dice = torch.Generator().manual_seed(0)
    some = sorted(value(torch.randint(n, (n,), generator=dice)) for _ in range(draws))
    return value(torch.arange(n)), some[int(0.025 * draws)], some[int(0.975 * draws) - 1]


def known(env: str, credit: str) -> bool:
    """Whether there is such a credit for the environment: a pinned function may be missing."""
    name = WRITTEN[env].removeprefix("qllm:")
    return credit != "qllm" or (Path(credits.__file__).parent / "functions" / f"{name}.json").is_file()


def read(path: Path) -> list[dict[str, Any]]:
    """All rows so far, numbers as numbers."""
    named = ("env", "credit")
    return [{k: v if k in named else float(v) for k, v in row.items()} for row in read_results(path)]


def page(rows: Sequence[dict[str, Any]], agreed: Sequence[dict[str, Any]]) -> str:
    """studies/results/credit.html: for each environment what was reached, and how the credits agree."""
    sections = [prose(finding(rows))]
    for env in ENVS:
        lines = [line(rows, env, credit) for credit in CREDITS if of(rows, env, credit)]
        columns = ["credit", "seeds", "steps", "replays a turn", "return before", "after"]
        columns += ["less shared", "95 % low", "high", "iou after", "less shared", "95 % low", "high"]
        near = [[row["credit"], *(row[k] for k in AGREED[2:])] for row in agreed if row["env"] == env]
        sections.append(
            section(
                env,
                differences(rows, env),
                table(columns, lines, "What was reached: means over seeds, differences paired by seed"),
                table(
                    NEAR,
                    near,
                    "Agreement with exact Shapley",
                ),
            )
        )
    how = prose((__doc__ or "").split("\n\n", 2)[2]) + prose(READING)
    sections.append(folded("how it was measured, and how to read it", how))
    return report("Who earned it: credit for two tiny builders", sections, about="collm · studies/credit.py")


def finding(rows: Sequence[dict[str, Any]]) -> str:
    """What the rows say, in a sentence or two."""
    below, above = [], []
    for env in ENVS:
        for credit in (credit for credit in CREDITS if credit != "shared" and of(rows, env, credit)):
            difference, low, high = less(rows, env, credit, "return")
            if low is not None and high is not None and not low <= 0 <= high:
                (above if low > 0 else below).append(f"{credit} on {env} by {abs(difference or 0):.2f}")
    parts = [
        f"Returns above the shared reward's beyond their interval: {', '.join(above) or 'none'}.",
        f"Below: {', '.join(below) or 'none'}.",
    ]
    return " ".join(parts)


def differences(rows: Sequence[dict[str, Any]], env: str) -> str:
    """The chart of returns less the shared reward's, with their intervals."""
    drawn = []
    for credit in (credit for credit in CREDITS if credit != "shared" and of(rows, env, credit)):
        difference, low, high = less(rows, env, credit, "return")
        if difference is not None:
            drawn.append(Bar(credit, difference, low, high))
    return bars(drawn, f"return less the shared reward's on {env}") if drawn else ""


def less(rows: Sequence[dict[str, Any]], env: str, credit: str, key: str) -> list[float | None]:
    """Mean difference to the shared reward of the same seeds and its interval; None where there is none."""
    mine, base = of(rows, env, credit), of(rows, env, "shared")
    apart = [mine[seed][key] - base[seed][key] for seed in sorted(set(mine) & set(base))]
    if credit == "shared" or len(apart) < 2:
        return [None, None, None]
    return [fmean(apart), *interval(np.array(apart))]


NEAR = ("credit", "contribution error", "95 % low", "high", "Spearman", "95 % low", "high", "within turns")
READING = """The contribution error is half of the sum over agents of |c_i / sum |c| - phi_i / sum |phi||,
averaged over turns: 0 for the same shares, at most 1.  Spearman compares c and phi over all agents and turns,
and "within turns" after the turn's mean is taken from both: that is all that a division adds to the shared
reward.  Intervals of differences are Student's t over seeds, those of agreement a bootstrap over turns.  An
interval that holds 0 shows no difference; of twenty true zeros one is expected outside its interval."""


def of(rows: Sequence[dict[str, Any]], env: str, credit: str) -> dict[float, dict[str, Any]]:
    """seed -> row"""
    return {row["seed"]: row for row in rows if row["env"] == env and row["credit"] == credit}


def line(rows: Sequence[dict[str, Any]], env: str, credit: str) -> list[str | float | None]:
    """A credit's line: means, and differences to the shared reward of the same seeds with their intervals."""
    mine = of(rows, env, credit)

    def mean(key: str) -> float:
        return fmean(row[key] for row in mine.values())

    out: list[str | float | None] = [credit, str(len(mine)), f"{mean('steps'):.0f}", f"{mean('replays'):.1f}"]
    return [
        *out,
        mean("before"),
        mean("return"),
        *less(rows, env, credit, "return"),
        mean("iou"),
        *less(rows, env, credit, "iou"),
    ]


def main() -> None:
    torch.set_num_threads(1)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for env in ENVS:
        if env not in {row["env"] for row in read(AGREEMENT)}:
            append_rows(AGREEMENT, agreement(env))
    done = {(row["env"], row["credit"], int(row["seed"])) for row in read(RUNS)}
    for seed, env, credit in itertools.product(SEEDS, ENVS, CREDITS):
        if known(env, credit) and (env, credit, seed) not in done:
            row = one_run(env, credit, seed)
            append_rows(RUNS, [row])
            print(*row.values(), flush=True)
            PAGE.write_text(page(read(RUNS), read(AGREEMENT)), encoding="utf-8")
    PAGE.write_text(page(read(RUNS), read(AGREEMENT)), encoding="utf-8")


if __name__ == "__main__":
    main()
