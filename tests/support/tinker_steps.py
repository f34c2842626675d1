"""Runs on a Tinker server beside local ones, on the texts of the local ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tinker_stub import Service
from toy_games import any_text_game

from baselines import maac, magrpo, reinforce
from baselines.train.placement.tinker_policy import TinkerPolicy

TASK = any_text_game(turns=2)
KINDS = {
    "MAGRPO": (magrpo, {"group": 2, "schedule": "linear"}),
    "REINFORCE": (reinforce, {"group": 2, "baseline": "mean", "normalize": True}),
    "clip, two epochs, a KL": (magrpo, {"group": 2, "epochs": 2, "clip": 0.2, "kl": 0.1}),
    "tokens and their mean": (
        reinforce,
        {"epochs": 2, "clip": 0.2, "ratio": "token", "length": "mean", "warmup": 1},
    ),
    "CoLLM-CC": (maac, {"critic_lr": 1e-3}),
}
UNSAID = ("grad_norm", "gradient_share/agent_0", "gradient_share/agent_1")
"""what no server says"""


def settings(model: str, **changes: Any) -> dict[str, Any]:
    common = {"model": model, "max_new_tokens": 2, "episodes": 4, "lr": 1e-3, "steps": 3, "device": "cpu"}
    return {**common, "lora_rank": 2, **changes}


def weights(lm: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in lm.parameters()])


def assert_same_steps(model: str, name: str, service: Service, monkeypatch: Any, url: str = "") -> None:
    """Three steps of a run of this kind on the server, of which `service` has the adapters, and here."""
    algorithm, kind = KINDS[name]
    c = algorithm.Config(**settings(model, **kind))
    here = algorithm.team(c, TASK)
    untrained = weights(here.policies["agent_0"]).clone()
    logged = list(algorithm.train(c, TASK, here))
    c = algorithm.Config(**settings(model, **kind, placement="tinker", tinker_url=url))
    away = algorithm.team(c, TASK)
    for lm in service.adapters.values():
        lm.sampling = c.sampling
    monkeypatch.setattr(  # the texts of a local run
        TinkerPolicy, "converse", lambda policy, n, seed: service.adapters[policy.name].converse(n, seed)
    )
    logged_away = list(algorithm.train(c, TASK, away))
    assert (weights(here.policies["agent_0"]) - untrained).abs().max() > 1e-3
    for agent in TASK.agents:
        difference = weights(here.policies[agent]) - weights(service.adapters[agent])
        assert difference.abs().max() < 1e-6
    logged, logged_away = (
        [{key: line[key] for key in line.keys() - {*UNSAID}} for line in lines]
        for lines in (logged, logged_away)
    )
    assert logged_away == [pytest.approx(line, abs=1e-5) for line in logged]
