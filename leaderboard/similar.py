"""How much of an entry reads like another one, or like the task's own expert.

A warning and no proof: a task with one right answer makes honest entries alike.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping
from random import Random

from collm_envs import Task
from collm_envs.policies import seat_seed
from collm_envs.record import Record, states

KEPT = 64
"""hashes of a sketch"""
ALIKE = 0.9
"""Jaccard similarity from which two episodes count as near-duplicates"""
Sketch = frozenset[int]
Sketches = Mapping[tuple[str, int], list[Sketch]]
"""by item and seed"""


def sketch(texts: Iterable[str]) -> Sketch:
    """The least hashes of all runs of three words (Broder 1997); order of lines and layout hardly matter."""
    found: set[int] = set()
    for text in texts:
        words = re.findall(r"\w+", text.lower()) or [""]
        triples = zip(words, words[1:], words[2:], strict=False) if len(words) > 2 else [words]
        found.update(zlib.crc32(" ".join(some).encode()) for some in triples)
    return frozenset(sorted(found)[:KEPT])


def similarity(a: Sketch, b: Sketch) -> float:
    """The estimated Jaccard similarity of what two sketches were made of."""
    least = sorted(a | b)[:KEPT]
    return sum(one in a and one in b for one in least) / len(least) if least else 1.0


def written(record: Record) -> Sketch:
    """The sketch of all texts of an episode."""
    return sketch(text for turn in record.turns for text in turn["texts"].values())


def by_expert(task: Task, record: Record) -> Sketch:
    """What the expert would have written where this episode stood, turn by turn."""
    texts = []
    for t, state in enumerate(states(record)[:-1]):
        for agent in task.agents:
            rng = Random(seat_seed(record.item, record.seed, record.trial, agent, t))
            texts.append(task.players["expert"](task, state, agent, rng))
    return sketch(texts)


def share(mine: Sketches, others: Sketches) -> float:
    """The share of my episodes that are near-duplicates of one of the others' of the same item and seed."""
    alike = [
        any(similarity(one, other) >= ALIKE for other in others.get(pair, ()))
        for pair, some in mine.items()
        for one in some
    ]
    return sum(alike) / len(alike)
