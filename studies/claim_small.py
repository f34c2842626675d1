"""Relay, the game of studies/claim_games.py, with language models and their critics in place of tables.

Policies and critics are language models of 25,000 parameters that know some twenty words; they are the
trainers' own in every other respect: a critic reads the joint history (CC) or its agent's own (DC) as text.
All runs begin with one model, taught to write each of the three words with the same chance. A policy reads
its newest prompt alone, the number of the turn; joint turns of a step, trials and measures are as in the
tables.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from tempfile import mkdtemp
from typing import Any

import claim_games
import torch
from claim_games import AGENTS, EACH, TEXTS, WORDS, K, Relay, joint_turns, sizes

from baselines import maac, magrpo, reinforce, ridge
from baselines.lm.history import Message, Move
from baselines.lm.policy import LM
from baselines.lm.scoring import token_logp
from baselines.runs.budget import Budget, append_rows, read_results

sys.path.append(str(Path(__file__).parents[1] / "tests/support"))
from lm_fixtures import save, tiny_lm, words_tokenizer
from lm_fixtures import set_answers as teach

FOLDER = Path(__file__).parent / "results/claim"
ROWS, TRIALS = FOLDER / "small.csv", FOLDER / "small-trials.csv"
CELLS = (("final", 8), ("final, each", 8))
STEPS, MEASURES, SEEDS, TUNING = 40, 10, (0, 1, 2, 3, 4), 100
VOCABULARY = [*map(str, range(8)), *(f"[{agent}" for agent in AGENTS), "wrote]", "reads]"]
CRITIC = {"critic_lr": 1e-2}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "CC, TD(0)": (maac, {**CRITIC, "lam": 0.0}),
    "CC, GAE 0.9": (maac, {**CRITIC, "lam": 0.9}),
    "DC, GAE 0.9": (maac, {**CRITIC, "lam": 0.9, "critic": "decentral"}),
    "MAGRPO": (magrpo, {}),
    "leave-one-out": (reinforce, {"baseline": "leave-one-out", "group": 8}),
    "ridge, replayed": (ridge, {"lam": 0.9}),
}
RATES = (3e-3, 1e-2, 3e-2)


@cache
def uniform() -> str:
    """The folder of the model that all runs begin with."""
    folder = Path(mkdtemp())
    tokenizer = words_tokenizer(VOCABULARY)
    lm = tiny_lm("qwen3", tokenizer)
    teach(lm, {str(turn): dict.fromkeys(WORDS, 1 / K) for turn in range(8)})
    save(folder, "qwen3", tokenizer)
    lm.save_pretrained(folder)
    return str(folder)


def one_run(reward: str, turns: int, method: str, seed: int, rate: float) -> Iterator[dict[str, Any]]:
    """The expected returns of a run's policies, at equal shares of its steps."""
    algorithm, own = METHODS[method]
    size, task = joint_turns(algorithm, turns), Relay(turns, reward)
    steps = max(1, TEXTS * STEPS // size)
    config = algorithm.Config(
        model=uniform(),
        steps=steps,
        seed=seed,
        lr=rate,
        max_new_tokens=1,
        history="last turn",
        device="cpu",
        normalize=True,
        checked_turns=0,
        **own,
        **sizes(algorithm, turns),
    )
    untyped: Any = task
    team, budget = algorithm.team(config, untyped), Budget(float("inf"))

    def measured(metrics: dict[str, float]) -> dict[str, Any]:
        earned = round(expected(team.policies, task), 5)
        values = (
            reward,
            turns,
            method,
            seed,
            rate,
            team.step,
            team.step * size,
            round(budget.spent, 3),
            earned,
        )
        explained = round(metrics.get("explained_variance", 0.0), 4)
        return dict(zip(claim_games.FIELDS, values, strict=True)) | {"explained_variance": explained}

    yield measured({})
    for metrics in budget.within(algorithm.train(config, untyped, team)):
        if team.step % max(1, steps // MEASURES) == 0:
            yield measured(metrics)


def expected(policies: dict[str, LM], task: Relay) -> float:
    """The exact expected return, as in the tables."""
    chances = []
    for turn in range(task.max_turns):
        probs = []
        for policy in policies.values():
            prompt = Message(None, policy.renderer.first(str(turn)), str(turn))
            ids = policy.tokenizer(WORDS[turn % K], add_special_tokens=False)["input_ids"]
            (logp,) = token_logp(policy, [Move(prompt, ids)])
            probs.append(float(logp.sum().exp()))
        chances.append(fmean(probs) if task.reward.endswith(EACH) else probs[0] * probs[1])
    return fmean(chances)


def chosen_rate(method: str) -> float:
    """The rate with the largest area on the tuning seed, in the first cell; missing trials are made."""
    for rate in RATES:
        if (method, str(rate)) not in {(row["method"], row["rate"]) for row in read_results(TRIALS)}:
            value = area([*one_run(*CELLS[0], method, TUNING, rate)])
            append_rows(TRIALS, [{"method": method, "rate": rate, "seed": TUNING, "area": round(value, 5)}])
    areas = {
        float(row["rate"]): float(row["area"]) for row in read_results(TRIALS) if row["method"] == method
    }
    return max(areas, key=areas.__getitem__)


def area(rows: Sequence[dict[str, Any]]) -> float:
    """Mean return over a run's measures."""
    return fmean(float(row["return"]) for row in rows)


def missing() -> Iterator[tuple[str, int, str, int]]:
    """Runs that are not there yet, seed by seed."""
    done = {(row["reward"], row["turns"], row["method"], row["seed"]) for row in read_results(ROWS)}
    for reward, turns in CELLS:
        for seed in SEEDS:
            for method in METHODS:
                if (reward, str(turns), method, str(seed)) not in done:
                    yield reward, turns, method, seed


def make(most: int = 1000) -> None:
    """Runs that are missing, `most` of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for _, (reward, turns, method, seed) in zip(range(most), list(missing()), strict=False):
        append_rows(ROWS, [*one_run(reward, turns, method, seed, chosen_rate(method))])
        print(reward, turns, method, seed, flush=True)
