"""Policies x episodes -> records.  No torch.

    env = collm_envs.make("StrBuild-v0")
    policies = seat_all(env.task, "expert", {})
    done = evaluate(env, policies, jobs(env, episodes=100), out="runs/expert")
    for row in table(done.records):          # collm_envs.evaluation
        print(row)

Many episodes are played at once, each turn with one call of each policy.  With `out`, every episode is
written when it ends and every paid reply when it arrives, so that the same call after an interruption
continues and pays for no reply twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from collm_envs.env import TextEnv
from collm_envs.files import appending, one_writer, read_json, saving, write_json
from collm_envs.policies.journal import Journal, Paid, mended, open_journal
from collm_envs.policies.seat import SECONDS, WRITTEN, Policy, Reply, Seat, Weighed
from collm_envs.policies.specs import take_seat
from collm_envs.record import Record, read, record, unique
from collm_envs.task import writers
from collm_envs.vector import VecEnv


class Job(NamedTuple):
    """One episode to play: split, item, seed, and the number of its repetition (`trial`)."""

    split: str
    item: str
    seed: int
    trial: int = 0


class Failure(NamedTuple):
    """An episode that ended without a score because a policy returned an error."""

    job: Job
    agent: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    """The episodes of one call of `evaluate`."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    kept: list[Record] = field(default_factory=list)
    """records that the folder held before; the others were played by this call"""

    def __str__(self) -> str:
        """Counts of episodes played by this call and of those kept from before."""
        kept, there = len(self.kept), len(self.records) + len(self.failures)
        if kept == there:
            return f"complete already: {kept} of {there}, nothing was played"
        played = f"{there - kept} played"
        return f"{kept} kept, {played}" if kept else played


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
    notify: Callable[[Record | Failure], None] = lambda outcome: None,
) -> Evaluation:
    """Play all of `todo`, `at_once` episodes at a time; `notify` is called with each as it ends.

    With `out`, what that folder already holds is not played again (`notify` is called with it first).
    Raises ValueError where it holds another evaluation and where an agent has no policy, RuntimeError where
    a first round gives no text at all, or two later ones in a row (what was played is kept).
    """
    if set(policies) != set(env.possible_agents):
        raise ValueError(f"need a policy for each of {env.possible_agents}, got {sorted(policies)}")
    done = Evaluation()

    def note(outcome: Record | Failure) -> None:
        if isinstance(outcome, Record):
            done.records.append(outcome)
        else:
            done.failures.append(outcome)
        notify(outcome)

    if out is None:
        for outcome in _play(env, policies, todo, at_once, None):
            note(outcome)
        return done
    folder = Path(out)
    with one_writer(folder):
        _claim(folder / "eval.json", env, policies)
        try:
            _play_into(folder, env, policies, todo, at_once, done, note)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"stopped: {_so_far(folder, done, todo)}") from None
    return done


def _play_into(
    folder: Path,
    env: TextEnv,
    policies: Mapping[str, Policy],
    todo: Sequence[Job],
    at_once: int,
    done: Evaluation,
    note: Callable[[Record | Failure], None],
) -> None:
    """Report the episodes of `todo` that the folder holds, then play and write the missing ones."""
    missing = dict.fromkeys(todo)
    with appending(folder / "records.jsonl") as file, open_journal(folder / "calls.jsonl") as journal:
        for episode in kept(folder):
            job = Job(episode.split, episode.item, episode.seed, episode.trial)
            if job in missing:
                del missing[job]
                done.kept.append(episode)
                note(episode)
        for outcome in _play(env, policies, list(missing), at_once, journal):
            if isinstance(outcome, Record):
                with saving(str(folder / "records.jsonl"), _so_far(folder, done, todo)):
                    file.write(outcome.to_json() + "\n")
                    file.flush()
            note(outcome)
    if not done.failures:
        (folder / "calls.jsonl").unlink()


def _so_far(folder: Path, done: Evaluation, todo: Sequence[Job]) -> str:
    return f"{len(done.records)} of {len(todo)} kept in {folder}; the same command goes on"


