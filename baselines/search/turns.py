"""Recorded turns to judge written credit functions on, with actual and counterfactual rewards.

Turns come in groups that start from one state; within a group the texts differ and come from recorded play or
from the task's scripted players.  Replays give for every turn

    R          the team's reward
    D_i        R minus the reward with agent i silent: the leave-one-out truth
    changes    the features and the reward after agent i alone wrote another text of its group
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from baselines.credit.features import TurnRow, TurnTexts, describe
from baselines.credit.language import PLACES, Refused
from baselines.play.replays import Replays
from collm_envs import Task, silence
from collm_envs.record import read

GROUP = 4
"""turns that start from one state"""


class Change(NamedTuple):
    """Turn `turn` with another text of agent `agent`, all others as they were."""

    turn: int
    agent: int
    row: TurnRow
    reward: float


@dataclass(frozen=True)
class Contexts:
    """B recorded turns of N agents, in groups that start from one state."""

    agents: int
    rows: Sequence[TurnRow]
    group: np.ndarray
    """(B,) number of the state a turn started from"""
    rewards: np.ndarray
    """(B,)"""
    truth: np.ndarray
    """(B, N) D_i"""
    reward_range: tuple[float, float]
    changes: Sequence[Change] = ()
    exchange: bool = False
    """whether agents are exchangeable: in no recorded turn did swapping two agents' texts change R"""
    others: Sequence[tuple[TurnRow, float]] = ()
    """turns and rewards of the additional teams (`other_teams`), on which gates check a function too"""
    ends: Sequence[TurnRow] = ()
    """final states of a game's episodes, for which a mixer also computes weights"""
    names: Mapping[str, Collection[str]] = field(init=False)
    """argument (ctx, feat, pair) -> names it has"""

    def __post_init__(self) -> None:
        first = self.rows[0]._asdict()
        object.__setattr__(self, "names", {argument: tuple(first[argument]) for argument in PLACES})


def gather(task: Task, groups: Sequence[Sequence[TurnTexts]], pairs: bool = False) -> Contexts:
    """Replay these turns and collect features, rewards and counterfactuals.

    Raises Refused where a feature depends on another agent's text."""
    replays, agents = Replays(task), task.agents
    turns = [turn for group in groups for turn in group]
    others = [group[(k + 1) % len(group)] for group in groups for k in range(len(group))]
    rows = describe(replays, turns, pairs)
    rewards = _rewards(replays, [(turn, turn.texts) for turn in turns])
    without = _rewards(
        replays, [(turn, {j: turn.texts[j] for j in agents if j != i}) for turn in turns for i in agents]
    )
    indices = [(b, i) for b in range(len(turns)) for i in range(len(agents))]
    changed = [
        turns[b]._replace(texts={**turns[b].texts, agents[i]: others[b].texts[agents[i]]}) for b, i in indices
    ]
    earned = _rewards(replays, [(turn, turn.texts) for turn in changed])
    described = describe(replays, changed, pairs)
    changes = [Change(b, i, row, float(r)) for (b, i), row, r in zip(indices, described, earned, strict=True)]
    check_own_text(rows, changes)
    return Contexts(
        len(agents),
        rows,
        np.repeat(np.arange(len(groups)), [len(group) for group in groups]),
        rewards,
        rewards[:, None] - without.reshape(len(turns), len(agents)),
        task.reward_range,
        changes,
        _exchangeable(replays, turns, rewards),
        _others(replays, pairs),
    )


def check_own_text(rows: Sequence[TurnRow], changes: Sequence[Change]) -> None:
    """Refuse features that depend on another agent's text: a change by agent i may alter feat[:, i] only."""
    for b, i, row, _ in changes:
        for argument in ("ctx", "silent"):
            before, after = getattr(rows[b], argument), getattr(row, argument)
            for name in before:
                if before[name] != after[name]:
                    raise Refused(f"{argument}[{name!r}] of turn {b} changed with the text of agent {i}")
        for name, each in rows[b].feat.items():
            for j, x in enumerate(each):
                if j != i and x != row.feat[name][j]:
                    raise Refused(
                        f"feat[{name!r}][{j}] of turn {b} went from {x:g} to {row.feat[name][j]:g} "
                        f"when only agent {i} wrote another text"
                    )


def scripted(task: Task, groups: int, seed: int) -> list[list[TurnTexts]]:
    """Groups of turns on the train split, each agent's text by one of the task's scripted players."""
    rng, items = Random(f"contexts/{seed}"), task.items("train")
    groups_of_turns = []
    for g in range(groups):
        state, last = task.start(items[rng.randrange(len(items))], rng.getrandbits(31)), None
        number = 0
        while number < g % task.max_turns:  # equally many groups at every turn
            after = task.play(state, _texts(task, state, rng))
            if task.done(after):
                break
            state, last, number = after, task.score(after), number + 1
        groups_of_turns.append(
            [TurnTexts(state, _texts(task, state, rng), number, last) for _ in range(GROUP)]
        )
    return groups_of_turns


