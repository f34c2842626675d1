"""An episode as one JSON line.

A `Record` holds all that is needed to recompute an episode (environment, keywords, item, seed and every text
as played) and its results.  `collm_envs.replay` recomputes and compares them.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TextIO, TypedDict, get_type_hints

import collm_envs
from collm_envs.env import TextEnv
from collm_envs.files import drafted
from collm_envs.registry import home
from collm_envs.shapes import MAX_DEPTH, fits, shape_of, too_deep
from collm_envs.task import Rejected, Score

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
_TURN = {name: shape_of(hint) for name, hint in get_type_hints(TurnRecord).items()}


def _check(data: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    for name, shape in schema.items():
        if name not in data:
            raise ValueError(f"record: {where}no field {name!r}")
        if not fits(data[name], shape):
            raise ValueError(f"record: {where}field {name!r} is malformed: {repr(data[name])[:80]}")


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
                **earned(turn.score, env.possible_agents),
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
        version=collm_envs.__version__,
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


def earned(score: Score, agents: Iterable[str]) -> dict[str, Any]:
    """The part of a turn's record that its score gives."""
    rejected = {agent: [Rejected(*r)._asdict() for r in score.rejected.get(agent, ())] for agent in agents}
    return {
        "verdicts": dict(score.verdicts),
        "reward": float(score.reward),
        "parts": {name: float(value) for name, value in score.parts.items()},
        "metrics": {name: float(value) for name, value in score.metrics.items()},
        "accepted": {agent: list(score.accepted.get(agent, ())) for agent in rejected},
        "rejected": rejected,
    }


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
