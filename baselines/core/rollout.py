"""Playing a task with policies: all episodes in lockstep, one batched sample per turn and policy.

States are pure, so a branch of a tree needs no copy of an environment: it plays on from the same state, and
its agents read on from the same key-value memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from random import Random
from typing import Any, Literal, Protocol

import torch

from baselines.core.coalitions import play_turns
from baselines.core.episode import Move, Node, episodes, walk
from collm_envs import Item, Task, takes_turns, writers

Start = tuple[Item, int]
"""an item and the seed of the episode"""


class Policy(Protocol):
    """What a rollout needs of whoever writes texts."""

    @property
    def device(self) -> torch.device:
        """Where it samples."""
        ...

    def converse(self, n: int, generator: torch.Generator) -> Any:
        """`n` empty histories: the verbs read(messages), write() -> moves, pick(indices), and `generator`."""
        ...


def play(
    task: Task,
    starts: Sequence[Start],
    policies: Mapping[str, Policy],
    seed: str,
    *,
    copies: Sequence[int] | int = 1,
    joint: Literal["aligned", "cross"] = "aligned",
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
    groups: dict[Any, list[str]] = {}
    for agent in task.agents:
        # agents that write at different steps cannot be rows of one batch
        groups.setdefault(agent if takes_turns(task) else id(policies[agent]), []).append(agent)
    talks, aside_dice = {}, {}
    for agents in groups.values():
        policy = policies[agents[0]]
        talks[tuple(agents)] = policy.converse(
            len(agents) * len(starts), _dice(policy, f"{seed}/{agents[0]}")
        )
        aside_dice[tuple(agents)] = _dice(policy, f"{seed}/{agents[0]}/alternatives")
    # a place is a history of the joint turn to come: (item, seed, state, node before)
    places = [(item, number, task.start(item, number), None) for item, number in starts]
    roots: list[Node] = []
    turn = 0
    while places:
        many = copies[turn] if isinstance(copies, Sequence) else copies if turn == 0 else 1
        prompts = {agent: [task.prompt(place[2], agent) for place in places] for agent in task.agents}
        writing = _writers(task, [place[2] for place in places])
        written: dict[str, list[Move]] = {}
        aside: dict[str, list[list[str]]] = {}
        for agents, talk in talks.items():
            now = agents[0] in writing
            if now:
                talk.read([prompt for agent in agents for prompt in prompts[agent]])
            if now and alternatives:
                texts = _write_aside(talk, len(agents) * len(places), alternatives, aside_dice[agents])
                aside |= zip(agents, _chunks(texts, len(places)), strict=True)
            if many > 1:
                talk = talk.pick([k for k in range(len(agents) * len(places)) for _ in range(many)])
            talks[agents] = talk
            if not now:
                continue
            moves, size = talk.write(), len(places) * many
            for a, agent in enumerate(agents):
                written[agent] = moves[a * size : (a + 1) * size]
        nodes, sources = _joint_turn(task, places, prompts, written, aside, many, joint)
        if turn == 0:
            roots = nodes
        live = [k for k, node in enumerate(nodes) if not task.done(node.after)]
        size = len(places) * many
        for agents, talk in talks.items():
            talks[agents] = talk.pick(
                [a * size + sources[k][agent] for a, agent in enumerate(agents) for k in live]
            )
        places = [(nodes[k].item, nodes[k].seed, nodes[k].after, nodes[k]) for k in live]
        turn += 1
    return roots


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


def summary(roots: Sequence[Node]) -> dict[str, float]:
    """What these episodes earned and cost: mean return, metrics of the last turn, texts and tokens."""
    paths = episodes(roots)
    moves = {id(move): move for node in walk(roots) for move in node.moves.values()}
    out = {
        "return": sum(node.reward for path in paths for node in path) / len(paths),
        "turns": sum(len(path) for path in paths) / len(paths),
        "text_tokens": sum(len(move.ids) for move in moves.values()) / len(moves),
        "closed": sum(move.closed for move in moves.values()) / len(moves),
        "tokens": float(sum(len(move.ids) for move in moves.values())),
    }
    for name in paths[0][-1].score.metrics:
        out[f"metric/{name}"] = sum(path[-1].score.metrics[name] for path in paths) / len(paths)
    return out


def measure(
    task: Task, starts: Sequence[Start], lineups: Mapping[str, Mapping[str, Policy]], seed: str
) -> dict[str, float]:
    """Summaries of every line-up by itself, with the same dice: `name/key` for each, `key` for their mean.

    A single line-up is not named: its summary is all there is.
    """
    found = {name: summary(play(task, starts, policies, seed)) for name, policies in lineups.items()}
    keys = list(next(iter(found.values())))
    out = {key: sum(one[key] for one in found.values()) / len(found) for key in keys}
    for name, one in found.items() if len(found) > 1 else ():
        out |= {f"{name}/{key}": value for key, value in one.items()}
    return out


def _joint_turn(
    task: Task,
    places: Sequence[tuple[Item, int, Any, Node | None]],
    prompts: Mapping[str, Sequence[str]],
    written: Mapping[str, Sequence[Move]],
    aside: Mapping[str, Sequence[list[str]]],
    many: int,
    joint: Literal["aligned", "cross"],
) -> tuple[list[Node], list[dict[str, int]]]:
    """The joint turns these texts make, and for each the index of every agent's text in `written`."""
    choices = list(_combinations(len(task.agents), many, joint))
    at = [p for p in range(len(places)) for _ in choices]
    sources = [
        {agent: p * many + g for agent, g in zip(task.agents, choice, strict=True)}
        for p in range(len(places))
        for choice in choices
    ]
    moves = [{agent: written[agent][source[agent]] for agent in written} for source in sources]
    silent = dict.fromkeys(task.agents, "")
    turns = [
        (places[p][2], silent | {agent: move.text for agent, move in some.items()})
        for p, some in zip(at, moves, strict=True)
    ]
    nodes = []
    for p, some, after in zip(at, moves, play_turns(task, turns), strict=True):
        item, number, state, parent = places[p]
        read = {agent: prompts[agent][p] for agent in task.agents}
        others = {agent: aside[agent][p] if agent in aside else [""] for agent in task.agents if aside}
        node = Node(item, number, state, read, some, after, task.score(after), parent, alternatives=others)
        if parent is not None:
            parent.children.append(node)
        nodes.append(node)
    return nodes, sources


