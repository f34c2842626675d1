"""`--replicas R`: R processes with the same weights, each of which writes and learns a part of the episodes.

A step of the policy is one step of every replica, on the texts it wrote itself: gradients are summed over the
replicas before they are clipped, and since the weights of a lesson make the sum over all moves an average,
that sum is the gradient of one process with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.formulas.losses import Objective
from baselines.lm.history import Move
from baselines.lm.later import Later
from baselines.lm.learning import Beside, Lesson
from baselines.lm.policy import Sizes
from baselines.train.placement.calls import FarMove, LaterLog, LostProcess
from baselines.train.placement.proxies import FarConversations, FarPolicy


class Replicas:
    """A policy in R processes."""

    def __init__(self, parts: Sequence[FarPolicy]):
        self.parts = [*parts]
        self.name = parts[0].name

    @property
    def sizes(self) -> Sizes:
        """Those of one replica."""
        return self.parts[0].sizes

    def converse(self, n: int, seed: int) -> Histories:
        """Every replica has its share of the histories, and a generator of its own."""
        R = len(self.parts)
        shares = [range(n * r // R, n * (r + 1) // R) for r in range(R)]
        parts = {r: self.parts[r].converse(len(share), seed + r) for r, share in enumerate(shares) if share}
        return Histories(parts, [(r, k) for r, share in enumerate(shares) for k in range(len(share))])

    def publish(self) -> None:
        """Make the weights as they are now those that texts are written with."""
        for part in self.parts:
            part.publish()

    def learn(
        self, lesson: Lesson, objective: Objective, beside: Beside | None = None
    ) -> Mapping[str, float]:
        """A step of all replicas together, each on the moves that it wrote itself."""
        if beside is not None:
            raise ValueError(f"{self.name}: a policy with replicas cannot share its trunk with a critic")
        shares = [Lesson() for _ in self.parts]
        for move, advantage, weight in zip(lesson.moves, lesson.advantages, lesson.weights, strict=True):
            shares[self._home(move)].add(move, advantage, weight)
        logs = [part.learn(share, objective) for part, share in zip(self.parts, shares, strict=True)]
        return LaterLog(lambda: joined(all_of([lambda log=log: {**log} for log in logs]), shares))

    def log_ratios(self, moves: Sequence[Move]) -> Sequence[Tensor]:
        """log pi / pi_0 of every token of these moves, each where it was written."""
        return self._spread(moves, lambda part, own: part.log_ratios([moves[k] for k in own]))

    def prompt_gains(self, moves: Sequence[Move], prompts: Sequence[str]) -> Sequence[float | None]:
        """What each text's log-probability loses with another last prompt, each where it was written."""
        return self._spread(
            moves,
            lambda part, own: part.prompt_gains([moves[k] for k in own], [prompts[k] for k in own]),
        )

    def state_dict(self) -> dict[str, Any]:
        """That of the first replica, which is that of all."""
        return self.parts[0].state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, in all replicas."""
        for part in self.parts:
            part.load_state_dict(state)

    def save_pretrained(self, folder: Path) -> None:
        """What the first replica saves."""
        self.parts[0].save_pretrained(folder)

    def _spread(
        self, moves: Sequence[Move], ask: Callable[[FarPolicy, Sequence[int]], Sequence[Any]]
    ) -> Sequence[Any]:
        """What every replica answers about the moves that it wrote, by index, in the order of the moves."""
        homes = [self._home(move) for move in moves]
        owned = [[k for k, home in enumerate(homes) if home == r] for r in range(len(self.parts))]
        answers = [ask(part, own) for part, own in zip(self.parts, owned, strict=True)]

        def in_order() -> Sequence[Any]:
            by_index = {
                k: answer
                for own, given in zip(owned, answers, strict=True)
                for k, answer in zip(own, given, strict=True)
            }
            return [by_index[k] for k in range(len(moves))]

        return Later(in_order)

    def _home(self, move: Move) -> int:
        """The replica that wrote a text."""
        if not isinstance(move, FarMove) or move.batch is None:
            raise ValueError(f"{self.name}: a text that none of its replicas wrote cannot be learned from")
        return [part.process for part in self.parts].index(move.batch.process)


class Histories:
    """Histories of a policy with replicas, in the order of whoever holds them."""

    def __init__(self, parts: Mapping[int, FarConversations], rows: Sequence[tuple[int, int]]):
        self.parts = parts
        self.rows = rows
        """replica and position there of each history; the positions of a replica ascend"""

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history."""
        for r, part in self.parts.items():
            part.read([message for message, (home, _) in zip(messages, self.rows, strict=True) if home == r])

    def write(self) -> Sequence[Move]:
        """One text for each history."""
        texts = {r: part.write() for r, part in self.parts.items()}
        return Later(lambda: [texts[r][k] for r, k in self.rows])

    def pick(self, indices: Sequence[int], seed: int | None = None) -> Histories:
        """The histories at `indices`, each where it was; with a `seed` they draw from generators of it."""
        chosen: dict[int, list[int]] = {}
        rows = []
        for r, k in (self.rows[index] for index in indices):
            own = chosen.setdefault(r, [])
            rows.append((r, len(own)))
            own.append(k)
        seeds = {r: None if seed is None else seed + r for r in chosen}
        return Histories({r: self.parts[r].pick(own, seeds[r]) for r, own in chosen.items()}, rows)


def joined(logs: Sequence[Mapping[str, float]], shares: Sequence[Lesson]) -> dict[str, float]:
    """The numbers of one process with all moves, from those of replicas with a share of them each."""
    out = {key: sum(log[key] for log in logs) for key in ("policy_loss", "kl", "entropy")}
    counts = {
        "sampled_vs_scored": [len(share.moves) for share in shares],
        "token_gap": [sum(len(move.ids) for move in share.moves) for share in shares],
    }
    for key in counts.keys() & logs[0].keys():  # means over texts, and over tokens
        total = sum(log[key] * count for log, count in zip(logs, counts[key], strict=True))
        out[key] = total / max(1, sum(counts[key]))
    return {**out, "grad_norm": logs[0]["grad_norm"]}


def all_of(waits: Sequence[Callable[[], Any]]) -> list[Any]:
    """All answers.  Where replicas failed, raises what began it: the others only lost their connection."""
    answers, failures = [], []
    for wait in waits:
        try:
            answers.append(wait())
        except (LostProcess, ArithmeticError, ValueError, RuntimeError) as error:
            failures.append(error)
    for kind in (ArithmeticError, ValueError, torch.OutOfMemoryError, LostProcess, RuntimeError):
        for failure in failures:
            if isinstance(failure, kind):
                raise failure
    return answers
