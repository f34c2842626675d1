"""One step of every policy of a team on its agents' lessons: the same for every algorithm."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from baselines.formulas.advantages import whiten
from baselines.lm.history import Move
from baselines.lm.learning import Beside, Lesson, reference_logp, token_logp
from baselines.lm.policy import LM
from baselines.train.settings import Settings
from baselines.train.team import Team


def update_team(
    team: Team,
    lessons: Mapping[str, Lesson],
    settings: Settings,
    beside: Mapping[str, Beside] = MappingProxyType({}),
) -> dict[str, float]:
    """Every policy learns from the lessons of its agents (lm/learning.py).   -> averages to log

    `pushed` is the share of texts with an advantage other than 0: none where every group earned alike.

    `beside`: policy name -> additional loss of its steps.
    """
    metrics: dict[str, list[float]] = {}
    for name, agents in team.members().items():
        joined = Lesson()
        for agent in agents:
            lesson = lessons[agent]
            advantages = torch.tensor(lesson.advantages, dtype=torch.float64)
            if settings.normalize:  # each agent by itself, also where weights are shared
                advantages = normalized(advantages)
            joined.moves += lesson.moves
            joined.advantages += advantages.tolist()
            joined.weights += [weight / len(agents) for weight in lesson.weights]
        logged = team.policies[agents[0]].learn(joined, settings.objective, beside.get(name))
        for key, value in logged.items():
            metrics.setdefault(key, []).append(value)
    texts = [advantage for lesson in lessons.values() for advantage in lesson.advantages]
    pushed = sum(advantage != 0 for advantage in texts) / max(1, len(texts))
    return {key: sum(values) / len(values) for key, values in metrics.items()} | {"pushed": pushed}


def normalized(advantages: Tensor) -> Tensor:
    """Advantages of a step with mean 0 and deviation 1; a lone one stays as it is, with a warning.

    (M,) -> (M,)
    """
    if len(advantages) > 1:
        return whiten(advantages)
    warnings.warn(
        "normalize: a step with a single text of an agent has nothing to be scaled by; its advantage stays "
        "as it is (said once; more episodes a step give more texts)",
        stacklevel=2,
    )
    return advantages


def log_ratios(policy: LM, moves: Sequence[Sequence[Move]]) -> list[list[Tensor]]:
    """log pi / pi_0 of every token drawn, at the prompt that was read; zeros without a reference.

    Both are computed by the same scoring pass: sampling in lower precision would add its rounding error to
    the KL.

    moves: episodes of one model's texts -> for each a (tokens,) float64 tensor
    """
    flat = [move for episode in moves for move in episode]
    if policy.reference is None:
        ratios = [torch.zeros(len(move.ids), dtype=torch.float64) for move in flat]
    else:
        frozen = reference_logp(policy, flat)
        own = token_logp(policy, flat) if policy.autocast else [torch.tensor(move.logp) for move in flat]
        ratios = [p.double().cpu() - p_0.double().cpu() for p, p_0 in zip(own, frozen, strict=True)]
    remaining = iter(ratios)
    return [[next(remaining) for _ in episode] for episode in moves]
