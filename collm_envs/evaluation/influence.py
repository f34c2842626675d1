"""What messages are worth: the same scripted players, with and without them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

from collm_envs.policies.seat import seat_seed
from collm_envs.record import Record
from collm_envs.replay import states, task_of
from collm_envs.wrappers.talk import Talk


def influence(record: Record) -> float | None:
    """Reward of an acting turn less what it is with all messages blanked; the mean over the acting turns.

    Each blanked turn starts from the recorded state, and the same players, with the same seeds, write anew.
    None where that cannot be computed: nobody talks, agents write one after the other, or some agent was no
    scripted player (a learned policy would have to be asked again).
    """
    task = task_of(record)
    if not isinstance(task, Talk) or not set(record.agents.values()) <= set(task.players):
        return None
    changes = []
    for t, (state, after) in enumerate(pairwise(states(record))):
        if task.speaking(state):
            continue
        silent = replace(state, rounds=tuple(dict.fromkeys(messages, "") for messages in state.rounds))
        texts = {
            agent: task.players[name](
                task, silent, agent, Random(seat_seed(record.item, record.seed, record.trial, agent, t))
            )
            for agent, name in record.agents.items()
        }
        changes.append(task.score(after).reward - task.score(task.play(silent, texts)).reward)
    return sum(changes) / len(changes) if changes else None