def kept(folder: Path) -> Iterator[Record]:
    """The records of an evaluation's folder, each episode once.

    Raises ValueError for a record that is not of the evaluation that the folder's eval.json names.
    """
    path = folder / "records.jsonl"
    claim = _read_claim(folder / "eval.json")
    for episode in unique(read(path)):
        facts = {"env": episode.env, "kwargs": dict(episode.kwargs), "content_hash": episode.content_hash}
        for name, value in {**facts, "agents": dict(episode.agents)}.items():
            if name in claim and claim[name] != value:
                raise ValueError(
                    f"{path} holds an episode of another evaluation "
                    f"(item {episode.item}, seed {episode.seed}): "
                    f"{name} is {value!r} there and {claim[name]!r} in eval.json; choose another folder"
                )
        yield episode


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
                    name = policies[failure.agent].name
                    raise RuntimeError(f"no more texts from {failure.agent}: {failure.error} (of {name})")
            if playing:
                vec.step([_texts(vec, replies[k]) if k in replies else None for k in range(len(vec))])
            for k, agent_replies in replies.items():
                playing[k].usage.append({agent: reply.usage for agent, reply in agent_replies.items()})
                if not vec[k].agents:
                    yield _finished(vec[k], playing.pop(k), policies)


def _texts(vec: VecEnv, replies: Mapping[str, Reply]) -> dict[str, str]:
    """A text for every agent: "" for those that did not write."""
    return {agent: replies[agent].text if agent in replies else "" for agent in vec.task.agents}


def _failures(
    playing: Mapping[int, _Episode], replies: Mapping[int, Mapping[str, Reply]]
) -> dict[int, Failure]:
    failures: dict[int, Failure] = {}
    for k, agent_replies in replies.items():
        for agent, reply in agent_replies.items():
            if reply.error and k not in failures:
                failures[k] = Failure(playing[k].job, agent, reply.error)
    return failures


@dataclass
class _Episode:
    job: Job
    began: float = field(default_factory=time.perf_counter)
    usage: list[dict[str, Mapping[str, Any]]] = field(default_factory=list)


def _finished(env: TextEnv, episode: _Episode, policies: Mapping[str, Policy]) -> Record:
    names = {agent: policy.name for agent, policy in policies.items()}
    seconds = round(time.perf_counter() - episode.began, 6)
    return record(env, names, usage=mended(episode.usage), seconds=seconds, trial=episode.job.trial)


def _ask(
    vec: VecEnv, policies: Mapping[str, Policy], playing: Mapping[int, _Episode], journal: Journal | None
) -> dict[int, dict[str, Reply]]:
    """{episode: {agent: reply}} of the agents that write now; a policy is called once, for all its seats."""
    writing = {k: writers(vec.task, vec[k].snapshot) for k in playing}
    replies: dict[int, dict[str, Reply]] = {k: {} for k in playing}
    for policy in {id(policy): policy for policy in policies.values()}.values():
        seat_keys = [(k, agent) for k in playing for agent in writing[k] if policies[agent] is policy]
        if not seat_keys:
            continue
        seats = [take_seat(vec[k], agent, policy, playing[k].job.trial) for k, agent in seat_keys]
        began = time.perf_counter()
        answered = _act(policy, seats, journal)
        took = time.perf_counter() - began
        if len(answered) != len(seats):
            raise RuntimeError(f"{policy.name}: {len(answered)} replies for {len(seats)} seats")
        for (k, agent), reply, share in zip(seat_keys, answered, shares(answered), strict=True):
            seconds = round(took * share, 6)
            replies[k][agent] = Reply(reply.text, {SECONDS: seconds, **reply.usage}, reply.error)
    return {
        k: {agent: agent_replies[agent] for agent in policies if agent in agent_replies}
        for k, agent_replies in replies.items()
    }


