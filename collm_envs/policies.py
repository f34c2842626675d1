"""Who may sit at a seat: scripted players, recorded texts, a person, a model behind an endpoint.  No torch.

    policy = parse("expert")                      # or random, noisy, any player of the task
    policy = parse("replay:runs/x/records.jsonl")
    policy = parse("human")
    policy = parse("openai:http://localhost:8000/v1#Qwen/Qwen3-1.7B?temperature=0.7&max_tokens=512")
    replies = policy.act([Seat("agent_0", (prompt,), seed=1), ...])

An agent knows what it has itself read and written (`Seat.history`) and nothing else; only the scripted
players look at the task and its state, which makes them yardsticks and no agents.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Protocol

from collm_envs.env import TextEnv
from collm_envs.record import read
from collm_envs.task import Task


@dataclass(frozen=True)
class Seat:
    """One agent in one running episode that has to write now."""

    agent: str
    history: tuple[str, ...]
    """(o_1, a_1, ..., o_t): what the agent read and wrote in turn; the last one is to be answered"""
    seed: int
    """of this one reply: equal for equal item, episode seed, trial, agent and turn"""
    task: Any = None
    """for scripted players only"""
    state: Any = None
    """for scripted players only"""


@dataclass(frozen=True)
class Reply:
    """What came from a seat."""

    text: str
    usage: Mapping[str, Any] = field(default_factory=dict)
    """what is known of it: tokens_read, tokens_written, seconds, finish_reason, attempts, errors, ..."""
    error: str = ""
    """why there is no text at all (an endpoint that is gone, say); such an episode is not scored"""


class Policy(Protocol):
    """Writes the texts of any number of seats at once: of several episodes, of several agents."""

    @property
    def name(self) -> str:
        """What records say; `parse(name)` gives the policy again."""
        ...

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order."""
        ...


@dataclass(frozen=True)
class Scripted:
    """A player of the task by name: random, expert, noisy, ..."""

    name: str

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """ValueError where the task has no such player."""
        return [Reply(self._write(seat)) for seat in seats]

    def check(self, task: Task) -> None:
        """ValueError with the nearest known name where `task` has no such player."""
        if self.name not in task.players:
            near = difflib.get_close_matches(self.name, task.players, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(task.players)}"
            raise ValueError(f"the task has no player {self.name!r}; {hint}")

    def _write(self, seat: Seat) -> str:
        self.check(seat.task)
        return seat.task.players[self.name](seat.task, seat.state, seat.agent, Random(seat.seed))


class Replay:
    """The texts of recorded episodes, to whoever reads the same prompts at the same seat again."""

    def __init__(self, path: str | Path):
        self.name = f"replay:{path}"
        self._texts: dict[tuple[str, int, str], str] = {}
        for record in read(path):
            for agent in record.agents:
                history: list[str] = []
                for t, turn in enumerate(record.turns):
                    if not turn["prompts"][agent] and not turn["texts"][agent]:
                        continue  # others wrote; see TextEnv.history
                    history.append(turn["prompts"][agent])
                    seed = seat_seed(record.item, record.seed, record.trial, agent, t)
                    self._texts[agent, seed, _digest(history)] = turn["texts"][agent]
                    history.append(turn["texts"][agent])

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """The recorded texts; an error where nothing was recorded for a seat."""
        found = [self._texts.get((seat.agent, seat.seed, _digest(seat.history))) for seat in seats]
        missing = f"{self.name} has no text for this episode"
        return [Reply("", error=missing) if text is None else Reply(text) for text in found]


class Human:
    """A person at the terminal."""

    name = "human"
    end = "."

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """Shows each prompt and reads lines up to one that holds a single dot, or the end of input.

        Raises RuntimeError where the input ends before anything was typed: nobody is there.
        """
        return [Reply(self._ask(seat)) for seat in seats]

    def _ask(self, seat: Seat) -> str:
        print(f"\n--- {seat.agent} reads ---\n{seat.history[-1]}")
        print(f"--- {seat.agent} writes; end with a line that holds only {self.end!r} ---")
        lines: list[str] = []
        while True:
            try:
                line = input()
            except EOFError:
                if not lines:
                    raise RuntimeError(f"human: the input ended before {seat.agent} wrote a line") from None
                break
            if line == self.end:
                break
            lines.append(line)
        return "\n".join(lines)


def take_seat(env: TextEnv, agent: str, policy: Policy, trial: int = 0) -> Seat:
    """The seat of `agent` in the running episode of `env`, with what `policy` may know."""
    if env.item is None:
        raise RuntimeError(f"{env.spec.id}: no episode is running; call reset() first")
    seed = seat_seed(env.item.id, env.seed, trial, agent, len(env.turns))
    if isinstance(policy, Scripted):
        return Seat(agent, env.history(agent), seed, env.task, env.snapshot)
    return Seat(agent, env.history(agent), seed)


def seat_seed(item: str, seed: int, trial: int, agent: str, turn: int) -> int:
    """The seed of one reply, of 31 bits; `turn` counts from 0."""
    return Random(f"collm/{item}/{seed}/{trial}/{agent}/{turn}").getrandbits(31)


def _digest(history: Sequence[str]) -> str:
    return hashlib.sha256("\x00".join(history).encode()).hexdigest()


def _openai(rest: str) -> Policy:
    return importlib.import_module("collm_envs.chat").parse(rest)


def _human(rest: str) -> Policy:
    if rest:
        raise ValueError(f"policy 'human' takes nothing after it, got {rest!r}")
    return Human()


KINDS: Mapping[str, Callable[[str], Policy]] = {"human": _human, "openai": _openai, "replay": Replay}
"""what may stand before the colon -> what makes the policy of the rest"""


def parse(text: str, kinds: Mapping[str, Callable[[str], Policy]] = KINDS) -> Policy:
    """The policy that `text` describes: a player of the task, or "kind:rest" with a kind of `kinds`.

    Raises ValueError for an unknown kind or a malformed rest.
    """
    kind, colon, rest = text.partition(":")
    if kind in kinds and (colon or kind == "human"):
        return kinds[kind](rest)
    if colon or kind in kinds or not kind:
        known = ", ".join(f"{name}:..." if name != "human" else name for name in sorted(kinds))
        raise ValueError(f"no policy {text!r}; use a player of the task such as 'expert', or {known}")
    return Scripted(kind)


def seat(
    task: Task, default: str, named: Mapping[str, str], kinds: Mapping[str, Callable[[str], Policy]] = KINDS
) -> dict[str, Policy]:
    """{agent: policy} from descriptions; agents of one description share one policy.

    Raises ValueError for agents that the task does not have and for policies that do not exist.
    """
    if unknown := set(named) - set(task.agents):
        raise ValueError(f"no agents {sorted(unknown)}; the task has {list(task.agents)}")
    texts = {agent: named.get(agent, default) for agent in task.agents}
    made = {text: parse(text, kinds) for text in dict.fromkeys(texts.values())}
    for policy in made.values():
        if isinstance(policy, Scripted):
            policy.check(task)
    return {agent: made[text] for agent, text in texts.items()}
