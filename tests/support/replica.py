"""What a process of test_replicas.py runs: one replica of a policy learns its part of a lesson."""

from __future__ import annotations

from typing import Any

import torch

from baselines.lm.learning import Lesson
from baselines.train.critic import NO_CRITICS
from baselines.train.placement.host import Host
from baselines.train.settings import Settings

MOVES = 7


def learn_part(settings: dict[str, Any], rank: int, size: int, port: int, out: str) -> None:
    """Three steps on every `size`-th text from `rank` on; weights and logs are saved in `out`.

    A lone one, of size 1, joins nobody.
    """
    torch.set_num_threads(1)
    host, config = Host(), Settings(**settings)
    host.open(config, ["agent_0"], NO_CRITICS, ["agent_0"])
    policy = host.held["policy/agent_0"]
    histories = policy.converse(MOVES, 0)
    histories.read([f"q{k % 2} t0 p0" for k in range(MOVES)])
    lesson = Lesson()
    for k, move in enumerate(histories.write()):
        if k % size == rank:
            lesson.add(move, (-1.0) ** k * (k + 1), 1 / MOVES)
    if size > 1:
        host.join("127.0.0.1", port, rank, size)
    logs = [policy.learn(lesson, config.objective) for _ in range(3)]
    torch.save((policy.state_dict()["weights"], logs, len(lesson.moves)), out)
