"""An entry checked from end to end: every text is played again, and every number made anew.

It proves what the texts earn, not who wrote them.  Nothing of an entry is run but its texts, by the task
itself; only environments of the table of lists are ever made, with the keywords that stand there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import isfinite
from pathlib import Path

import collm_envs
from collm_envs import TextEnv
from collm_envs.evaluate import Job
from collm_envs.record import Record, replay
from leaderboard import lists, similar
from leaderboard.bundle import ENTRY, Bundle, Refused, digest, open_bundle, records
from leaderboard.entry import Entry, read_entry
from leaderboard.stats import Tally, first_difference

MAX_INCONCLUSIVE = 0.01
"""share of episodes whose replay may differ in tests that timed out"""
EXPERT = "the task's expert"
COUNTED = "seconds", "tokens_read", "tokens_written"


@dataclass(frozen=True)
class Verdict:
    """What came of verifying an entry that was not refused."""

    entry: Entry
    digest: str
    """sha256 of entry.json, which names the sha256 of every record file"""
    episodes: int
    inconclusive: int
    similar: dict[str, float]
    """{EXPERT or another entry: share of near-duplicates}"""


@dataclass
class Findings:
    """What a pass over the records leaves behind."""

    tally: Tally
    inconclusive: int = 0
    mine: dict[tuple[str, int], list[similar.Sketch]] = field(default_factory=dict)
    expert: dict[tuple[str, int], list[similar.Sketch]] = field(default_factory=dict)


def verify(path: Path, others: Sequence[Path] = (), *, hub: bool = False) -> Verdict:
    """The verdict on the entry at `path`, compared with `others`; Refused, with the place, otherwise.

    `hub` allows lists whose data is fetched: without it nothing that an entry says opens a connection.
    """
    bundle = open_bundle(path)
    entry, raw = read_entry(bundle)
    if lists.find(entry.list).kwargs.get("data") == "hub" and not hub:
        raise Refused(
            f"{ENTRY}, list", f"the data of {entry.list} is fetched from the hub; verify with --hub"
        )
    found = check_records(bundle, entry)
    for name in bundle.runs():
        if digest(bundle, name) != entry.runs[name]:
            raise Refused(name, "its sha256 is not the one that entry.json names")
    if apart := first_difference(entry.claim, found.tally.claim()):
        raise Refused(f"{ENTRY}, claim", apart)
    by_run = found.tally.by_run("score")
    if len(by_run) != len(entry.score_by_run) or any(
        not abs(p - q) <= 1e-9 for p, q in zip(entry.score_by_run, by_run, strict=True)
    ):
        raise Refused(f"{ENTRY}, score_by_run", f"claimed {list(entry.score_by_run)}, recomputed {by_run}")
    episodes = len(entry.runs) * lists.PAIRS * lists.TRIALS
    if found.inconclusive > MAX_INCONCLUSIVE * episodes:
        raise Refused(str(path), f"{found.inconclusive} of {episodes} episodes timed out on replay")
    shares = {EXPERT: similar.share(_trial_0(found.mine), found.expert)}
    shares |= {name: similar.share(found.mine, theirs) for name, theirs in _sketches(entry, others)}
    return Verdict(entry, sha256(raw).hexdigest(), episodes, found.inconclusive, shares)


def check_records(bundle: Bundle, entry: Entry) -> Findings:
    """Every record of every run replayed, and the list there once and whole."""
    env = environment(entry)
    jobs = lists.jobs(entry.list)
    pairs = list(dict.fromkeys((job.item, job.seed) for job in jobs))
    names = bundle.runs()
    found = Findings(Tally(pairs, len(names)))
    for run, name in enumerate(names):
        missing = dict.fromkeys(jobs)
        agents = None
        for place, one in records(bundle, name):
            agents = one.agents if agents is None else agents
            check_header(place, one, env, agents)
            check_job(place, one, missing, jobs)
            check_usage(place, one)
            _replay(place, one, found)
            found.tally.add(run, one)
            if run == 0:
                _note_texts(env, one, found)
        for job in missing:
            raise Refused(name, f"{len(missing)} episodes of the list are missing, the first: {_named(job)}")
    return found


def check_header(place: str, one: Record, env: TextEnv, agents: object) -> None:
    """Refused where a record is of another environment, another version of it, or another team."""
    wanted = {
        "env": (env.spec.id, one.env),
        "content_hash": (env.spec.content_hash, one.content_hash),
        "kwargs": (lists.written(env.spec.kwargs), lists.written(one.kwargs)),
        "agents": (agents, one.agents),
    }
    for name, (want, got) in wanted.items():
        if got != want:
            raise Refused(f"{place}: {name}", f"recorded {str(got)[:200]}, need {str(want)[:200]}")


def check_job(place: str, one: Record, missing: dict[Job, None], jobs: Sequence[Job]) -> None:
    """Refused for an episode that is not on the list, or there already; else taken off `missing`."""
    job = Job(one.split, one.item, one.seed, one.trial)
    if job in missing:
        del missing[job]
        return
    why = "is there a second time" if job in jobs else "is not on the list"
    raise Refused(f"{place}: item, seed, trial", f"{_named(job)} {why}")


def check_usage(place: str, one: Record) -> None:
    """Refused for an episode without a turn, and for costs of others or that are no numbers of at least 0."""
    if not one.turns:
        raise Refused(f"{place}: turns", "no turn was played")
    for t, turn in enumerate(one.turns, start=1):
        if set(turn["usage"]) != set(one.agents):
            raise Refused(
                f"{place}: turn {t}, usage", f"of {sorted(turn['usage'])}, need {sorted(one.agents)}"
            )
        for agent, said in turn["usage"].items():
            for name in COUNTED:
                value = said.get(name, 0)
                if type(value) not in (int, float) or not (isfinite(value) and 0 <= value < 2**53):
                    raise Refused(f"{place}: turn {t}, {agent}, {name}", f"recorded {str(value)[:80]}")


def environment(entry: Entry) -> TextEnv:
    """The environment of the entry's list; Refused where the entry is of another one or another version."""
    listing = lists.find(entry.list)
    if entry.env != listing.env:
        raise Refused(f"{ENTRY}, env", f"the list {entry.list} is of {listing.env}, got {entry.env}")
    if not lists.is_played_with(entry.list, entry.kwargs):
        raise Refused(
            f"{ENTRY}, kwargs",
            f"the list {entry.list} is played with {dict(listing.kwargs)}, got {str(entry.kwargs)[:200]}",
        )
    env = collm_envs.make(listing.env, **entry.kwargs)
    if entry.agents != len(env.possible_agents):
        raise Refused(f"{ENTRY}, agents", f"claimed {entry.agents}, recorded {len(env.possible_agents)}")
    if entry.content_hash != env.spec.content_hash:
        raise Refused(
            f"{ENTRY}, content_hash",
            f"of another version: {entry.content_hash}, here {env.spec.content_hash}",
        )
    return env


