"""Spiders that come to the site, and who knows of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from random import Random
from typing import NamedTuple

BITE = 2
"""health points that a spider takes each turn until it is met"""


class Spider(NamedTuple):
    """One spider of an episode."""

    turn: int
    """when it comes, counted from 1"""
    x: int
    z: int
    strength: int
    """agents that have to guard its cell in one turn"""
    watch: int
    """the number of the agent (from 0) that reads of it"""


def draw(
    seed: int, many: int, turns: int, width: int, depth: int, builders: int, agents: int
) -> tuple[Spider, ...]:
    """`many` spiders, one a turn from turn 2, at border cells; in fewer turns fewer come."""
    rng = Random(f"collm/HouseBuild-v1/spiders/{seed}")
    border = [
        (x, z) for x in range(width) for z in range(depth) if x in (0, width - 1) or z in (0, depth - 1)
    ]
    when = sorted(rng.sample(range(2, turns + 1), min(many, turns - 1)))
    spiders = []
    for turn in when:
        x, z = rng.choice(border)
        strength, watch = rng.randint(1, min(2, builders)), rng.randrange(builders)
        spiders.append(Spider(turn, x, z, strength, watch if agents > 1 else 0))
    return tuple(spiders)


def in_sight(spiders: Sequence[Spider], met: Collection[int], turn: int, agent: int) -> list[Spider]:
    """The spiders an agent reads of before `turn`: those it watches for that are here or come next."""
    return [
        spider
        for number, spider in enumerate(spiders)
        if spider.watch == agent and number not in met and spider.turn <= turn + 1
    ]


def after_night(
    spiders: Sequence[Spider],
    met: frozenset[int],
    hp: int,
    turn: int,
    guards: Mapping[tuple[int, int], int],
) -> tuple[frozenset[int], int, dict[str, float]]:
    """(numbers of all spiders that have left, health points, metrics) after a turn.

    `guards`: (x, z) -> strength of those that guard this cell in the turn.
    """
    here = {n: s for n, s in enumerate(spiders) if n not in met and s.turn <= turn}
    left = frozenset(n for n, s in here.items() if guards.get((s.x, s.z), 0) >= s.strength)
    useful = {(here[n].x, here[n].z) for n in left}
    hp = max(0, hp - BITE * (len(here) - len(left)))
    metrics = {
        "hp": float(hp),
        "spiders_met": float(len(met | left)),
        "guards_wasted": float(sum(many for cell, many in guards.items() if cell not in useful)),
        "survived": float(hp > 0),
    }
    return met | left, hp, metrics
