"""Every algorithm learns a small task, in every way of holding the weights: from a tenth to above 0.85.

Each agent reads which of two questions it is, or which turn, and must answer with the right one of ten words;
other words earn nothing, so a random policy earns less than 0.1.

What makes a run fail, found by looking at those that did:
- Steps of Adam near the size of the weights: one of them makes a policy that was right forget which question
  it reads, at any time.  Hence weights four times as wide as a fresh model's at learning rates of 0.01 and
  below, which fall, and training that goes on where the newest step was such a one.
- A policy that settles on a wrong word before it has seen the right one paid often enough, by sampling noise
  or by the other agent's luck in a shared reward, and then earns 0.75 or 0.5: a worse equilibrium.  Hence an
  entropy bonus of a tenth of what a right word earns, which keeps every word alive until then, and more
  episodes where a baseline leaves much noise (the maximum).
"""

from functools import cache

import pytest
import torch
from folders import ROOT
from lm_fixtures import save, score, words_tokenizer
from toy_games import Answer

from baselines import reinforce
from baselines.runs.algorithms import algorithm as algorithm_of
from baselines.runs.algorithms import names


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """seed -> two models with tokenizers of their own, and one with outputs wide enough to train adapters."""
    words = Answer.vocabulary()

    @cache
    def of_seed(seed):
        root = tmp_path_factory.mktemp("learners")
        return {
            "one": save(root / "one", "qwen3", words_tokenizer(words), 2 * seed, scale=4.0),
            "other": save(root / "other", "llama", words_tokenizer(words[::-1]), 2 * seed + 1, scale=4.0),
            "wide": save(root / "wide", "qwen3", words_tokenizer(words), 2 * seed, scale=12.0),
        }

    return of_seed


REINFORCE = {"baseline": "leave-one-out"}
SLOW = {"lr": 5e-3, "critic_lr": 5e-3}
TWO_TURNS = {"turns": 2, "questions": 1, "entropy": 0.03}
"""the second turn's word is another than the first's: as many answers as two questions have in one turn"""
ONE_AGENT = {"agents": 1, "entropy": 0.1}
"""a right word earns it twice as much as one of two agents"""
ADAPTERS = {"model": "wide", "lora_rank": 8, "episodes": 128}
CASES = {
    "REINFORCE, no baseline": ("reinforce", {"baseline": "none", "lr": 5e-3}),
    "REINFORCE, mean": ("reinforce", {"baseline": "mean"}),
    "REINFORCE, leave one out": ("reinforce", REINFORCE),
    "REINFORCE, max": (
        "reinforce",
        {"baseline": "max", "group": 16, "episodes": 128, "lr": 5e-3, **ONE_AGENT},
    ),
    "REINFORCE, one agent": ("reinforce", {**REINFORCE, **ONE_AGENT}),
    "MAGRPO, aligned": ("magrpo", {}),
    "MAGRPO, cross": ("magrpo", {"joint": "cross", "group": 3, "episodes": 128, "lr": 5e-3}),
    "MAGRPO, a tree of two turns": ("magrpo", {"group": 3, **TWO_TURNS}),
    "MAGRPO, by deviation": ("magrpo", {"divide_by_std": True}),
    "CC, TD(0)": ("maac", {"lam": 0.0, **TWO_TURNS}),
    "CC, Monte Carlo": ("maac", {"lam": 1.0, **TWO_TURNS}),
    "DC, TD(0)": ("maac", {"critic": "decentral", "lam": 0.0, **TWO_TURNS}),
    "DC, Monte Carlo": ("maac", {"critic": "decentral", "lam": 1.0, **TWO_TURNS}),
    "DC on the actors": ("maac", {"critic": "decentral", "critic_on_actor": True, **SLOW}),
    "CC on the shared actor": ("maac", {"critic_on_actor": True, "shared": True, **SLOW}),
    "ridge and replay": ("ridge", {"counterfactual": True, **TWO_TURNS}),
    "ridge and alternatives": ("ridge", {"counterfactual": True, "alternatives": 3, **TWO_TURNS}),
    "shared": ("reinforce", {**REINFORCE, "shared": True}),
    "two models": ("reinforce", {**REINFORCE, "models": ("one", "other")}),
    "adapters": ("reinforce", {**REINFORCE, **ADAPTERS}),
    "CC on adapters": ("maac", ADAPTERS),
    "KL and entropy": ("reinforce", {**REINFORCE, "kl": 0.01}),
    "clip and epochs": ("reinforce", {**REINFORCE, "clip": 0.2, "epochs": 3, "lr": 3e-3}),
    "token ratio, normalised": (
        "reinforce",
        {**REINFORCE, "ratio": "token", "length": "mean", "normalize": True},
    ),
    "the last turn alone": ("reinforce", {**REINFORCE, **TWO_TURNS, "history": "last turn"}),
}


ELSEWHERE = {
    "cory": "test_cory.py",
    "mixing": "test_mixing.py",
    "qllm": "test_qllm.py",
}
"""algorithm -> the file beside this one that tests it instead: CORY's two models learn from one another, the
mixers play discrete games, and QLLM trains nothing"""


def test_every_algorithm_has_a_row_here_or_tests_of_its_own():
    files = {path.stem for path in (ROOT / "baselines").glob("[!_]*.py")}
    assert set(names()) <= files
    assert {kind for kind, _ in CASES.values()} | set(ELSEWHERE) == files
    assert all((ROOT / "tests/baselines" / file).is_file() for file in ELSEWHERE.values())


@pytest.mark.parametrize("name", CASES)
def test_it_learns(folders, name, training_seed):
    folders = folders(training_seed)
    kind, changes = CASES[name]
    algorithm = algorithm_of(kind)
    changes = {"model": "one", **changes}
    agents, turns, questions = (changes.pop(*it) for it in (("agents", 2), ("turns", 1), ("questions", 2)))
    task = Answer(num_agents=agents, turns=turns, questions=questions)
    changes["model"] = folders[changes["model"]]
    changes["models"] = tuple(folders[model] for model in changes.get("models", ()))
    base = {"episodes": 64, "lr": 1e-2, "max_new_tokens": 1, "steps": 160}
    base |= {"entropy": 0.05, "seed": training_seed, "schedule": "linear", "device": "cpu"}
    if kind == "maac":
        base["critic_lr"] = 1e-2
    config = algorithm.Config(**base | changes)
    team = algorithm.team(config, task)
    assert score(task, team) < 0.15
    returns = []
    for metrics in algorithm.train(config, task, team):
        returns.append(metrics["return"])
        if sum(returns[-4:]) > 4 * 0.94 and score(task, team) > 0.9:  # the newest step may have spoiled it
            break
    assert score(task, team) > 0.85, [round(value, 2) for value in returns]


def test_a_reward_that_tells_nothing_teaches_nothing(folders):
    task = Answer()
    config = reinforce.Config(model=folders(0)["one"], device="cpu", max_new_tokens=1, steps=3, lr=0.1)
    team = reinforce.team(config, task)
    object.__setattr__(task, "pay", lambda state: 0.0)
    before = [p.detach().clone() for p in team.policies["agent_0"].parameters()]
    list(reinforce.train(config, task, team))
    assert all(torch.equal(a, b) for a, b in zip(before, team.policies["agent_0"].parameters(), strict=True))
