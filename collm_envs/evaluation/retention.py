"""Coordination retention: the share that a team keeps of what the same policy earns as one agent.

    retention = mean return of the team / mean return of one agent with everybody's views and hands

It is 1 where dividing the work costs nothing.  There is none where the lone agent earns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from collm_envs.registry import parameters, registry

ALONE = {
    "expert": "solo",
    "mute": "solo",
    **dict.fromkeys(("parallel", "pipeline", "discussion"), "single"),
    "MAGRPO": "GRPO",
    "CoLLM-CC": "AC",
    "CoLLM-DC": "AC",
}
"""how a team plays or was trained -> the name of the same with one agent"""
OF_TEAMS = ("num_agents", "builders", "talk", "message_chars", "order")
"""keywords in which a team and the lone agent may differ"""


class Outcome(NamedTuple):
    """Mean return of one policy on one environment."""

    env: str
    kwargs: Mapping[str, Any]
    agents: int
    policy: str
    """its name; what stands before a colon or comma may be a key of `ALONE`"""
    mean: float


def retentions(outcomes: Sequence[Outcome]) -> list[float | None]:
    """The retention of each outcome; None for lone agents, and for teams whose policy did not play alone."""
    return [_retention(outcome, outcomes) for outcome in outcomes]


def _retention(team: Outcome, outcomes: Sequence[Outcome]) -> float | None:
    if team.agents < 2:
        return None
    lone = [other for other in outcomes if other.agents == 1 and _is_same_task(team, other)]
    for policy in (name_alone(team.policy), team.policy):
        for other in lone:
            if other.policy == policy:
                return team.mean / other.mean if other.mean > 0 else None
    return None


def name_alone(policy: str) -> str:
    """The name of a policy when one agent plays it: MAGRPO, lr 0.001 -> GRPO, lr 0.001."""
    for team, alone in ALONE.items():
        if policy == team or policy.startswith((f"{team}:", f"{team},")):
            return alone + policy[len(team) :]
    return policy


def _is_same_task(team: Outcome, lone: Outcome) -> bool:
    """Whether the lone agent had the team's items and rules, and the blocks and views of as many builders."""
    builders = lone.kwargs.get("builders")
    if builders is None:  # two are the default of every task that has them
        has_builders = team.env in registry and "builders" in parameters(team.env)
        builders = 2 if has_builders else team.agents
    same = [
        {name: value for name, value in outcome.kwargs.items() if name not in OF_TEAMS}
        for outcome in (team, lone)
    ]
    return team.env == lone.env and same[0] == same[1] and builders == team.agents
