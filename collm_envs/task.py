"""What a task is: five pure functions on frozen data.  No PettingZoo, no numpy, no files.

A task never raises for what an agent wrote: text it cannot use becomes a `Rejected` line in the next
state.  All randomness comes from the `seed` given to `start`; a state holds everything that `prompt`,
`play`, `score` and `done` need, so an episode can be replayed, branched and pickled anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

Cell = tuple[int, int, int]
"""(x, y, z) of a block; y points up"""


@dataclass(frozen=True)
class Item:
    """One row of a task's data.  `data` has the published schema and is plain JSON."""

    id: str
    data: Mapping[str, Any]


class Rejected(NamedTuple):
    """A line of an agent's text that had no effect, and why."""

    line: str
    why: str


@dataclass(frozen=True)
class Score:
    """What the last turn earned.

    `reward` is shared by all agents; `parts` are its named summands or levels as they entered it;
    `metrics` are what papers report (lower-case keys).  `accepted` and `rejected` hold, per agent,
    the lines of its text that did and did not count.  A task that runs programs names each test's
    verdict in `verdicts`; "timeout" is the one verdict that a slower machine may change.
    """

    reward: float
    parts: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    accepted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rejected: Mapping[str, Sequence[Rejected]] = field(default_factory=dict)
    verdicts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AgentView:
    """What one agent sees of a block world."""

    target: frozenset[Cell]
    """cells of the box, to be filled or not, of which it knows what should stand there"""
    blocks: frozenset[Cell]
    """cells whose blocks it knows of"""


class Sign(NamedTuple):
    """Something that is no block, above a cell of the ground."""

    kind: Literal["danger", "warning", "guard"]
    """a danger that is here, one that will come, an agent that stands guard"""
    x: int
    z: int
    number: int
    """agents that a danger takes; of a guard, the agent's number from 0"""
    text: str
    """all that there is to say of it, in a line"""


@dataclass(frozen=True)
class Scene:
    """What a renderer may draw of a state, as plain data: a block world, titled texts, or both."""

    size: Cell = (0, 0, 0)
    """width, height, depth of the world in blocks; (0, 0, 0) where there is none.  Cells count from 0"""
    blocks: Mapping[Cell, str] = field(default_factory=dict)
    """non-air cells of the world: block id without the `minecraft:` prefix"""
    target: Mapping[Cell, str] = field(default_factory=dict)
    """non-air cells of what should stand there; "" where any block will do"""
    texts: Mapping[str, str] = field(default_factory=dict)
    """title -> text, e.g. the source post, a paragraph, a program"""
    title: str = ""
    """what the episode is about, in a few words; "" where nothing is shorter than the item's name"""
    note: str = ""
    """what a reader of the episode has to know about its reward; "" where the numbers say it"""
    sights: Mapping[str, AgentView] = field(default_factory=dict)
    """what each agent sees of the world; empty where all see everything"""
    signs: Sequence[Sign] = ()
    """what is to be seen besides blocks"""


S = TypeVar("S")
Player = Callable[[Any, Any, str, Random], str]
"""scripted player: (task, state, agent, rng) -> text.  It may read the whole state: a yardstick, no agent"""


@dataclass(frozen=True)
class Heard:
    """What the agents have said to each other before a scripted player writes."""

    rounds: tuple[Mapping[str, str], ...] = ()
    """{agent: message} of every message round of the episode, oldest first"""
    speaking: bool = False
    """whether the player's text will be a message, not a turn"""


NOTHING = Heard()
"""what a player has heard where nobody talks"""
Voice = Callable[[Any, Any, str, Random, Heard], str]
"""scripted player that speaks: (task, state, agent, rng, heard) -> message or turn"""


def silent(player: Voice, task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """What `player` writes in its turns where it has heard nothing; no message of its own."""
    return "" if heard.speaking else player(task, state, agent, rng, NOTHING)


class Task(Protocol[S]):
    """The contract of a task; `S` is its own frozen state.

    The constructor takes keywords only and validates all of them.  Every task takes `items` (the user's
    own rows in the published schema, or `{"train": rows, "eval": rows}`), `num_agents`, and
    `self_contained` (every prompt repeats what a policy without memory needs).

    What a task may have besides; the functions below are the only places that ask for it, and say what holds
    for a task without.

    - `parallel_play = True`: `play` waits for a sandbox, so that turns are worth playing side by side.
    - `default_text(state, agent) -> str`: what stands for an agent that takes no part, where the empty text
      is a poor choice (it would undo the other agents' work too).  It enters credit alone.
    - `writers(state) -> tuple[str, ...]`: the agents that write now, where not all do.  The others read ""
      and their text is "".
    - `most_chars(state) -> int | None`: the longest text that counts now; longer ones are cut.
    - `voices: Mapping[str, Voice]`: scripted players that also speak, see `collm_envs.wrappers.talk`.
    """

    agents: tuple[str, ...]
    """names of the players: agent_0, agent_1, ..."""
    max_turns: int
    """the task's own horizon"""
    revision: int
    """raised with every change of a prompt, parser, metric or reward; part of the content hash"""
    reward_range: tuple[float, float]
    """smallest and largest reward of a turn"""
    players: Mapping[str, Player]
    """scripted players by name: at least random, expert, noisy"""

    def items(self, split: str) -> Sequence[Item]:
        """The items of `"train"` or `"eval"`."""
        ...

    def start(self, item: Item, seed: int) -> S:
        """The state before turn 1.  The only place where randomness enters."""
        ...

    def prompt(self, state: S, agent: str) -> str:
        """The new message to `agent`: the whole task at turn 1, feedback after that."""
        ...

    def play(self, state: S, texts: Mapping[str, str]) -> S:
        """The state after every agent has written its text."""
        ...

    def score(self, state: S) -> Score:
        """What the turn that led to `state` earned.  Defined after the first `play`."""
        ...

    def done(self, state: S) -> bool:
        """Whether the task's own last turn has been played."""
        ...

    def scene(self, state: S) -> Scene:
        """What a renderer may draw of `state`."""
        ...


def in_parallel(task: Task) -> bool:
    """Whether the turns of a task are worth playing side by side."""
    return hasattr(task, "parallel_play") and task.parallel_play  # type: ignore[attr-defined]


def silence(task: Task, state: Any, agent: str) -> str:
    """What stands for an agent that takes no part: the task's `default_text` where it has one, else "".

    Also "" for an agent that does not write now in any case.
    """
    if hasattr(task, "default_text") and agent in writers(task, state):
        return task.default_text(state, agent)  # type: ignore[attr-defined]
    return ""


def takes_turns(task: Task) -> bool:
    """Whether there may be steps in which some agents do not write."""
    return hasattr(task, "writers")


def writers(task: Task, state: Any) -> tuple[str, ...]:
    """The agents that write now: all of them, unless the task has `writers`."""
    return task.writers(state) if takes_turns(task) else task.agents  # type: ignore[attr-defined]


def most_chars(task: Task, state: Any) -> int | None:
    """The longest text that counts now, None without a limit of the task's own."""
    return task.most_chars(state) if hasattr(task, "most_chars") else None  # type: ignore[attr-defined]


def agent_names(n: int) -> tuple[str, ...]:
    """("agent_0", ..., "agent_<n-1>"), or a ValueError for n < 1."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"num_agents: need an int of at least 1, got {n!r}")
    return tuple(f"agent_{k}" for k in range(n))
