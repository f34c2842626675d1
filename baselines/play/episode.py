"""The result of a rollout: joint turns as linked nodes, which hold token histories as linked segments.

An agent's token history is a chain of `Segment`s from the newest back to the first (lm/history.py): a
`Message` is text it read, a `Move` text it wrote.  Branches of a tree share the segments of their common
past, so nothing is tokenised twice and every row that is trained on is the row that was sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from baselines.lm.history import Move
from collm_envs import Item, Score


@dataclass(eq=False)
class Node:
    """One joint turn.  Roots are turn 1; `children` are the turns played from the state `after`."""

    item: Item
    seed: int
    before: Any
    """the task's state the agents read"""
    prompts: dict[str, str]
    moves: dict[str, Move]
    after: Any
    """the task's state after their texts"""
    score: Score
    parent: Node | None = None
    children: list[Node] = field(default_factory=list)
    alternatives: dict[str, list[Move]] = field(default_factory=dict)
    """agent -> further texts sampled at this history and not played; empty unless asked for"""

    @property
    def reward(self) -> float:
        """The reward of the turn."""
        return self.score.reward

    def path(self) -> list[Node]:
        """The episode from turn 1 to this turn."""
        nodes: list[Node] = []
        node: Node | None = self
        while node is not None:
            nodes.append(node)
            node = node.parent
        return nodes[::-1]


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """All nodes of these trees, parents before children."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def by_turn(paths: Sequence[Sequence[Node]], number: Callable[[Node], float]) -> Tensor:
    """`number(node)` of every turn, zero after an episode's end.   -> (len(paths), longest) float64"""
    out = torch.zeros(len(paths), max(len(path) for path in paths), dtype=torch.float64)
    for e, path in enumerate(paths):
        out[e, : len(path)] = torch.tensor([number(node) for node in path], dtype=torch.float64)
    return out


def lasting(paths: Sequence[Sequence[Node]], t: int) -> list[int]:
    """The indices of the episodes that have a turn t, counted from 0."""
    return [e for e, path in enumerate(paths) if t < len(path)]


def episodes(roots: Sequence[Node]) -> list[list[Node]]:
    """Every root-to-leaf path, in order."""
    return [node.path() for node in walk(roots) if not node.children]


def rollout_metrics(roots: Sequence[Node]) -> dict[str, float]:
    """Mean return, metrics of the last turn, and counts of texts and tokens of these episodes.

    `token_entropy`: the mean of -log pi over the tokens that were sampled, which estimates the entropy of a
    token, in nats.  `alternative_tokens`: of the texts that were written beside those played, if any were.
    """
    paths = episodes(roots)
    moves = {id(move): move for node in walk(roots) for move in node.moves.values()}
    written = sum(len(move.ids) for move in moves.values())
    aside = {id(move): move for node in walk(roots) for texts in node.alternatives.values() for move in texts}
    out = {
        "return": sum(node.reward for path in paths for node in path) / len(paths),
        "turns": sum(len(path) for path in paths) / len(paths),
        "text_tokens": written / len(moves),
        "closed": sum(move.closed for move in moves.values()) / len(moves),
        "token_entropy": -sum(sum(move.logp) for move in moves.values()) / max(1, written),
        "tokens": float(written),
    }
    if aside:
        out["alternative_tokens"] = float(sum(len(move.ids) for move in aside.values()))
    for name in paths[0][-1].score.metrics:
        out[f"metric/{name}"] = sum(path[-1].score.metrics[name] for path in paths) / len(paths)
    return out
