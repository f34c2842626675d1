"""What building tasks of difficulty 1 to 6 take alike: difficulty, slack of the stock, number of builders."""

from __future__ import annotations

from collm_envs.keywords import real_number, whole_number

SLACK = (1.5, 1.41, 1.32, 1.23, 1.14, 1.05)
"""by difficulty: blocks that there are for each that is needed"""


def check_difficulty(difficulty: int) -> int:
    """1 to 6, or a ValueError."""
    if whole_number("difficulty", difficulty, least=1) > len(SLACK):
        raise ValueError(f"difficulty: need 1 to {len(SLACK)}, got {difficulty}")
    return difficulty


def check_slack(slack: float | None, difficulty: int) -> float:
    """A slack of 1 to 100, that of the difficulty for None; ValueError for any other."""
    value = SLACK[difficulty - 1] if slack is None else real_number("slack", slack)
    if not 1 <= value <= 100:
        raise ValueError(f"slack: need a number of 1 to 100, got {slack!r}")
    return value


def check_builders(builders: int | None, num_agents: int, most: int) -> int:
    """How many agents' blocks and views there are: as many as agents, or `builders` (default 2) for one.

    Raises ValueError for more than `most`, and for a number that is not that of several agents.
    """
    if builders is None:
        builders = max(2, num_agents)
    whole_number("builders", builders, least=2)
    if builders > most:
        raise ValueError(f"num_agents, builders: need at most {most}, got {builders}")
    if num_agents > 1 and builders != num_agents:
        raise ValueError(f"builders: need {num_agents}, as many as there are agents, got {builders}")
    return builders
