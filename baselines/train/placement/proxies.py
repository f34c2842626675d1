"""Policies, histories and critics of another process, as the driver sees them.

A proxy offers the verbs of what it stands for (lm/policy.py, lm/conversations.py, train/critic.py).  Most do
not wait: a process does its calls in order, so `read`, `pick` and `converse` need no answer, and what
`write`, `learn`, `values` and `fit` return waits when it is looked at.  What travels is texts and numbers;
weights do so for checkpoints and saved agents alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.formulas.losses import Objective
from baselines.lm.history import Move
from baselines.lm.later import Later
from baselines.lm.learning import Beside, Lesson
from baselines.lm.policy import Sizes
from baselines.train.placement.calls import LaterLog, Left, Process


class FarConversations:
    """Histories of a policy in another process."""

    def __init__(self, histories: Left):
        self.process, self.left = histories.process, histories

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history."""
        self.process.tell(self.left.key, "read", [*messages])

    def write(self) -> Sequence[Move]:
        """One text for each history."""
        return self.process.write(self.left.key)

    def pick(self, indices: Sequence[int], seed: int | None = None) -> FarConversations:
        """The histories at `indices`; with a `seed` they draw from the generator of that seed."""
        return FarConversations(self.process.leave(self.left.key, "pick", [*indices], seed))


class FarPolicy:
    """A policy in another process."""

    def __init__(self, process: Process, name: str, sizes: Sizes):
        self.process, self.name, self.sizes = process, name, sizes
        self.key = f"policy/{name}"

    def converse(self, n: int, seed: int) -> FarConversations:
        """`n` empty histories that draw from one generator, seeded with `seed`."""
        return FarConversations(self.process.leave(self.key, "converse", n, seed))

    def publish(self) -> None:
        """Make the weights as they are now those that texts are written with."""
        self.process.tell(self.key, "publish")

    def learn(
        self, lesson: Lesson, objective: Objective, beside: Beside | None = None
    ) -> Mapping[str, float]:
        """A step of the policy.   -> numbers to log"""
        return LaterLog(self.process.ask(self.key, "learn", lesson, objective, beside))

    def log_ratios(self, moves: Sequence[Move]) -> Sequence[Tensor]:
        """log pi / pi_0 of every token of these moves."""
        return Later(self.process.ask(self.key, "log_ratios", [*moves]))

    def prompt_gains(self, moves: Sequence[Move], prompts: Sequence[str]) -> Sequence[float | None]:
        """What each text's log-probability loses with another last prompt."""
        return Later(self.process.ask(self.key, "prompt_gains", [*moves], [*prompts]))

    def state_dict(self) -> dict[str, Any]:
        """Copies of weights and optimizer state."""
        return self.process.ask(self.key, "state_dict")()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.process.tell(self.key, "load_state_dict", state)

    def save_pretrained(self, folder: Path) -> None:
        """Write here what the policy saves there."""
        for name, contents in self.process.ask("host", "saved", self.name)().items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents)


class FarCritic:
    """A critic in another process: of its own if it is central, else in that of the policy it judges."""

    def __init__(self, process: Process, name: str, actor: str, stepped: int):
        self.process, self.actor, self.stepped = process, actor, stepped
        self.key = f"critic/{name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return itself, (Left(self.process, self.key),)  # in its process: the critic

    def before(self, moves: Sequence[Move]) -> Left:
        """What an agent had read and written before each of these moves."""
        return self.process.leave(self.key, "before", [*moves])

    def joint(self, episodes: Sequence[Sequence[str]]) -> Left:
        """The joint history before every turn of these episodes."""
        return self.process.leave(self.key, "joint", [*episodes])

    def values(self, histories: Left) -> Sequence[float]:
        """V at the end of each of these histories."""
        wait = self.process.ask(self.key, "values", histories)
        return Later(lambda: wait().tolist())

    def fit(self, histories: Left, targets: Tensor, **how: Any) -> Mapping[str, float]:
        """A step towards these targets.   -> numbers to log"""
        return LaterLog(self.process.ask(self.key, "fit", histories, targets, **how))

    def backward(self, histories: Left, targets: Tensor, **how: Any) -> float:
        """Add the gradient of the value loss; returns that loss."""
        return self.process.ask(self.key, "backward", histories, targets, **how)()

    def state_dict(self) -> dict[str, Any]:
        """Copies of weights and optimizer state."""
        return self.process.ask(self.key, "state_dict")()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.process.tell(self.key, "load_state_dict", state)


def itself(target: Any) -> Any:
    """What a proxy is unpickled as in its process, where `Left` has become the object."""
    return target
