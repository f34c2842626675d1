"""A run of studies/claim.py: its task, its method, the rows that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from statistics import fmean
from typing import Any, NamedTuple

import claim_games
from claim_task import PaidAtTheEnd

from baselines.lm.policy import History
from baselines.lm.tiny import model as tiny
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.runs.algorithms import algorithm
from baselines.runs.budget import Budget
from collm_envs import make_task
from collm_envs.task import Task


class Setting(NamedTuple):
    """A task as the embedded model plays it."""

    env_kwargs: Mapping[str, Any]
    tokens: int
    """limit of a text"""
    history: History
    taught: int | None
    """turns of the warm start's episodes, messages counted; None: those of the run's own"""
    talk: int = 0
    """rounds of messages before a turn of building, each a turn, too"""


SETTINGS = {
    "StrBuild-v0": Setting(
        {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "self_contained": True},
        100,
        "last turn",
        taught=2,
    ),
    "HouseBuild-v1": Setting({"prompts": "terse"}, 64, "full", taught=None, talk=1),
    "StrBuild-v1": Setting({"prompts": "terse"}, 80, "full", taught=2, talk=1),
}
JOINT_TURNS, EPISODES, STEPS, MEASURES = 64, 16, 16, 2
"""least joint turns and least episodes of a step, steps of a run, evaluations after the untrained one"""
EVALUATION = 64
"""held-out episodes of a measure"""
OURS, C3, SILENT = claim_games.OURS, claim_games.C3, claim_games.SILENT
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
    SILENT: ("ridge", {"lam": 0.9, "counterfactual": True}),
    OURS: ("ridge", claim_games.ALTERNATIVES),
    NEWEST: ("maac", {**CRITIC, "lam": 0.9, "critic_history": "last turn"}),
    "difference credit": ("reinforce", {**LEAVE_ONE_OUT, "credit": "difference"}),
    "Shapley credit": ("reinforce", {**LEAVE_ONE_OUT, "credit": "shapley"}),
}
CRITIC_RATE = 1e-3
KEY = ("env", "turns", "reward", "method", "seed", "rates")
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


class Arm(NamedTuple):
    """A method in a cell, which is a task, a horizon and a reward."""

    env: str
    turns: int
    reward: str
    method: str

    @property
    def tuned_at(self) -> Arm:
        """The arm whose trials choose the learning rates of this one: its own with rewards at the end."""
        borrows = self.method == SILENT and self.turns > 1
        return Arm(self.env, self.turns, "final", "ridge" if borrows else self.method)


def kwargs_of(env: str, turns: int) -> dict[str, Any]:
    """The keywords of an environment whose episodes have so many turns, messages counted."""
    setting = SETTINGS[env]
    built, rest = divmod(turns, 1 + setting.talk)
    if rest:
        raise ValueError(f"{env}: {turns} turns with {setting.talk} rounds of messages before each")
    return {**setting.env_kwargs, "max_turns": built} | ({"talk": setting.talk} if setting.talk else {})


def task_of(arm: Arm) -> Task:
    """The task of an arm."""
    task = make_task(arm.env, **kwargs_of(arm.env, arm.turns))
    return task if arm.reward == "dense" else PaidAtTheEnd(task)


def config_of(arm: Arm, seed: int, rates: dict[str, float], model: str = "tiny") -> Any:
    """The settings of a run."""
    kind, own = METHODS[arm.method]
    setting = SETTINGS[arm.env]
    return algorithm(kind).Config(
        env=arm.env,
        env_kwargs=kwargs_of(arm.env, arm.turns),
        model=model,
        max_new_tokens=setting.tokens,
        history=setting.history,
        normalize=True,
        seed=seed,
        steps=10_000,
        checked_turns=0,
        **sizes(arm),
        **own,
        **rates,
    )


def warm_started(arm: Arm) -> str:
    """The folder of the model that all runs of a cell begin with, taught by noisy play."""
    return str(tiny.folder(arm.env, taught_kwargs(arm), SETTINGS[arm.env].history))


def taught_kwargs(arm: Arm) -> dict[str, Any]:
    """The keywords of the episodes that a warm start is taught by."""
    return kwargs_of(arm.env, SETTINGS[arm.env].taught or arm.turns)


def sizes(arm: Arm) -> dict[str, int]:
    """Episodes of a step, of a tree its groups too."""
    if METHODS[arm.method][0] != "magrpo":
        return {"episodes": least_joint_turns(arm) // arm.turns}
    return claim_games.tree_sizes(arm.turns, least_joint_turns(arm))


def least_joint_turns(arm: Arm) -> int:
    """Joint turns of a step, but for trees, which come near."""
    return max(JOINT_TURNS, EPISODES * arm.turns)


def joint_turns(arm: Arm) -> int:
    """Joint turns of a step."""
    return claim_games.joint_turns(sizes(arm), arm.turns)


def rates_of(method: str, lr: float) -> dict[str, float]:
    """The learning rates of a run at this actor's rate."""
    return {"lr": lr} | ({"critic_lr": CRITIC_RATE} if METHODS[method][0] == "maac" else {})


def label(rates: Mapping[str, float]) -> str:
    """Rates as they are written into rows."""
    return "/".join(f"{rate:g}" for rate in rates.values())


def texts_written(method: str) -> int:
    """How many texts are written for each that is played: that text and its alternatives."""
    kind, own = METHODS[method]
    if own.get("credit") == "counterfactual":
        return 1 + algorithm(kind).Config.credit_samples
    return 1 + own.get("alternatives", 0)


def one_run(arm: Arm, seed: int, rates: dict[str, float]) -> list[dict[str, Any]]:
    """A run: its rows, before the first step and at each measure."""
    task = task_of(arm)
    config = config_of(arm, seed, rates, warm_started(arm))
    module = algorithm(METHODS[arm.method][0])
    team, budget = module.team(config, task), Budget(float("inf"))
    size = joint_turns(arm)
    all_turns = size * max(1, round(least_joint_turns(arm) * STEPS / size))
    rows: list[dict[str, Any]] = []
    tokens, newest = 0.0, [{"explained_variance": 0.0, "advantage_variance": 0.0}]

    def measure() -> None:
        earned = held_out(task, team) if team.step else before(arm.env, arm.turns)
        means = [fmean(step.get(name, 0.0) for step in newest) for name in FIELDS[-2:]]
        at = (team.step, team.step * size, round(tokens), round(budget.spent, 2))
        values = (*arm, seed, label(rates), *at, *(round(x, 5) for x in (earned, *means)))
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
    """The mean return on held-out episodes."""
    return rollout_metrics(play(task, eval_starts(task, EVALUATION), team.policies, "claim"))["return"]


@cache
def before(env: str, turns: int) -> float:
    """The mean return on held-out episodes that all runs of this horizon begin with."""
    arm = Arm(env, turns, "dense", "leave-one-out")
    task = task_of(arm)
    return held_out(task, algorithm("reinforce").team(config_of(arm, 0, {}, warm_started(arm)), task))
