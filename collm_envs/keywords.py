"""Keywords that many tasks share, checked once, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

MEANINGS: Mapping[str, str] = {
    "items": "your own items in place of the task's: rows, or {split: rows}; data sets and iterators too",
    "num_agents": "size of the team; with 1 one agent does the work of all",
    "prompts": 'instructions in "full" sentences, or "terse" ones for small models',
    "self_contained": "whether every prompt repeats what a policy without memory needs",
    "data": 'where the items are from: "builtin", "hub" (the published slices), "hub:NAME" or a file',
    "hub_revision": "commit of the hub's data set, in place of the pinned one",
    "limit": "how many items of each split to keep, from the first; None: all",
    "n": "generated items to train on",
    "n_eval": "generated items to evaluate on",
    "shots": "worked examples before the first prompt: other items, with the expert's texts",
    "talk": "message rounds before every turn",
    "message_chars": "characters of the longest message",
    "order": '"simultaneous", or "sequential": each agent reads what those before it wrote this turn',
}
"""{keyword: what it means in every task that has it}, unless the task's docstring says something else"""


def choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """`value` if it is one of `choices`, else a ValueError."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: need one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def whole_number(name: str, value: Any, least: int | None = None) -> int:
    """`value` if it is an int of at least `least`, else a ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        expected = "an int" if least is None else f"an int of at least {least}"
        raise ValueError(f"{name}: need {expected}, got {value!r}")
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
    """What tasks of several turns share: their number, the reward as handed out, what later prompts repeat.

    A task's constructor takes one as `frame: Frame = Frame(max_turns=4)`; `make` puts the fields of that
    default in the place of `frame`, as keywords of the task, and hands in a `Frame` of what was given.
    Raises ValueError for a malformed value.
    """

    max_turns: int = 1
    """turns of an episode"""
    self_contained: bool = False
    """whether every prompt repeats what a policy without memory needs: decides `original_prompt` and
    `previous_response` where they are None"""
    original_prompt: bool | None = None
    """whether later prompts repeat the first one"""
    previous_response: bool | None = None
    """whether later prompts repeat what the agent wrote last"""
    reward_scale: float = 1.0
    """rewards are multiplied by this before they are handed out"""
    reward_shift: float = 0.0
    """what is then added to them"""
    stop_above: float | None = None
    """an episode ends after a turn with a reward strictly above this"""

    def __post_init__(self) -> None:
        whole_number("max_turns", self.max_turns, least=1)
        truth("self_contained", self.self_contained)
        for name in ("original_prompt", "previous_response"):
            if vars(self)[name] is not None:
                truth(name, vars(self)[name])
        for name in ("reward_scale", "reward_shift", "stop_above"):
            if name != "stop_above" or self.stop_above is not None:
                object.__setattr__(self, name, real_number(name, vars(self)[name]))

    @property
    def repeats_prompt(self) -> bool:
        """Whether later prompts repeat the first one."""
        return self.self_contained if self.original_prompt is None else self.original_prompt

    @property
    def repeats_response(self) -> bool:
        """Whether later prompts repeat what the agent wrote last."""
        return self.self_contained if self.previous_response is None else self.previous_response

    def reward(self, parts: Mapping[str, float]) -> tuple[float, dict[str, float]]:
        """reward_scale * (sum of the parts) + reward_shift, and the parts as they entered it."""
        entered = dict(parts)
        if self.reward_scale != 1.0:
            entered = {name: self.reward_scale * value for name, value in parts.items()}
        if self.reward_shift:
            entered["shift"] = self.reward_shift
        return self.reward_scale * sum(parts.values()) + self.reward_shift, entered

    def reward_range(self, worst: float, best: float) -> tuple[float, float]:
        """(smallest, largest) reward handed out, of those of the sum of the parts."""
        ends = [self.reward_scale * end + self.reward_shift for end in (worst, best)]
        return min(ends), max(ends)

    def over(self, turn: int, reward: float) -> bool:
        """Whether the turn with this number (from 1) and reward was the last."""
        return turn >= self.max_turns or (self.stop_above is not None and reward > self.stop_above)

    def follow_up(self, message: str, opening: str, response: str) -> str:
        """A prompt after the first: the message, then first prompt and last text where settings say so."""
        parts = [message]
        if self.repeats_prompt:
            parts.append(opening)
        if self.repeats_response and response.strip():
            parts.append(f"You wrote:\n{response.strip()}")
        return "\n\n".join(parts)
