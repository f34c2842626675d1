"""Every algorithm learns a small task, in every way of holding the weights: from a tenth to above 0.85.

Each agent reads which of two questions it is and must answer with the right one of ten words; other words
earn nothing, so a random policy earns less than 0.1.  Two agents with a shared reward can end in a worse
equilibrium: one settles on a wrong word before it has ever seen the right one paid, and then earns what the
other earns (0.75 and 0.5 of the team's reward).  An entropy bonus keeps every word alive until then.
"""

from functools import cache

import pytest
import torch
from lm_fixtures import save, score, words_tokenizer
from toy_games import Answer

from baselines import maac, magrpo, reinforce


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """seed -> two models with tokenizers of their own, and one with outputs wide enough to train adapters."""
    words = Answer.vocabulary()

    @cache
    def of_seed(seed):
        root = tmp_path_factory.mktemp("learners")
        return {
            "one": save(root / "one", "qwen3", words_tokenizer(words), 2 * seed),
            "other": save(root / "other", "llama", words_tokenizer(words[::-1]), 2 * seed + 1),
            "wide": save(root / "wide", "qwen3", words_tokenizer(words), 2 * seed, scale=10.0),
        }

    return of_seed


REINFORCE = {"baseline": "leave-one-out"}
SLOW = {"lr": 5e-3, "critic_lr": 5e-3}
ADAPTERS = {"model": "wide", "lora_rank": 8, "entropy": 0.05}
CASES = {
    "REINFORCE, no baseline": (reinforce, {"baseline": "none", "lr": 5e-3}),
    "REINFORCE, mean": (reinforce, {"baseline": "mean"}),
    "REINFORCE, leave one out": (reinforce, REINFORCE),
    "REINFORCE, max": (reinforce, {"baseline": "max", "group": 8, "episodes": 128, "entropy": 0.05}),
    "REINFORCE, one agent": (reinforce, {**REINFORCE, "agents": 1}),
    "MAGRPO, aligned": (magrpo, {}),
    "MAGRPO, cross": (magrpo, {"joint": "cross", "group": 3, "episodes": 128, "lr": 5e-3}),
    "MAGRPO, a tree of two turns": (magrpo, {"turns": 2, "group": 3, "lr": 5e-3}),
    "MAGRPO, by deviation": (magrpo, {"divide_by_std": True}),
    "CC, TD(0)": (maac, {"turns": 2, "lr": 5e-3}),
    "CC, Monte Carlo": (maac, {"turns": 2, "lam": 1.0, "lr": 5e-3}),
    "DC, TD(0)": (maac, {"turns": 2, "critic": "decentral", "lr": 5e-3}),
    "DC, Monte Carlo": (maac, {"turns": 2, "critic": "decentral", "lam": 1.0, "lr": 5e-3}),
    "DC on the actors": (maac, {"critic": "decentral", "critic_on_actor": True, **SLOW}),
    "CC on the shared actor": (maac, {"critic_on_actor": True, "shared": True, **SLOW}),
    "shared": (reinforce, {**REINFORCE, "shared": True}),
    "two models": (reinforce, {**REINFORCE, "models": ("one", "other")}),
    "adapters": (reinforce, {**REINFORCE, **ADAPTERS, "lr": 5e-3}),
    "CC on adapters": (maac, {**ADAPTERS, **SLOW}),
    "KL and entropy": (reinforce, {**REINFORCE, "kl": 0.01, "entropy": 0.03}),
    "clip and epochs": (reinforce, {**REINFORCE, "clip": 0.2, "epochs": 3, "lr": 5e-3}),
    "token ratio, normalised": (
        reinforce,
        {**REINFORCE, "ratio": "token", "length": "mean", "normalize": True},
    ),
    "the last turn alone": (reinforce, {**REINFORCE, "turns": 2, "history": "last turn"}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_learns(folders, name, training_seed):
    folders = folders(training_seed)
    algorithm, changes = CASES[name]
    changes = {"model": "one", **changes}
    task = Answer(num_agents=changes.pop("agents", 2), turns=changes.pop("turns", 1))
    changes["model"] = folders[changes["model"]]
    changes["models"] = tuple(folders[model] for model in changes.get("models", ()))
    base = {"episodes": 64, "lr": 1e-2, "max_new_tokens": 1, "steps": 160, "device": "cpu"}
    base |= {"entropy": 0.02, "seed": training_seed}
    if algorithm is maac:
        base["critic_lr"] = 1e-2
    config = algorithm.Config(**base | changes)
    team = algorithm.team(config, task)
    assert score(task, team) < 0.15
    returns = []
    for metrics in algorithm.train(config, task, team):
        returns.append(metrics["return"])
        if sum(returns[-4:]) > 4 * 0.92:
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