def shares(replies: Sequence[Reply]) -> list[float]:
    """Each reply's share of its batch's time: that of its tokens, or equal where some are unknown.

    A batch is decoded token by token, so longer texts are what it takes longer for.
    """
    tokens = [reply.usage.get(WRITTEN) for reply in replies]
    written = [count for count in tokens if isinstance(count, int) and count >= 0]
    total = sum(written)
    if len(written) < len(replies) or not total:
        return [1 / len(replies)] * len(replies)
    return [count / total for count in written]


def _act(policy: Policy, seats: Sequence[Seat], journal: Journal | None) -> list[Reply]:
    return journal.ask(policy, seats) if isinstance(policy, Paid) and journal else policy.act(seats)


def _claim(path: Path, env: TextEnv, policies: Mapping[str, Policy]) -> None:
    claim = _claimed(env, policies)
    if not path.exists():
        with saving(str(path), "make room and give the same command again"):
            write_json(path, claim)
        return
    other = _read_claim(path)
    for name in claim:
        if claim[name] != other.get(name):
            why = f"{name} is {other.get(name)!r} there and {claim[name]!r} here"
            if name == "weights":
                why = _other_weights(claim, other["weights"])
            raise ValueError(f"{path.parent} holds another evaluation: {why}; choose another folder")


def _claimed(env: TextEnv, policies: Mapping[str, Policy]) -> dict[str, Any]:
    """The identity of an evaluation (environment, agents, weights), after a round trip through JSON."""
    spec = env.spec
    facts = {
        "env": spec.id,
        "kwargs": {**spec.kwargs, **({} if env.max_cycles is None else {"max_cycles": env.max_cycles})},
        "content_hash": spec.content_hash,
        "agents": {agent: policy.name for agent, policy in policies.items()},
        "weights": {
            agent: policy.digest for agent, policy in policies.items() if isinstance(policy, Weighed)
        },
    }
    return json.loads(json.dumps(facts))


def set_aside(folder: Path, env: TextEnv, policies: Mapping[str, Policy]) -> str:
    """Make room in a folder whose episodes were played with other weights, and say so; "" where none were.

    What lies there moves into a folder within, `earlier-` and the beginning of the old digest.  A folder
    that holds another evaluation in anything else stays as it is, for `evaluate` to refuse.
    """
    path = folder / "eval.json"
    if not path.exists():
        return ""
    own_claim, other = _claimed(env, policies), _read_claim(path)
    if [name for name in own_claim if own_claim[name] != other.get(name)] != ["weights"]:
        return ""
    was = hashlib.sha256(json.dumps(other["weights"], sort_keys=True).encode()).hexdigest()[:8]
    numbers = (f"-{k}" * (k > 1) for k in count(1))
    target = next(t for number in numbers if not (t := folder / f"earlier-{was}{number}").exists())
    target.mkdir()
    for old in folder.iterdir():  # the claim last: killed in between, the same happens again
        if old.is_file() and old.name not in ("eval.json", ".lock"):
            old.rename(target / old.name)
    path.rename(target / path.name)
    why = _other_weights(own_claim, other["weights"])
    return f"{why}; what they wrote is in {target}, and all is played anew"


def _other_weights(mine: Mapping[str, Any], there: Any) -> str:
    there = there if isinstance(there, dict) else {}
    agent = next(a for a in {**there, **mine["weights"]} if there.get(a) != mine["weights"].get(a))
    was, now = (str(digests.get(agent, "not said"))[:12] for digests in (there, mine["weights"]))
    who = f"{agent} ({mine['agents'].get(agent)})"
    return f"{who} has other weights or another program: digest {was} there and {now} here"


def _read_claim(path: Path) -> dict[str, Any]:
    hint = "delete it if the records beside it are of this evaluation"
    try:
        claim = read_json(path)
    except ValueError as error:
        raise ValueError(f"{error}; {hint}") from error
    if not isinstance(claim, dict):
        raise ValueError(f"{path} cannot be read (need an object, got {type(claim).__name__}); {hint}")
    return {"weights": {}, **claim}