def _writers(task: Task, states: Sequence[Any]) -> tuple[str, ...]:
    """The agents that write now; ValueError where other agents do in other episodes."""
    found = {writers(task, state) for state in states}
    if len(found) > 1:
        raise ValueError(
            f"at one step {' and '.join(map(str, found))} write in different episodes; need the same"
        )
    return found.pop()


def _write_aside(talk: Any, n: int, many: int, generator: torch.Generator) -> list[list[str]]:
    """`many` further texts at each of the `n` histories, which go on as if these had never been written."""
    # one history more than needed: all of them in their order would be the talk itself, no copy
    copy = talk.pick([*(k for k in range(n) for _ in range(many)), 0])
    copy.generator = generator
    return list(_chunks([move.text for move in copy.write()[:-1]], many))


def _chunks(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    """These values in lists of `size`."""
    return (list(values[k : k + size]) for k in range(0, len(values), size))


def _combinations(agents: int, many: int, joint: Literal["aligned", "cross"]) -> Iterable[tuple[int, ...]]:
    if joint == "aligned":
        return ((g,) * agents for g in range(many))
    return product(range(many), repeat=agents)


def _dice(policy: Policy, seed: str) -> torch.Generator:
    """A generator where the policy samples."""
    return torch.Generator(device=policy.device).manual_seed(_number(seed))


def _number(seed: str) -> int:
    """A 63-bit seed from words: stable across runs and machines."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big") >> 1
