"""An episode as one JSON line, and the line played again.

A `Record` holds what is needed to recompute everything else: environment, keywords, item, seed and every
text as it was played.  `replay` does so and compares.  It proves what the texts earn, not who wrote them,
and it cannot see a changed seed in a task that never reads its seed.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO, TypedDict

from collm_envs.env import TextEnv, as_played
from collm_envs.registry import make
from collm_envs.task import Rejected, Scene, Score, Task

MAX_LINE_CHARS = 64 * 2**20
MAX_DEPTH = 32
"""of objects and lists inside one another in a record"""


class TurnRecord(TypedDict):
    """One turn.  Texts are as played; `edits` says what had to be changed for that."""

    prompts: dict[str, str]
    texts: dict[str, str]
    reward: float
    parts: dict[str, float]
    metrics: dict[str, float]
    accepted: dict[str, list[str]]
    rejected: dict[str, list[dict[str, str]]]
    """{agent: [{"line": ..., "why": ...}]}"""
    verdicts: dict[str, str]
    """test -> verdict, where a task runs programs; {} elsewhere"""
    edits: dict[str, list[str]]
    usage: dict[str, dict[str, Any]]
    """{agent: what the policy said of its reply: tokens, seconds, finish reason, errors on the way}"""


@dataclass(frozen=True)
class Record:
    """One episode, whole or as far as it went."""

    env: str
    """id of the environment"""
    version: str
    """of the collm package"""
    content_hash: str
    """`env.spec.content_hash`"""
    kwargs: Mapping[str, Any]
    """`make(record.env, **record.kwargs)` gives the same environment"""
    item: str
    split: str
    seed: int
    """of the episode, as given to `reset`"""
    agents: Mapping[str, str]
    """{agent: name of the policy that played it}"""
    turns: Sequence[TurnRecord]
    terminated: bool
    """whether the task's own last turn was played"""
    seconds: float
    """wall time from the first prompt to the end, the policies' time included"""
    trial: int = 0
    """tells apart episodes of the same item and seed that were sampled anew"""

    def to_json(self) -> str:
        """One line, without a line break.  Raises ValueError for a number that is not finite."""
        return json.dumps(asdict(self), ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record of a line; ValueError that names the field for anything else."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"record: not JSON ({error})") from error
        if not isinstance(data, dict):
            raise ValueError(f"record: need a JSON object, got {type(data).__name__}")
        if too_deep(data):
            raise ValueError(f"record: nested more than {MAX_DEPTH} deep")
        data = {"trial": 0, **data}
        if unknown := set(data) - {field.name for field in fields(cls)}:
            raise ValueError(f"record: unknown fields {sorted(unknown)}")
        _check(data, _RECORD, "")
        for k, turn in enumerate(data["turns"], start=1):
            _check(turn, _TURN, f"turn {k}: ")
        return cls(**data)


_STR_TO_STR = {str: str}
_RECORD: dict[str, Any] = {
    "env": str,
    "version": str,
    "content_hash": str,
    "kwargs": dict,
    "item": str,
    "split": str,
    "seed": int,
    "agents": _STR_TO_STR,
    "turns": [dict],
    "terminated": bool,
    "seconds": float,
    "trial": int,
}
_TURN: dict[str, Any] = {
    "prompts": _STR_TO_STR,
    "texts": _STR_TO_STR,
    "reward": float,
    "parts": {str: float},
    "metrics": {str: float},
    "accepted": {str: [str]},
    "rejected": {str: [_STR_TO_STR]},
    "verdicts": _STR_TO_STR,
    "edits": {str: [str]},
    "usage": {str: dict},
}


def too_deep(value: Any, levels: int = MAX_DEPTH) -> bool:
    """Whether a JSON value nests deeper than that; what does can end whatever walks it."""
    if not isinstance(value, (dict, list)):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(too_deep(some, levels - 1) for some in inside)


def _check(data: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    for name, want in schema.items():
        if name not in data:
            raise ValueError(f"record: {where}no field {name!r}")
        if not _fits(data[name], want):
            got = repr(data[name])
            raise ValueError(f"record: {where}field {name!r} is malformed: {got[:80]}")


def _fits(value: Any, want: Any) -> bool:
    if isinstance(want, dict):
        ((_, inner),) = want.items()
        return isinstance(value, dict) and all(_fits(some, inner) for some in value.values())
    if isinstance(want, list):
        return isinstance(value, list) and all(_fits(some, want[0]) for some in value)
    if want is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    if want is int:
        return type(value) is int
    return isinstance(value, want)


def record(
    env: TextEnv,
    agents: Mapping[str, str] | None = None,
    *,
    usage: Sequence[Mapping[str, Mapping[str, Any]]] = (),
    seconds: float = 0.0,
    trial: int = 0,
) -> Record:
    """The episode of `env` so far.

    `agents` names the policy behind each agent, `usage[t][agent]` is what it said of its reply at turn t.
    Raises RuntimeError before the first `reset`.
    """
    if env.item is None:
        raise RuntimeError(f"{env.spec.id}: no episode to record yet; call reset() first")
    turns: list[Any] = []
    for t, turn in enumerate(env.turns):
        said = usage[t] if t < len(usage) else {}
        turns.append(
            {
                "prompts": dict(turn.prompts),
                "texts": dict(turn.texts),
                **_earned(turn.score, env.possible_agents),
                "edits": {agent: list(turn.edits[agent]) for agent in env.possible_agents},
                "usage": {agent: dict(said.get(agent, {})) for agent in env.possible_agents},
            }
        )
    spec, kwargs = env.spec, dict(env.spec.kwargs)
    if env.max_cycles is not None:
        kwargs["max_cycles"] = env.max_cycles
    assert spec.content_hash is not None
    return Record(
        env=spec.id,
        version=_version(),
        content_hash=spec.content_hash,
        kwargs=kwargs,
        item=env.item.id,
        split=env.split,
        seed=env.seed,
        agents=dict(agents or dict.fromkeys(env.possible_agents, "")),
        turns=turns,
        terminated=bool(turns) and env.task.done(env.snapshot),
        seconds=seconds,
        trial=trial,
    )


def states(record: Record) -> list[Any]:
    """The task's states: the start and one after each turn.  States are the task's own frozen data."""
    env = _env(record.env, json.dumps(dict(record.kwargs)))
    _, item = env.find(record.item, record.split)
    found = [env.task.start(item, record.seed)]
    for turn in record.turns:
        found.append(env.task.play(found[-1], turn["texts"]))
    return found


def task_of(record: Record) -> Task:
    """The task that the record was played on."""
    return _env(record.env, json.dumps(dict(record.kwargs))).task


def scenes(record: Record) -> list[Scene]:
    """What a renderer may draw: the start and one scene after each turn."""
    task = task_of(record)
    return [task.scene(state) for state in states(record)]


class Replay(NamedTuple):
    """What came of playing a record again: equal, or the first place where it is not."""

    status: Literal["equal", "differs", "inconclusive"]
    """inconclusive: the difference is confined to tests that timed out then or now, and what they earn"""
    turn: int = 0
    """counted from 1; 0 for the record as a whole"""
    agent: str | None = None
    field: str = ""
    recorded: Any = None
    recomputed: Any = None
    turns: Sequence[TurnRecord] = ()
    """the turns with what they earn now; () where it differs"""

    def __str__(self) -> str:
        if self.status == "equal":
            return "equal"
        where = f"turn {self.turn}, " * bool(self.turn) + f"{self.agent}, " * bool(self.agent)
        recorded, recomputed = (repr(v)[:200] for v in (self.recorded, self.recomputed))
        return f"{self.status}: {where}{self.field}: recorded {recorded}, recomputed {recomputed}"


def replay(record: Record) -> Replay:
    """Play the texts of `record` again and compare every prompt, reward, part, metric and the end, exactly.

    Where a turn is inconclusive, what it earned is not compared, nor are later prompts, which may quote it;
    texts, turns and end are.  What such an episode is worth, only the recomputed `turns` say.

    Raises KeyError where the environment or the item does not exist, and whatever `make` finds wrong with
    the keywords.
    """
    env = _env(record.env, json.dumps(dict(record.kwargs)))
    task, content_hash = env.task, env.spec.content_hash
    if record.content_hash != content_hash:
        return Replay("differs", 0, None, "content_hash", record.content_hash, content_hash)
    if set(record.agents) != set(task.agents):
        return Replay("differs", 0, None, "agents", sorted(record.agents), sorted(task.agents))
    _, item = env.find(record.item, record.split)
    state, over = task.start(item, record.seed), False
    unsure, turns = None, []
    for t, turn in enumerate(record.turns, start=1):
        if over:
            return Replay("differs", t, None, "turns", len(record.turns), t - 1)
        read = {agent: task.prompt(state, agent) for agent in task.agents}
        recorded = {agent: turn["texts"].get(agent, "") for agent in task.agents}
        played, _ = as_played(record.env, task, state, recorded)
        apart = _apart(t, turn, {"texts": played} if unsure else {"prompts": read, "texts": played})
        if apart is not None:
            return apart
        state = task.play(state, played)
        earned = _earned(task.score(state), task.agents)
        apart = _apart(t, turn, earned)
        if apart is not None and apart.status == "differs":
            return apart
        unsure = unsure or apart
        turns.append({**turn, **earned})
        over = task.done(state) or t == env.max_cycles
    terminated = bool(record.turns) and task.done(state)
    if record.terminated != terminated:
        return Replay("differs", len(record.turns), None, "terminated", record.terminated, terminated)
    return (unsure or Replay("equal"))._replace(turns=turns)


def _apart(t: int, turn: TurnRecord, recomputed: Mapping[str, Any]) -> Replay | None:
    for field, now in recomputed.items():
        then = turn[field]
        if then == now:
            continue
        if not isinstance(now, dict):
            return Replay("differs", t, None, field, then, now)
        changed = [key for key in {**now, **then} if then.get(key) != now.get(key)]
        same_tests = field == "verdicts" and then.keys() == now.keys()
        if same_tests and all("timeout" in (then[key], now[key]) for key in changed):
            return Replay("inconclusive", t, None, field, then, now)
        key = changed[0]
        agent, name = (key, field) if key in turn["texts"] else (None, f"{field}[{key!r}]")
        return Replay("differs", t, agent, name, then.get(key), now.get(key))
    return None


def _earned(score: Score, agents: Iterable[str]) -> dict[str, Any]:
    rejected = {agent: [Rejected(*r)._asdict() for r in score.rejected.get(agent, ())] for agent in agents}
    return {
        "verdicts": dict(score.verdicts),
        "reward": float(score.reward),
        "parts": {name: float(value) for name, value in score.parts.items()},
        "metrics": {name: float(value) for name, value in score.metrics.items()},
        "accepted": {agent: list(score.accepted.get(agent, ())) for agent in rejected},
        "rejected": rejected,
    }


@lru_cache(maxsize=16)
def _env(id: str, kwargs: str) -> TextEnv:
    """Never stepped: only its task and spec are read, so that threads may share it."""
    return make(id, **json.loads(kwargs))


@cache
def _version() -> str:
    return version("collm")


def write(records: Iterable[Record], path: str | Path) -> None:
    """One JSON line a record; compressed where the name ends in `.gz`.  An existing file is replaced."""
    with _open(Path(path), "wt") as file:
        for one in records:
            file.write(one.to_json() + "\n")


def read(path: str | Path) -> Iterator[Record]:
    """The records of a JSONL file, one at a time; blank lines are skipped.

    Raises ValueError that names file and line for anything that is not a record.
    """
    with _open(Path(path), "rt") as file:
        number = 0
        while line := file.readline(MAX_LINE_CHARS + 1):
            number += 1
            if len(line) > MAX_LINE_CHARS:
                raise ValueError(f"{path}:{number}: longer than {MAX_LINE_CHARS} characters")
            if line.strip():
                try:
                    one = Record.from_json(line)
                except ValueError as error:
                    raise ValueError(f"{path}:{number}: {error}") from error
                yield one


def _open(path: Path, mode: Literal["rt", "wt"]) -> TextIO:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    return opener(path, mode, encoding="utf-8", newline="\n")
