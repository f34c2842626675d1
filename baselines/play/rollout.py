"""Playing a task with policies: all episodes in lockstep, one batched sample per turn and policy.

States are immutable, so a branch of a tree needs no copy of an environment: it continues from the same state,
and its agents from the same key-value memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any, Literal, NamedTuple, Protocol

from baselines.lm.history import Move
from baselines.play.episode import Node
from collm_envs import Item, Task, in_parallel, takes_turns, writers

Start = tuple[Item, int]
"""an item and the seed of the episode"""
Turn = tuple[Any, Mapping[str, str]]
"""a state, and the texts written there by agent; agents without a text are silent"""
Joint = Literal["aligned", "cross"]
"""which texts of the agents are played together: the g-th of all of them, or every combination"""


class TextPolicy(Protocol):
    """What a rollout needs of a policy; `LM` is one."""

    def converse(self, n: int, seed: int) -> Any:
        """`n` empty histories that draw from one random generator, seeded with `seed`.

        Their methods: read(messages), write() -> a sequence of moves, pick(indices, seed=None) -> histories.
        `write` may return before the texts are there: whoever looks at them waits.
        """
        ...


@dataclass(frozen=True)
class Place:
    """A position where a joint turn is about to be played: an episode's state, and the turn before it."""

    item: Item
    seed: int
    state: Any
    parent: Node | None = None


@dataclass
class Group:
    """Agents that share a policy and are sampled in one batch: agent by agent, place by place."""

    agents: list[str]
    histories: Any
    """return value of the policy's `converse`"""
    aside: int
    """seed of the alternative texts, which are not played"""


class Texts(NamedTuple):
    """What all agents read and wrote at the places of a turn, by agent."""

    prompts: dict[str, list[str]]
    """one for each place"""
    moves: dict[str, list[Move]]
    """place by place, the branches of one place together; agents that do not write now are left out"""
    aside: dict[str, list[list[Move]]]
    """the alternative texts of each place; empty unless requested"""


def play(
    task: Task,
    starts: Sequence[Start],
    policies: Mapping[str, TextPolicy],
    seed: str,
    *,
    copies: Sequence[int] | int = 1,
    joint: Joint = "aligned",
    alternatives: int = 0,
) -> list[Node]:
    """Play every start to the end of the task; returns the turn-1 nodes, start by start.

    Before turn t each history is continued `copies[t]` times (an int: at turn 1 only, so that every start
    is a group of that many episodes).  aligned: the g-th texts of all agents are played together; cross:
    every combination is.  Agents that share a policy object are sampled in one batch.  At every history each
    agent also writes so many `alternatives` that are not played (`Node.alternatives`).  Agents that do not
    write at a step (`task.writers`) read and write nothing there: they have no move.  All randomness comes
    from `seed`: the same seed, policies and starts give the same texts, with alternatives or without.
    """
    groups = _groups(task, policies, len(starts), seed)
    places = [Place(item, number, task.start(item, number)) for item, number in starts]
    turns: list[list[Node]] = []
    while places:
        t = len(turns)
        branches = copies[t] if isinstance(copies, Sequence) else copies if t == 0 else 1
        prompts = {agent: [task.prompt(place.state, agent) for place in places] for agent in task.agents}
        writing = _writers(task, [place.state for place in places])
        texts = _texts(groups, prompts, writing, branches, alternatives)
        nodes, sources = _joint_turn(task, places, texts, branches, joint)
        turns.append(nodes)
        live = [k for k, node in enumerate(nodes) if not task.done(node.after)]
        size = len(places) * branches
        for group in groups:
            rows = [a * size + sources[k][agent] for a, agent in enumerate(group.agents) for k in live]
            group.histories = group.histories.pick(rows)
        places = [Place(nodes[k].item, nodes[k].seed, nodes[k].after, nodes[k]) for k in live]
    return turns[0] if turns else []


def starts(task: Task, seed: int, step: int, n: int) -> list[Start]:
    """The `n` train items and episode seeds of a step: a function of the run's seed and the step alone."""
    rng = Random(f"{seed}/starts/{step}")
    items = task.items("train")
    order = (
        [rng.randrange(len(items)) for _ in range(n)] if n > len(items) else rng.sample(range(len(items)), n)
    )
    return [(items[k], rng.getrandbits(31)) for k in order]


def eval_starts(task: Task, n: int) -> list[Start]:
    """`n` eval episodes, the same in every run: the items in order, over and over, with seeds 0, 1, ..."""
    items = task.items("eval")
    return [(items[k % len(items)], k) for k in range(n)]


