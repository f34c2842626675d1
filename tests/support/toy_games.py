"""Small games with known answers, as ordinary tasks: one word an agent and turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from collm_envs import Item, Scene, Score, register
from collm_envs.task import agent_names

CLIMBING = ((11, -30, 0), (-30, 7, 6), (0, 0, 5))
BRANCH_B = ((0, 1), (1, 8))


def penalty(k: float) -> tuple[tuple[float, ...], ...]:
    """Claus & Boutilier 1998: two optima of 10 that fine whoever misses them with k, and a safe 2."""
    return ((10, 0, k), (0, 2, 0), (k, 0, 10))


@dataclass(frozen=True)
class State:
    item: Item
    seed: int = 0
    said: tuple[tuple[str, ...], ...] = ()
    """the words of every turn played, agent by agent"""


@dataclass(frozen=True)
class Game:
    """A task made of three functions of what was said so far; foreign words count as the first of `words`."""

    n: int
    max_turns: int
    words: tuple[str, ...]
    say: Callable[[State, int], str]
    """(state, k) -> the message to agent k"""
    pay: Callable[[State], float]
    """reward of the turn that led to a state"""
    over: Callable[[State], bool] = lambda state: False
    """whether an episode ends before max_turns"""
    rows: tuple[Item, ...] = (Item("0", {}),)
    revision: int = 1
    reward_range: tuple[float, float] = (-100.0, 100.0)
    players: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def agents(self) -> tuple[str, ...]:
        return agent_names(self.n)

    def items(self, split: str) -> Sequence[Item]:
        return self.rows

    def start(self, item: Item, seed: int) -> State:
        return State(item, seed)

    def prompt(self, state: State, agent: str) -> str:
        return self.say(state, self.agents.index(agent))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        return State(state.item, state.seed, (*state.said, tuple(texts[agent] for agent in self.agents)))

    def score(self, state: State) -> Score:
        reward = float(self.pay(state))
        return Score(reward, {"pay": reward}, {"pay": reward})

    def done(self, state: State) -> bool:
        return len(state.said) == self.max_turns or (bool(state.said) and self.over(state))

    def scene(self, state: State) -> Scene:
        return Scene()


def matrix_game(payoff: Sequence[Sequence[float]]) -> Game:
    """One turn, two agents: the row's player and the column's."""
    words = tuple(str(k) for k in range(len(payoff)))

    def pay(state: State) -> float:
        row, column = (words.index(word) if word in words else 0 for word in state.said[0])
        return payoff[row][column]

    return Game(2, 1, words, lambda state, k: "choose", pay)


def two_step_game() -> Game:
    """The QMIX paper's: agent_0's first word picks a branch; there all joint words pay 7 (A), or BRANCH_B."""

    def say(state: State, k: int) -> str:
        return "first" if not state.said else f"branch {branch(state)}"

    def pay(state: State) -> float:
        if len(state.said) == 1:
            return 0.0
        row, column = (int(word == "1") for word in state.said[1])
        return 7.0 if branch(state) == "A" else BRANCH_B[row][column]

    return Game(2, 2, ("0", "1"), say, pay)


def branch(state: State) -> str:
    return "B" if state.said[0][0] == "1" else "A"


def aliased_game() -> Game:
    """Turn 2 pays 1 where agent_0 chose word 0 at turn 1, else 0; only agent_1 is told which it was."""

    def say(state: State, k: int) -> str:
        if not state.said:
            return "first"
        return "second" if k == 0 else f"second {branch(state)}"

    def pay(state: State) -> float:
        return float(len(state.said) == 2 and branch(state) == "A")

    return Game(2, 2, ("0", "1"), say, pay)


def additive_bandit(n: int) -> Game:
    """The team earns the number of agents that say 1; the last agent's word does not matter."""
    return Game(n, 1, ("0", "1"), lambda state, k: "choose", lambda state: state.said[0][:-1].count("1"))


def every_step_game(turns: int) -> Game:
    """Every turn pays 1 where both agents say 1."""
    return Game(
        2,
        turns,
        ("0", "1"),
        lambda state, k: f"turn {len(state.said)}",
        lambda state: float(state.said[-1] == ("1", "1")),
    )


def any_text_game(turns: int) -> Game:
    """Nearly every joint text pays something else, so that there is always something to learn."""

    def pay(state: State) -> float:
        return sum(ord(letter) * (k + 1) for k, letter in enumerate("|".join(state.said[-1]))) % 7 / 7

    rows = tuple(Item(str(k), {}) for k in range(2))
    return Game(2, turns, (), lambda state, k: f"q{state.item.id} t{len(state.said)} p{k}", pay, rows=rows)


class Answer(Game):
    """Each agent reads a word and must answer with its partner word: one of ten, so chance earns 0.1.

    The reward of a turn is the share of agents that are right, divided by the number of turns.
    """

    WORDS = tuple(f"a{k}" for k in range(10))

    def __init__(self, *, num_agents: int = 2, turns: int = 1, questions: int = 2):
        asked = [f"q{k}" for k in range(questions)]

        def right(state: State) -> float:
            wanted = [
                self.WORDS[(3 * state.item.data["k"] + turn + k) % 10]
                for turn in [len(state.said) - 1]
                for k in range(num_agents)
            ]
            return sum(map(str.__eq__, wanted, state.said[-1])) / num_agents / turns

        super().__init__(
            n=num_agents,
            max_turns=turns,
            words=self.WORDS,
            say=lambda state, k: f"{asked[state.item.data['k']]} t{len(state.said)} p{k}",
            pay=right,
            rows=tuple(Item(str(k), {"k": k}) for k in range(questions)),
            reward_range=(0.0, 1.0),
        )

    @staticmethod
    def vocabulary() -> list[str]:
        """Every word that stands in a message, and the answers."""
        return [f"{letter}{k}" for letter in "qtp" for k in range(4)] + list(Answer.WORDS)


register("Answer-v0", f"{__name__}:Answer", "answer with the partner word")
