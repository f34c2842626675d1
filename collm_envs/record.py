"""An episode as one JSON line, and its replay.

A `Record` holds all that is needed to recompute an episode (environment, keywords, item, seed and every text
as played) and its results.  `replay` recomputes them and compares.  It proves what the texts earn, not who
wrote them, and cannot notice a changed seed in a task that does not use its seed.
"""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO, TypedDict

from collm_envs.env import TextEnv, as_played
from collm_envs.files import drafted
from collm_envs.registry import home, make, registry
from collm_envs.shapes import MAX_DEPTH, fits, too_deep
from collm_envs.task import Rejected, Scene, Score, Task

MAX_LINE_CHARS = 64 * 2**20


class TurnRecord(TypedDict):
    """One turn.  Texts are as played; `edits` describes the changes made to them before."""

    prompts: dict[str, str]
    texts: dict[str, str]
    reward: float
    parts: dict[str, float]
    metrics: dict[str, float]
    accepted: dict[str, list[str]]
    rejected: dict[str, list[dict[str, str]]]
    """{agent: [{"line": ..., "why": ...}]}"""
    verdicts: dict[str, str]
    """{test: verdict} of tasks that run programs; {} for others"""
    edits: dict[str, list[str]]
    usage: dict[str, dict[str, Any]]
    """{agent: data of the policy on its reply: tokens, seconds, finish reason, errors}"""


@dataclass(frozen=True)
class Record:
    """One episode, complete or up to some turn."""

    env: str
    """id of the environment"""
    version: str
    """version of the collm package"""
    content_hash: str
    """`env.spec.content_hash`"""
    kwargs: Mapping[str, Any]
    """`make(record.env, **record.kwargs)` gives the same environment"""
    item: str
    split: str
    seed: int
    """the episode's seed, as given to `reset`"""
    agents: Mapping[str, str]
    """{agent: name of the policy that played it}"""
    turns: Sequence[TurnRecord]
    terminated: bool
    """whether the task itself has ended the episode"""
    seconds: float
    """wall time from the first prompt to the end, including the policies' time"""
    trial: int = 0
    """number of the repetition: several episodes of the same item and seed differ by it"""
    module: str = ""
    """module to import before `make`, for an environment of another package; left out of the line if empty"""

    def to_json(self) -> str:
        """One line, without a line break.  Raises ValueError for a number that is not finite."""
        data = asdict(self)
        if not self.module:
            del data["module"]
        return json.dumps(data, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Record:
        """The record of a line.  Raises ValueError that names the field if it is malformed."""
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"record: not JSON ({error})") from error
        if not isinstance(data, dict):
            raise ValueError(f"record: need a JSON object, got {type(data).__name__}")
        if too_deep(data):
            raise ValueError(f"record: nested more than {MAX_DEPTH} deep")
        data = {"trial": 0, "module": "", **data}
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
    "module": str,
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


def _check(data: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    for name, shape in schema.items():
        if name not in data:
            raise ValueError(f"record: {where}no field {name!r}")
        if not fits(data[name], shape):
            value_text = repr(data[name])
            raise ValueError(f"record: {where}field {name!r} is malformed: {value_text[:80]}")


def record(
    env: TextEnv,
    agents: Mapping[str, str] | None = None,
    *,
    usage: Sequence[Mapping[str, Mapping[str, Any]]] = (),
    seconds: float = 0.0,
    trial: int = 0,
) -> Record:
    """The episode of `env` so far.

    `agents` maps agents to the names of their policies; `usage[t][agent]` is data on the reply at turn t.
    Raises RuntimeError before the first `reset`.
    """
    if env.item is None:
        raise RuntimeError(f"{env.spec.id}: no episode to record yet; call reset() first")
    turns: list[Any] = []
    for t, turn in enumerate(env.turns):
        turn_usage = usage[t] if t < len(usage) else {}
        turns.append(
            {
                "prompts": dict(turn.prompts),
                "texts": dict(turn.texts),
                **_earned(turn.score, env.possible_agents),
                "edits": {agent: list(turn.edits[agent]) for agent in env.possible_agents},
                "usage": {agent: dict(turn_usage.get(agent, {})) for agent in env.possible_agents},
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
        module=home(spec),
    )


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
        earned = _earned(task.score(state), task.agents)
        difference = _apart(t, turn, earned)
        if difference is not None and difference.status == "differs":
            return difference
        unsure = unsure or difference
        turns.append({**turn, **earned})
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


@cache
def _version() -> str:
    return version("collm")


def write(records: Iterable[Record], path: str | Path) -> None:
    """Write one JSON line per record; compressed if the name ends in `.gz`.

    An existing file is replaced after the last line is written, and unchanged if writing fails.
    """
    with drafted(Path(path)) as draft, _open(draft, "wt") as file:
        for record in records:
            file.write(record.to_json() + "\n")


def read(path: str | Path) -> Iterator[Record]:
    """The records of a JSONL file, one at a time; blank lines and a last line that was cut short are skipped.

    Raises ValueError that names file and line for any other line that is not a record.
    """
    with _open(Path(path), "rt") as file:
        number = 0
        while line := _line(file, f"{path}:{number + 1}"):
            number += 1
            if len(line) > MAX_LINE_CHARS:
                raise ValueError(f"{path}:{number}: longer than {MAX_LINE_CHARS} characters")
            if line.strip():
                try:
                    episode = Record.from_json(line)
                except ValueError as error:
                    if line.endswith("\n") or _whole(line):
                        raise ValueError(f"{path}:{number}: {error}") from error
                    return  # the writer was killed, or is still writing
                yield episode


def unique(records: Iterable[Record]) -> Iterator[Record]:
    """The first record of each episode (split, item, seed, trial)."""
    keys: set[tuple[str, str, int, int]] = set()
    for episode in records:
        key = episode.split, episode.item, episode.seed, episode.trial
        if key not in keys:
            keys.add(key)
            yield episode


def _line(file: TextIO, where: str) -> str:
    try:
        return file.readline(MAX_LINE_CHARS + 1)
    except (EOFError, zlib.error, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise ValueError(f"{where}: damaged or cut short ({error})") from error


def _whole(line: str) -> bool:
    """Whether a line is complete JSON."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _open(path: Path, mode: Literal["rt", "wt"]) -> TextIO:
    opener: Any = gzip.open if path.suffix == ".gz" else open
    encoding = "utf-8-sig" if mode == "rt" else "utf-8"  # an editor may have set a byte order mark
    return opener(path, mode, encoding=encoding, newline="\n")