def _replay(place: str, one: Record, found: Findings) -> None:
    outcome = replay(one)
    if outcome.status == "differs":
        raise Refused(place, str(outcome))
    found.inconclusive += outcome.status == "inconclusive"


def _note_texts(env: TextEnv, one: Record, found: Findings) -> None:
    found.mine.setdefault((one.item, one.seed), []).append(similar.written(one))
    if one.trial == 0:
        found.expert[one.item, one.seed] = [similar.by_expert(env.task, one)]
        some = found.mine[one.item, one.seed]
        some.insert(0, some.pop())  # so that the trial the expert is compared with comes first


def _trial_0(mine: similar.Sketches) -> similar.Sketches:
    return {pair: some[:1] for pair, some in mine.items()}


def _sketches(entry: Entry, others: Sequence[Path]) -> Iterator[tuple[str, similar.Sketches]]:
    """The first runs of other entries of the same list, one at a time."""
    for path in others:
        bundle = open_bundle(path)
        other, _ = read_entry(bundle)
        if other.list != entry.list or other.id == entry.id:
            continue
        theirs: dict[tuple[str, int], list[similar.Sketch]] = {}
        for _, one in records(bundle, "run-0.jsonl.gz"):
            theirs.setdefault((one.item, one.seed), []).append(similar.written(one))
        yield other.id, theirs


def _named(job: Job) -> str:
    return f"item {job.item}, seed {job.seed}, trial {job.trial} of {job.split}"
