"""Policies x episodes -> records.  No torch.

    env = collm_envs.make("StrBuild-v0")
    policies = seat(env.task, "expert", {})
    done = evaluate(env, policies, jobs(env, episodes=100), out="runs/expert")
    for row in table(done.records):          # collm_envs.table
        print(row)

Many episodes are played at once, each turn with one call of each policy.  With `out`, every episode is
written when it ends and every paid reply when it arrives, so that the same call after a kill goes on where
the last one was and pays for nothing twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO, runtime_checkable

from collm_envs.env import TextEnv, mend
from collm_envs.policies import Policy, Reply, Seat, take_seat
from collm_envs.record import Record, read, record
from collm_envs.task import writers
from collm_envs.vector import VecEnv


class Job(NamedTuple):
    """One episode to play: item and seed of the environment, and which of its repetitions."""

    split: str
    item: str
    seed: int
    trial: int = 0


class Failure(NamedTuple):
    """An episode that ended without a score, since a policy had no text."""

    job: Job
    agent: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@runtime_checkable
class Paid(Protocol):
    """A policy whose replies arrive one by one and cost money: each is written down as it comes."""

    @property
    def name(self) -> str: ...

    def act_each(self, seats: Sequence[Seat], heard: Callable[[Seat, Reply], None]) -> list[Reply]: ...


def jobs(env: TextEnv, *, split: str = "eval", episodes: int | None = None, seeds: int = 1) -> list[Job]:
    """`episodes` pairs of item and seed (the items in turn, seeds 0, 1, ...), each played `seeds` times.

    By default one pair for every item.  The repetitions differ in the policies' own sampling only.
    """
    items = env.items(split)
    pairs = len(items) if episodes is None else episodes
    if pairs < 1 or seeds < 1:
        raise ValueError(f"episodes and seeds must be at least 1, got {pairs} and {seeds}")
    return [Job(split, items[n % len(items)].id, n, trial) for trial in range(seeds) for n in range(pairs)]


def evaluate(
    env: TextEnv,
    policies: Mapping[str, Policy],
    todo: Sequence[Job],
    out: str | Path | None = None,
    *,
    at_once: int = 64,
    heard: Callable[[Record | Failure], None] = lambda outcome: None,
) -> Evaluation:
    """Play all of `todo`, `at_once` episodes at a time; `heard` is called with each as it ends.

    With `out`, what that folder already holds is not played again (but heard of first).  Raises
    ValueError where it holds another evaluation and where an agent has no policy, RuntimeError where a
    first round brings no text at all, or two later ones in a row (what was played is kept).
    """
    if set(policies) != set(env.possible_agents):
        raise ValueError(f"need a policy for each of {env.possible_agents}, got {sorted(policies)}")
    done = Evaluation()

    def note(outcome: Record | Failure) -> None:
        if isinstance(outcome, Record):
            done.records.append(outcome)
        else:
            done.failures.append(outcome)
        heard(outcome)

    if out is None:
        for outcome in _play(env, policies, todo, at_once, None):
            note(outcome)
        return done
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder / "eval.json", env, policies)
    missing = dict.fromkeys(todo)
    with _append(folder / "records.jsonl") as file, _append(folder / "calls.jsonl") as calls:
        for one in read(folder / "records.jsonl"):
            job = Job(one.split, one.item, one.seed, one.trial)
            if job in missing:
                del missing[job]
                note(one)
        journal = Journal(folder / "calls.jsonl", calls)
        for outcome in _play(env, policies, list(missing), at_once, journal):
            if isinstance(outcome, Record):
                file.write(outcome.to_json() + "\n")
                file.flush()
            note(outcome)
    if not done.failures:
        (folder / "calls.jsonl").unlink()
    return done


def _play(
    env: TextEnv, policies: Mapping[str, Policy], todo: Sequence[Job], at_once: int, journal: Journal | None
) -> Iterator[Record | Failure]:
    if not todo:
        return
    with closing(VecEnv(env, min(at_once, len(todo)))) as vec:
        waiting, playing, silent_rounds = iter(todo), dict[int, _Episode](), 1
        while True:
            for k in range(len(vec)):
                if k not in playing and (job := next(waiting, None)) is not None:
                    vec.reset_one(k, seed=job.seed, options={"item": job.item, "split": job.split})
                    playing[k] = _Episode(job)
            if not playing:
                return
            replies = _ask(vec, policies, playing, journal)
            failures = _failures(playing, replies)
            silent_rounds = silent_rounds + 1 if len(failures) == len(playing) else 0
            for k, failure in failures.items():
                del playing[k], replies[k]
                vec.drop(k)
                yield failure
                if silent_rounds == 2:
                    raise RuntimeError(f"no more texts from {failure.agent}: {failure.error}")
            if playing:
                vec.step([_texts(vec, replies[k]) if k in replies else None for k in range(len(vec))])
            for k, some in replies.items():
                playing[k].usage.append({agent: reply.usage for agent, reply in some.items()})
                if not vec[k].agents:
                    yield _finished(vec[k], playing.pop(k), policies)


def _texts(vec: VecEnv, replies: Mapping[str, Reply]) -> dict[str, str]:
    """A text for every agent: "" for those that did not write."""
    return {agent: replies[agent].text if agent in replies else "" for agent in vec.task.agents}


def _failures(
    playing: Mapping[int, _Episode], replies: Mapping[int, Mapping[str, Reply]]
) -> dict[int, Failure]:
    found: dict[int, Failure] = {}
    for k, some in replies.items():
        for agent, reply in some.items():
            if reply.error and k not in found:
                found[k] = Failure(playing[k].job, agent, reply.error)
    return found


@dataclass
class _Episode:
    job: Job
    began: float = field(default_factory=time.perf_counter)
    usage: list[dict[str, Mapping[str, Any]]] = field(default_factory=list)


def _finished(env: TextEnv, episode: _Episode, policies: Mapping[str, Policy]) -> Record:
    names = {agent: policy.name for agent, policy in policies.items()}
    seconds = round(time.perf_counter() - episode.began, 6)
    return record(env, names, usage=mended(episode.usage), seconds=seconds, trial=episode.job.trial)


def mended(said: Any) -> Any:
    """What a policy said of a reply, plain data, with every text in it as `TextEnv.step` would play it."""
    if isinstance(said, Mapping):
        return {mended(key): mended(value) for key, value in said.items()}
    if isinstance(said, (list, tuple)):
        return [mended(value) for value in said]
    return mend("usage", "a policy", said)[0] if isinstance(said, str) else said


def _ask(
    vec: VecEnv, policies: Mapping[str, Policy], playing: Mapping[int, _Episode], journal: Journal | None
) -> dict[int, dict[str, Reply]]:
    """{episode: {agent: reply}} of the agents that write now; a policy is called once, for all its seats."""
    writing = {k: writers(vec.task, vec[k].snapshot) for k in playing}
    replies: dict[int, dict[str, Reply]] = {k: {} for k in playing}
    for policy in {id(policy): policy for policy in policies.values()}.values():
        places = [(k, agent) for k in playing for agent in writing[k] if policies[agent] is policy]
        if not places:
            continue
        seats = [take_seat(vec[k], agent, policy, playing[k].job.trial) for k, agent in places]
        began = time.perf_counter()
        answered = _act(policy, seats, journal)
        share = round((time.perf_counter() - began) / len(seats), 6)
        if len(answered) != len(seats):
            raise RuntimeError(f"{policy.name}: {len(answered)} replies for {len(seats)} seats")
        for (k, agent), reply in zip(places, answered, strict=True):
            replies[k][agent] = Reply(reply.text, {"seconds": share, **reply.usage}, reply.error)
    return {k: {agent: some[agent] for agent in policies if agent in some} for k, some in replies.items()}


def _act(policy: Policy, seats: Sequence[Seat], journal: Journal | None) -> list[Reply]:
    if not isinstance(policy, Paid) or journal is None:
        return policy.act(seats)
    known = [journal.find(policy.name, seat) for seat in seats]
    unknown = [seat for seat, reply in zip(seats, known, strict=True) if reply is None]
    new = iter(policy.act_each(unknown, lambda seat, reply: journal.add(policy.name, seat, reply)))
    return [next(new) if reply is None else reply for reply in known]


class Journal:
    """Replies that were paid for, by what they answer; in a file, so that a kill loses none."""

    def __init__(self, path: Path, file: TextIO):
        self._file, self._lock = file, threading.Lock()
        self._replies: dict[str, Reply] = {}
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line:
                key, text, usage = json.loads(line)
                self._replies[key] = Reply(text, usage)

    def find(self, name: str, seat: Seat) -> Reply | None:
        return self._replies.get(_key(name, seat))

    def add(self, name: str, seat: Seat, reply: Reply) -> None:
        """Called from many threads.  Errors are not kept: they are worth another try."""
        if not reply.error:
            with self._lock:
                self._file.write(json.dumps([_key(name, seat), reply.text, dict(reply.usage)]) + "\n")
                self._file.flush()


def _key(name: str, seat: Seat) -> str:
    return hashlib.sha256(json.dumps([name, seat.agent, seat.seed, seat.history]).encode()).hexdigest()


def _append(path: Path) -> TextIO:
    """The file opened to append; a last line that a kill cut short is taken away."""
    path.touch()
    with path.open("rb+") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
    return path.open("a", encoding="utf-8", newline="\n")


def _claim(path: Path, env: TextEnv, policies: Mapping[str, Policy]) -> None:
    spec = env.spec
    mine: dict[str, Any] = {
        "env": spec.id,
        "kwargs": {**spec.kwargs, **({} if env.max_cycles is None else {"max_cycles": env.max_cycles})},
        "content_hash": spec.content_hash,
        "agents": {agent: policy.name for agent, policy in policies.items()},
    }
    mine = json.loads(json.dumps(mine))
    if not path.exists():
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(mine, indent=2) + "\n", encoding="utf-8")
        os.replace(draft, path)  # a kill leaves no half of it
        return
    try:
        other = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        hint = "delete it if the records beside it are of this evaluation"
        raise ValueError(f"{path} cannot be read ({error}); {hint}") from error
    for name in mine:
        if mine[name] != other.get(name):
            raise ValueError(
                f"{path.parent} holds another evaluation: {name} is {other.get(name)!r} there and "
                f"{mine[name]!r} here; choose another folder"
            )