def recorded(id: str, task: Task, path: Path, groups: int, seed: int) -> list[list[TurnTexts]]:
    """Groups of turns from a records file: the texts as recorded, and scripted ones from the same state.

    Raises ValueError where the file holds no episode of the environment `id` on one of its items.
    """
    rng = Random(f"contexts/{seed}")
    items = {item.id: item for split in ("train", "eval") for item in task.items(split)}
    groups_of_turns = []
    for record in read(path):
        if record.env != id or record.item not in items:
            continue
        state, last = task.start(items[record.item], record.seed), None
        for number, played in enumerate(record.turns):
            if set(played["texts"]) != set(task.agents):
                raise ValueError(f"{path}: its agents are {sorted(played['texts'])}, not {list(task.agents)}")
            written = [played["texts"], *(_texts(task, state, rng) for _ in range(GROUP - 1))]
            groups_of_turns.append([TurnTexts(state, texts, number, last) for texts in written])
            state = task.play(state, played["texts"])
            last = task.score(state)
    if not groups_of_turns:
        raise ValueError(f"{path}: no episode of {id} on an item that it has")
    return rng.sample(groups_of_turns, min(groups, len(groups_of_turns)))


def other_teams(task: Task, seed: int) -> list[TurnTexts]:
    """An episode each of silent, garbling, hostile and learning teams, and one of a team of all kinds."""
    rng, items, turns = Random(f"teams/{seed}"), task.items("train"), []
    for writer in (*WRITERS.values(), None):
        state, last = task.start(items[rng.randrange(len(items))], rng.getrandbits(31)), None
        for number in range(task.max_turns):
            who = {agent: writer or rng.choice([*WRITERS.values()]) for agent in task.agents}
            texts = {agent: write(task, state, agent, rng) for agent, write in who.items()}
            turns.append(TurnTexts(state, texts, number, last))
            state = task.play(state, texts)
            if task.done(state):
                break
            last = task.score(state)
    return turns


def _garbled(task: Task, state: Any, agent: str, rng: Random) -> str:
    """Words and signs in no order."""
    lines = (rng.choices(WORDS + SIGNS, k=rng.randint(1, 12)) for _ in range(rng.randint(1, 8)))
    return "\n".join(" ".join(line) for line in lines)


def _hostile(task: Task, state: Any, agent: str, rng: Random) -> str:
    """Commands beyond the world, signs that do not print, endless lines, fences that stay open."""
    lines = [
        "/setblock 999 -7 999 tnt",
        "\x00\u202e",
        "0" * 2000,
        "```python\nraise SystemExit(3)",
        "]]}>",
    ]
    return "\n".join(rng.choices(lines, k=rng.randint(1, 12)))


def _learning(task: Task, state: Any, agent: str, rng: Random) -> str:
    """Half right: a scripted player's text with lines lost, repeated and cut."""
    lines = rng.choice([*task.players.values()])(task, state, agent, rng).split("\n")
    kept = [line for line in lines for _ in range(rng.randint(0, 2))]
    return "\n".join(line[: rng.randint(0, len(line))] if rng.random() < 0.3 else line for line in kept)


WORDS = ("the", "a", "def", "return", "I", "cannot", "stone")
SIGNS = ("7", "-1", "1e9", "{", "/fill", "/setblock", "é")
WRITERS: Mapping[str, Callable[[Any, Any, str, Random], str]] = {
    "silent": lambda task, state, agent, rng: silence(task, state, agent),
    "empty": lambda task, state, agent, rng: "",
    "garbled": _garbled,
    "hostile": _hostile,
    "learning": _learning,
}
"""writers of the additional teams that functions are tried on"""


def _others(replays: Replays, pairs: bool) -> list[tuple[TurnRow, float]]:
    turns = other_teams(replays.task, seed=0)
    earned = _rewards(replays, [(turn, turn.texts) for turn in turns])
    return [*zip(describe(replays, turns, pairs), earned.tolist(), strict=True)]


def _texts(task: Task, state: Any, rng: Random) -> dict[str, str]:
    players = list(task.players.values())
    return {agent: rng.choice(players)(task, state, agent, rng) for agent in task.agents}


def _rewards(replays: Replays, turns: Sequence[tuple[TurnTexts, Mapping[str, str]]]) -> np.ndarray:
    scores = replays.scores([(turn.before, texts) for turn, texts in turns])
    return np.array([score.reward for score in scores], float)


def _exchangeable(replays: Replays, turns: Sequence[TurnTexts], rewards: np.ndarray) -> bool:
    agents = replays.task.agents
    swapped = [
        (turn, {**turn.texts, i: turn.texts[j], j: turn.texts[i]})
        for turn in turns
        for i, j in pairwise(agents)
    ]
    swapped_rewards = _rewards(replays, swapped).reshape(len(turns), -1)
    return swapped_rewards.shape[1] > 0 and bool(
        np.allclose(swapped_rewards, rewards[:, None], rtol=0, atol=1e-9)
    )
