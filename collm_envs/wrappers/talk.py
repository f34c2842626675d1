"""Words between agents: before every turn of any task there are message rounds.

In a message round every agent writes one message, and the next prompts show what the others wrote, by name.
A round changes nothing in the task, earns 0 and ends nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from collm_envs.task import (
    Heard,
    Item,
    Player,
    Scene,
    Score,
    Task,
    in_parallel,
    most_chars,
    silence,
    takes_turns,
    writers,
)

Round = Mapping[str, str]
"""agent -> its message of one round"""


@dataclass(frozen=True)
class State:
    """A task's state, and what the agents have said to each other."""

    inner: Any
    rounds: tuple[Round, ...] = ()
    """all message rounds of the episode, oldest first"""
    spoken: int = 0
    """message rounds since the last acting turn"""
    score: Score = field(default_factory=lambda: Score(0.0))
    """of the last step"""


class Talk:
    """`task` with `rounds` message rounds before each of its turns: R rounds make T turns T (R + 1) steps.

    A message is cut at `message_chars` characters.  With `self_contained` a prompt repeats the task's own
    prompt and all messages so far; without, each is shown once, to a policy that keeps its history.  With
    `terse` a message is one line: the number of its writer (from 1), a colon, the words.

    Metrics: `talk_chars` (characters said so far in the episode), `talk_empty` (message rounds in which
    somebody said nothing), and in message rounds alone `talk_round` (its number before this turn).
    """

    def __init__(
        self,
        task: Task,
        rounds: int,
        message_chars: int,
        *,
        terse: bool = False,
        self_contained: bool = False,
    ):
        self.task, self.rounds, self.message_chars = task, rounds, message_chars
        self.terse, self.self_contained = terse, self_contained
        self.agents, self.revision = task.agents, task.revision
        self.max_turns = task.max_turns * (rounds + 1)
        low, high = task.reward_range
        self.reward_range = (min(low, 0.0), max(high, 0.0))
        self.parallel_play = in_parallel(task)
        self.players: Mapping[str, Player] = {name: partial(_play_as, name) for name in task.players}
        """those among the task's `voices` speak and listen, the others say nothing"""
        if takes_turns(task):  # else everyone always writes, and has no need of the verb
            self.writers = self._writers

    def items(self, split: str) -> Sequence[Item]:
        """The items of the task."""
        return self.task.items(split)

    def start(self, item: Item, seed: int) -> State:
        """The task's own start; nothing said yet."""
        return State(self.task.start(item, seed))

    def speaking(self, state: State) -> bool:
        """Whether the next texts are messages."""
        return state.spoken < self.rounds

    def most_chars(self, state: State) -> int | None:
        """The limit of a message, or the task's own at its turns."""
        return self.message_chars if self.speaking(state) else most_chars(self.task, state.inner)

    def default_text(self, state: State, agent: str) -> str:
        """Silence: no message, or what the task calls silence."""
        return "" if self.speaking(state) else silence(self.task, state.inner, agent)

    def prompt(self, state: State, agent: str) -> str:
        """The task's prompt before the first round of a turn, then the messages and what is to be written."""
        if not self.speaking(state) and agent not in writers(self.task, state.inner):
            return ""
        parts = []
        if state.spoken == 0 or self.self_contained:
            parts.append(self.task.prompt(state.inner, agent))
        if messages := self._messages(state, agent):
            parts.append(messages)
        parts.append(self._request(state))
        return ("\n" if self.terse else "\n\n").join(parts)

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The messages kept, or the turn played."""
        if not self.speaking(state):
            inner = self.task.play(state.inner, texts)
            score = self.task.score(inner)
            metrics = {**score.metrics, **_talk_metrics(state.rounds)}
            return replace(state, inner=inner, spoken=0, score=replace(score, metrics=metrics))
        messages = {agent: texts[agent][: self.message_chars] for agent in self.agents}
        rounds = (*state.rounds, messages)
        metrics = {"talk_round": state.spoken + 1.0, **_talk_metrics(rounds)}
        return replace(state, rounds=rounds, spoken=state.spoken + 1, score=Score(0.0, metrics=metrics))

    def score(self, state: State) -> Score:
        """What the turn earned; 0 for a message round."""
        return state.score

    def done(self, state: State) -> bool:
        """A message round ends nothing."""
        return state.spoken == 0 and self.task.done(state.inner)

    def scene(self, state: State) -> Scene:
        """What may be drawn of the task; messages are no part of it."""
        return self.task.scene(state.inner)

    def _writers(self, state: State) -> tuple[str, ...]:
        """Everyone in a message round, else the task's own writers."""
        return self.agents if self.speaking(state) else writers(self.task, state.inner)

    def _messages(self, state: State, agent: str) -> str:
        """What `agent` has not read yet; all that was said, its own words too, where prompts stand alone."""
        shown = state.rounds if self.self_contained else state.rounds[-1:] if state.spoken else ()
        lines = [
            self._line(number, name, messages[name], name == agent)
            for messages in shown
            for number, name in enumerate(self.agents, 1)
            if self.self_contained or name != agent
        ]
        return "\n".join(lines if self.terse or not lines else ["Messages:", *lines])

    def _line(self, number: int, name: str, message: str, own: bool) -> str:
        """One message.  Further lines are drawn in, so that no message can pass for somebody else's."""
        if self.terse:
            return f"{number}: {' '.join(message.split())}"
        words = "\n  ".join(message.strip().splitlines())
        return f"{name}{' (you)' if own else ''}: {words or '(nothing)'}"

    def _request(self, state: State) -> str:
        """What is to be written now."""
        number = state.spoken + 1
        if self.terse:
            return f"say {number}/{self.rounds}" if self.speaking(state) else "act"
        if not self.speaking(state):
            return "Now take your turn: answer the task itself."
        return (
            f"Before this turn, message round {number} of {self.rounds}: write one message to the others, at "
            f"most {self.message_chars} characters.  It is not your answer yet."
        )


def _talk_metrics(rounds: Sequence[Round]) -> dict[str, float]:
    return {
        "talk_chars": float(sum(len(message) for messages in rounds for message in messages.values())),
        "talk_empty": float(sum(not all(map(str.strip, messages.values())) for messages in rounds)),
    }


def _play_as(name: str, talk: Talk, state: State, agent: str, rng: Random) -> str:
    """What the task's player of that name writes, be it a message or a turn."""
    speaking = talk.speaking(state)
    voices = talk.task.voices if hasattr(talk.task, "voices") else {}  # type: ignore[attr-defined]
    if name in voices:
        return voices[name](talk.task, state.inner, agent, rng, Heard(state.rounds, speaking))
    return "" if speaking else talk.task.players[name](talk.task, state.inner, agent, rng)
