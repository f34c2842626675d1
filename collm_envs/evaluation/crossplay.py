"""Teams mixed seat by seat: who plays which seat, and what a team earns with partners it has not met.

A matrix over teams.  In cell (i, j) the first agent is of team i and the others are of team i or j, at least
one of j; with two agents there is one such seating.  All cells play the same pairs of item and episode seed,
so that differences between cells are differences between teams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from random import Random
from typing import NamedTuple

import numpy as np

from collm_envs.evaluation.stats import Pair, Summary, strata, summary

MOST_SEATINGS = 8
"""seatings of a cell that are played; of more, so many are drawn"""
Seating = tuple[int, ...]
"""the number of the team (from 0) that plays each agent, in the agents' order"""


class TeamResult(NamedTuple):
    """What a team earns with itself and with the others."""

    self_play: Summary
    cross_play: Summary
    """the mean of all cells in which the team meets another one"""
    gap: Summary
    """self-play less cross-play, pair by pair"""


def seatings(row: int, column: int, agents: int, most: int = MOST_SEATINGS) -> list[Seating]:
    """The seatings of a cell of the matrix; the same sample for the same cell, where there are too many."""
    if row == column:
        return [(row,) * agents]
    every = [(row, *seats) for seats in product((row, column), repeat=agents - 1) if column in seats]
    return every if len(every) <= most else Random(f"collm/crossplay/{row}/{column}").sample(every, most)


def results(
    matrix: Mapping[tuple[int, int], Mapping[Pair, float]], teams: int
) -> tuple[list[list[Summary]], list[TeamResult]]:
    """(summary of each cell, result of each team) of returns by cell and pair.

    Counted are the pairs that every cell has played; intervals are over these pairs.  Raises ValueError where
    there is none.
    """
    pairs = [pair for pair in matrix[0, 0] if all(pair in cell for cell in matrix.values())]
    if not pairs:
        raise ValueError("no episode was played to its end in every cell of the matrix")
    returns = np.array([[[matrix[i, j][pair] for pair in pairs] for j in range(teams)] for i in range(teams)])
    columns = strata(pairs)

    def of(values: np.ndarray) -> Summary:
        return summary(values[None], columns)

    cells = [[of(returns[i, j]) for j in range(teams)] for i in range(teams)]
    by_team = []
    for i in range(teams):
        met = [returns[cell] for j in range(teams) if j != i for cell in ((i, j), (j, i))]
        alone, crossed = returns[i, i], np.mean(met, axis=0)
        by_team.append(TeamResult(of(alone), of(crossed), of(alone - crossed)))
    return cells, by_team


def shares(seats: Sequence[Seating], jobs: int) -> list[range]:
    """Which jobs (by number) each seating of a cell plays: every cell plays all of them once."""
    return [range(k, jobs, len(seats)) for k in range(len(seats))]
