"""A recorded episode played again: its states and scenes, and whether its results are what its texts earn.

`replay` recomputes a record and compares.  It proves what the texts earn, not who wrote them, and cannot
notice a changed seed in a task that does not use its seed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, NamedTuple

from collm_envs.env import TextEnv, as_played
from collm_envs.record import Record, TurnRecord, earned
from collm_envs.registry import make, registry
from collm_envs.task import Scene, Task


def states(record: Record) -> list[Any]:
    """The task's (frozen) states: at the start and after each turn."""
    env = _env(_made_by(record), json.dumps(dict(record.kwargs)))
    _, item = env.find(record.item, record.split)
    played = [env.task.start(item, record.seed)]
    for turn in record.turns:
        played.append(env.task.play(played[-1], turn["texts"]))
    return played


def task_of(record: Record) -> Task:
    """The task that the record was played on."""
    return _env(_made_by(record), json.dumps(dict(record.kwargs))).task


def scenes(record: Record) -> list[Scene]:
    """The scenes for renderers: at the start and after each turn."""
    task = task_of(record)
    return [task.scene(state) for state in states(record)]


def reward_range(record: Record) -> tuple[float, float]:
    """Smallest and largest reward of a turn in the record's environment."""
    return task_of(record).reward_range


class Replayed(NamedTuple):
    """The result of replaying a record: equal, or the first difference."""

    status: Literal["equal", "differs", "inconclusive"]
    """inconclusive: only tests that timed out, when recorded or now, and their reward differ"""
    turn: int = 0
    """counted from 1; 0 for a difference outside the turns"""
    agent: str | None = None
    field: str = ""
    recorded: Any = None
    recomputed: Any = None
    turns: Sequence[TurnRecord] = ()
    """the turns with their recomputed results; () if the record differs"""

    def __str__(self) -> str:
        if self.status == "equal":
            return "equal"
        where = f"turn {self.turn}, " * bool(self.turn) + f"{self.agent}, " * bool(self.agent)
        recorded, recomputed = (repr(v)[:200] for v in (self.recorded, self.recomputed))
        return f"{self.status}: {where}{self.field}: recorded {recorded}, recomputed {recomputed}"


def replay(record: Record) -> Replayed:
    """Play the texts of `record` again and compare every prompt, reward, part, metric and the end, exactly.

    If a turn is inconclusive, its reward and the later prompts, which may quote it, are not compared; texts,
    the number of turns and the end are.  The reward of such an episode is that of the recomputed `turns`.

    Raises KeyError if the environment or the item does not exist, and the errors of `make` for malformed
    keywords.
    """
    env = _env(_made_by(record), json.dumps(dict(record.kwargs)))
    task, content_hash = env.task, env.spec.content_hash
    if record.content_hash != content_hash:
        return Replayed("differs", 0, None, "content_hash", record.content_hash, content_hash)
    if set(record.agents) != set(task.agents):
        return Replayed("differs", 0, None, "agents", sorted(record.agents), sorted(task.agents))
    _, item = env.find(record.item, record.split)
    state, over = task.start(item, record.seed), False
    unsure, turns = None, []
    for t, turn in enumerate(record.turns, start=1):
        if over:
            return Replayed("differs", t, None, "turns", len(record.turns), t - 1)
        prompts = {agent: task.prompt(state, agent) for agent in task.agents}
        recorded = {agent: turn["texts"].get(agent, "") for agent in task.agents}
        played, _ = as_played(record.env, task, state, recorded)
        difference = _apart(t, turn, {"texts": played} if unsure else {"prompts": prompts, "texts": played})
        if difference is not None:
            return difference
        state = task.play(state, played)
        results = earned(task.score(state), task.agents)
        difference = _apart(t, turn, results)
        if difference is not None and difference.status == "differs":
            return difference
        unsure = unsure or difference
        turns.append({**turn, **results})
        over = task.done(state) or t == env.max_cycles
    terminated = bool(record.turns) and task.done(state)
    if record.terminated != terminated:
        return Replayed("differs", len(record.turns), None, "terminated", record.terminated, terminated)
    return (unsure or Replayed("equal"))._replace(turns=turns)


def _apart(t: int, turn: TurnRecord, recomputed: Mapping[str, Any]) -> Replayed | None:
    for field, now in recomputed.items():
        then = turn[field]
        if then == now:
            continue
        if not isinstance(now, dict):
            return Replayed("differs", t, None, field, then, now)
        changed = [key for key in {**now, **then} if then.get(key) != now.get(key)]
        same_tests = field == "verdicts" and then.keys() == now.keys()
        if same_tests and all("timeout" in (then[key], now[key]) for key in changed):
            return Replayed("inconclusive", t, None, field, then, now)
        key = changed[0]
        agent, name = (key, field) if key in turn["texts"] else (None, f"{field}[{key!r}]")
        return Replayed("differs", t, agent, name, then.get(key), now.get(key))
    return None


def _made_by(record: Record) -> str:
    """The environment's id, after import of the record's module if the id is not registered yet.

    A record may come from a stranger: its module must not be one of Python's own; it is only imported, and
    used only if it has registered the environment.
    """
    if not record.module or record.env in registry:
        return record.env
    if record.module.partition(".")[0] in sys.stdlib_module_names:
        raise ValueError(
            f"record of {record.env}: {record.module!r} is a module of Python and registers nothing"
        )
    try:
        import_module(record.module)
    except ImportError as error:
        raise ImportError(
            f"record of {record.env}: its module {record.module!r} cannot be imported ({error}); start where "
            "Python finds it, or put its folder on PYTHONPATH"
        ) from error
    return record.env


@lru_cache(maxsize=16)
def _env(id: str, kwargs: str) -> TextEnv:
    """A cached environment, never stepped: only its task and spec are read, so threads may share it."""
    return make(id, **json.loads(kwargs))
