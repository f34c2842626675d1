"""Keywords that many tasks share, checked once, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any


def choice(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    """`value` if it is one of `known`, else a ValueError."""
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name}: need one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """`value` if it is an int of at least `least`, else a ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        want = "an int" if least is None else f"an int of at least {least}"
        raise ValueError(f"{name}: need {want}, got {value!r}")
    return value


def real_number(name: str, value: Any) -> float:
    """`value` as a float if it is a finite number, else a ValueError."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"{name}: need a finite number, got {value!r}")
    return float(value)


def truth(name: str, value: Any) -> bool:
    """`value` if it is a bool, else a ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}: need True or False, got {value!r}")
    return value


@dataclass(frozen=True)
class Frame:
    """Turns, the reward as it is handed out, and what prompts after the first one repeat."""

    max_turns: int
    scale: float
    shift: float
    stop_above: float | None
    """an episode ends after a turn with a reward strictly above this"""
    original_prompt: bool
    previous_response: bool

    def reward(self, parts: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """scale * (sum of the parts) + shift, and the parts as they entered it."""
        entered = dict(parts)
        if self.scale != 1.0:
            entered = {name: self.scale * value for name, value in parts.items()}
        if self.shift:
            entered["shift"] = self.shift
        return self.scale * sum(parts.values()) + self.shift, entered

    def over(self, turn: int, reward: float) -> bool:
        """Whether the turn with this number (from 1) and reward was the last."""
        return turn >= self.max_turns or (self.stop_above is not None and reward > self.stop_above)

    def follow_up(self, message: str, opening: str, said: str) -> str:
        """A prompt after the first: the message, then what the settings repeat."""
        parts = [message]
        if self.original_prompt:
            parts.append(opening)
        if self.previous_response and said.strip():
            parts.append(f"You wrote:\n{said.strip()}")
        return "\n\n".join(parts)


def frame(
    *,
    max_turns: int,
    reward_scale: float,
    reward_shift: float,
    stop_above: float | None,
    self_contained: bool,
    original_prompt: bool | None,
    previous_response: bool | None,
) -> Frame:
    """The `Frame` of checked keywords; the two prompt settings follow `self_contained` unless given."""
    full = truth("self_contained", self_contained)
    return Frame(
        whole_number("max_turns", max_turns, least=1),
        real_number("reward_scale", reward_scale),
        real_number("reward_shift", reward_shift),
        None if stop_above is None else real_number("stop_above", stop_above),
        full if original_prompt is None else truth("original_prompt", original_prompt),
        full if previous_response is None else truth("previous_response", previous_response),
    )
