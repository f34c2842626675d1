"""`collm play`: one episode at the terminal, by a person, by policies, or by both."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from baselines.cli.screen import Screen
from baselines.cli.seating import Seating, kinds, viewing
from baselines.cli.terminal import console, flags, note
from collm_envs import TextEnv, writers
from collm_envs.evaluation.headline import definition, headline, score_range
from collm_envs.evaluation.measures import measures
from collm_envs.policies.local import Human
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import seat_all, take_seat
from collm_envs.record import record, write

out = console()


@dataclass
class Play(Seating):
    """Play one episode at the terminal.  Whom --agent does not name is played by --policy, agent_0 by you.

    A text ends with a line that holds a single dot.  A line `?` shows the world with what you have typed,
    `!last` stands for your text of the turn before.
    """

    policy: str = "expert"
    """who plays the agents that are not named"""
    blind: bool = False
    """show you what the agent is told and nothing else until the end, as a model would play"""
    item: str | None = None
    """id of the item; default: drawn by the seed"""
    split: str = "train"
    """train or eval"""
    seed: int = 0
    """of the episode"""
    out: Path | None = None
    """write the record here (.jsonl or .jsonl.gz), also when stopped by Ctrl-C; no file may be there yet"""


def play(args: Sequence[str]) -> int:
    """Run the command line after `collm play`; 130 where the player stopped."""
    settings = flags(Play, args, "collm play")
    env = settings.make()
    named = {env.possible_agents[0]: "human", **settings.named()}
    if settings.blind:
        named = {agent: "human:blind" if policy == "human" else policy for agent, policy in named.items()}
    policies = seat_all(env.task, settings.policy, named, kinds(env))
    env.reset(
        seed=settings.seed,
        options={"split": settings.split} if settings.item is None else {"item": settings.item},
    )
    if settings.out is not None:
        _claim(settings.out)
    usage: list[dict[str, Any]] = []
    try:
        _play_turns(env, policies, usage)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        note(out, f"stopped after {len(env.turns)} of {env.task.max_turns} turns")
        return 130
    finally:  # whatever ended it, the turns that were played are kept
        _conclude(settings, env, policies, usage)
    return 0


def _play_turns(env: TextEnv, policies: dict[str, Policy], usage: list[dict[str, Any]]) -> None:
    """Play to the end of the episode; appends the usage of each turn's replies to `usage`."""
    screen = Screen(env, policies)
    blind = any(isinstance(policy, Human) and policy.blind for policy in policies.values())
    for agent, policy in policies.items():
        if isinstance(policy, Human) and not blind:
            policies[agent] = replace(policy, preview=screen.preview)
    while env.agents:
        texts, usages = dict.fromkeys(env.agents, ""), {}
        for agent in writers(env.task, env.snapshot):
            (reply,) = policies[agent].act([take_seat(env, agent, policies[agent])])
            if reply.error:
                raise RuntimeError(f"{agent} has no text: {reply.error}")
            texts[agent], usages[agent] = reply.text, dict(reply.usage)
        env.step(texts)
        usage.append(usages)
        screen.take_up()
        if not blind:
            out.print(screen.panel(len(env.turns)))
    for t in range(1, len(env.turns) + 1) if blind else ():
        out.print(screen.panel(t))


def _claim(path: Path) -> None:
    """Create the output file before playing, so that an unwritable or existing path fails at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.open("x").close()
    except FileExistsError:
        raise ValueError(f"--out {path} is there already; it is not overwritten, name another") from None


def _conclude(settings: Play, env: TextEnv, policies: dict[str, Policy], usage: list[dict[str, Any]]) -> None:
    """The score of what was played, and its record where one was asked for."""
    if not env.turns:
        if settings.out is not None:
            settings.out.unlink()
        return
    played = record(env, {agent: policy.name for agent, policy in policies.items()}, usage=usage)
    numbers, (_, highest) = measures(played), score_range(played.turns, env.task.reward_range)
    out.print()
    note(out, headline(numbers["score"], highest, numbers["return"], len(env.turns)), "bold")
    note(out, definition(played.turns, env.task.reward_range), "dim")
    if settings.out is not None:
        write([played], settings.out)
        where = f"record in {settings.out}; look at it with  {viewing(settings.env, settings.out)}"
        note(out, where, copied=True)