def _groups(task: Task, policies: Mapping[str, TextPolicy], n: int, seed: str) -> list[Group]:
    """The agents by policy, each with `n` empty histories."""
    members: dict[Any, list[str]] = {}
    for agent in task.agents:
        # agents that write at different steps cannot be rows of one batch
        members.setdefault(agent if takes_turns(task) else id(policies[agent]), []).append(agent)
    return [
        Group(
            agents,
            policies[agents[0]].converse(len(agents) * n, _number(f"{seed}/{agents[0]}")),
            _number(f"{seed}/{agents[0]}/alternatives"),
        )
        for agents in members.values()
    ]


def _writers(task: Task, states: Sequence[Any]) -> tuple[str, ...]:
    """The agents that write now; ValueError where other agents do in other episodes."""
    teams = {writers(task, state) for state in states}
    if len(teams) > 1:
        names = " and ".join(map(str, sorted(teams)))
        raise ValueError(f"at one step {names} write in different episodes; need the same")
    return teams.pop()


def _texts(
    groups: Sequence[Group],
    prompts: dict[str, list[str]],
    writing: Sequence[str],
    branches: int,
    alternatives: int,
) -> Texts:
    """The agents that write now read and write `branches` texts at each place, and the alternatives."""
    count = len(prompts[groups[0].agents[0]])
    aside: list[Sequence[Move]] = []
    written: list[Sequence[Move]] = []
    for group in groups:  # all are asked to write before the first one's texts are waited for
        rows = range(len(group.agents) * count)
        writes = group.agents[0] in writing
        if writes:
            group.histories.read([prompt for agent in group.agents for prompt in prompts[agent]])
        aside.append(_ask_aside(group, len(rows), alternatives) if writes and alternatives else [])
        if branches > 1:
            group.histories = group.histories.pick([k for k in rows for _ in range(branches)])
        written.append(group.histories.write() if writes else [])
    texts = Texts(prompts, {}, {})
    for group, others, moves in zip(groups, aside, written, strict=True):
        if group.agents[0] in writing:
            texts.moves.update(zip(group.agents, _chunks(moves, count * branches), strict=True))
            if alternatives:  # the last one belongs to the history that `_ask_aside` adds
                at_places = _chunks(others[:-1], alternatives)
                texts.aside.update(zip(group.agents, _chunks([*at_places], count), strict=True))
        elif alternatives:
            texts.aside.update((agent, [[Move(None, [])]] * count) for agent in group.agents)
    return texts


def _ask_aside(group: Group, n: int, alternatives: int) -> Sequence[Move]:
    """Alternative texts at each of the group's `n` histories, which stay as they are, generators too."""
    # one history more than needed: `pick` of all of them in order would return no copy
    copies = [*(k for k in range(n) for _ in range(alternatives)), 0]
    return group.histories.pick(copies, group.aside).write()


def _joint_turn(
    task: Task, places: Sequence[Place], texts: Texts, branches: int, joint: Joint
) -> tuple[list[Node], list[dict[str, int]]]:
    """Play the joint turns of these texts.   -> nodes, {agent: index in `texts.moves`} of each"""
    choices = list(_combinations(len(task.agents), branches, joint))
    at = [p for p in range(len(places)) for _ in choices]
    sources = [
        {agent: p * branches + g for agent, g in zip(task.agents, choice, strict=True)}
        for p in range(len(places))
        for choice in choices
    ]
    moves = [{agent: written[source[agent]] for agent, written in texts.moves.items()} for source in sources]
    silent = dict.fromkeys(task.agents, "")
    turns = [
        (places[p].state, silent | {agent: move.text for agent, move in written.items()})
        for p, written in zip(at, moves, strict=True)
    ]
    nodes = []
    for p, written, after in zip(at, moves, play_turns(task, turns), strict=True):
        place = places[p]
        node = Node(
            place.item,
            place.seed,
            place.state,
            {agent: prompts[p] for agent, prompts in texts.prompts.items()},
            written,
            after,
            task.score(after),
            place.parent,
            alternatives={agent: aside[p] for agent, aside in texts.aside.items()},
        )
        if place.parent is not None:
            place.parent.children.append(node)
        nodes.append(node)
    return nodes, sources


def play_turns(task: Task, turns: Sequence[Turn]) -> list[Any]:
    """The states after these turns; in parallel for tasks that wait for a sandbox (`in_parallel`)."""
    if not in_parallel(task) or len(turns) < 2:
        return [task.play(state, texts) for state, texts in turns]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda turn: task.play(*turn), turns))


def _chunks(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """These values in lists of `size`."""
    return (list(values[k : k + size]) for k in range(0, len(values), size))


def _combinations(agents: int, branches: int, joint: Joint) -> Iterable[tuple[int, ...]]:
    if joint == "aligned":
        return ((g,) * agents for g in range(branches))
    return product(range(branches), repeat=agents)


def _number(seed: str) -> int:
    """A 63-bit seed from a string: the same in every run and on every machine."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1
