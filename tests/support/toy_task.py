"""A small task of a third party: the agents' numbers must add up to a goal that the seed moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from collm_envs import Item, Rejected, Scene, Score, agent_names, register, split_rows

BUILTIN = {"train": [{"goal": g} for g in (3, 10, 25)], "eval": [{"goal": g} for g in (7, 40)]}


@dataclass(frozen=True)
class State:
    goal: int
    turn: int = 0
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    rejected: Mapping[str, tuple[Rejected, ...]] = field(default_factory=dict)


class Adding:
    """Write whole numbers, one a line, that add up to a goal no agent reaches alone.

    Each agent may add at most 20 a turn.  Reward: 1 - |sum - goal| / goal, at least -1.  Four turns.
    """

    revision = 1
    reward_range = (-1.0, 1.0)

    def __init__(
        self, *, items: Any = None, num_agents: int = 2, turns: int = 4, self_contained: bool = False
    ):
        self.agents = agent_names(num_agents)
        self.max_turns = turns
        self.self_contained = self_contained
        splits = split_rows(items) if items is not None else BUILTIN
        self._items = {
            split: [Item(f"{split}/{k}", row) for k, row in enumerate(rows)] for split, rows in splits.items()
        }
        self.players = {"random": _random, "expert": _expert, "noisy": _noisy}

    def items(self, split: str) -> Sequence[Item]:
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        return State(goal=item.data["goal"] + Random(seed).randrange(5))

    def prompt(self, state: State, agent: str) -> str:
        rules = f"You are {agent} of {len(self.agents)}. Goal: {state.goal}. Write numbers, one a line.\n"
        if state.turn == 0:
            return rules
        said = rules if self.self_contained else ""
        return f"{said}Turn {state.turn + 1}. The sum was {_total(state)}.\n"

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        numbers, rejected = {}, {}
        for agent in self.agents:
            numbers[agent], rejected[agent] = _parse(texts[agent])
        return replace(state, turn=state.turn + 1, numbers=numbers, rejected=rejected)

    def score(self, state: State) -> Score:
        gap = abs(_total(state) - state.goal)
        reward = max(-1.0, 1 - gap / state.goal)
        accepted = {agent: [str(n) for n in numbers] for agent, numbers in state.numbers.items()}
        return Score(reward, {"closeness": reward}, {"gap": gap}, accepted, state.rejected)

    def done(self, state: State) -> bool:
        return state.turn >= self.max_turns

    def scene(self, state: State) -> Scene:
        return Scene(texts={"sum": f"{_total(state)} of {state.goal}"})


def _parse(text: str) -> tuple[tuple[int, ...], tuple[Rejected, ...]]:
    numbers: list[int] = []
    rejected: list[Rejected] = []
    for line in text.split("\n")[:50]:
        if not line.strip().isascii() or not line.strip().isdecimal() or len(line) > 9:
            rejected.append(Rejected(line[:80], "not a whole number"))
        elif sum(numbers) + int(line) > 20:
            rejected.append(Rejected(line[:80], "more than 20 in all"))
        else:
            numbers.append(int(line))
    return tuple(numbers), tuple(rejected)


def _total(state: State) -> int:
    return sum(sum(numbers) for numbers in state.numbers.values())


def _random(task: Any, state: State, agent: str, rng: Random) -> str:
    return str(rng.randrange(21))


def _expert(task: Any, state: State, agent: str, rng: Random) -> str:
    k, n = task.agents.index(agent), len(task.agents)
    return str(min(20, state.goal // n + (k < state.goal % n)))


def _noisy(task: Any, state: State, agent: str, rng: Random) -> str:
    return _expert(task, state, agent, rng) if rng.random() < 0.7 else "one\n2"


register("Adding-v0", f"{__name__}:Adding", "add up to a goal", turns=4)
