"""Verifies an entry: every text is played again, and every number recomputed.

This proves what the texts earn, not who wrote them.  Of an entry only its texts are executed, by the task;
only environments of the table of lists are made, with the keywords given there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import collm_envs
from collm_envs import TextEnv
from collm_envs.evaluation.episodes import Job
from collm_envs.policies.seat import SECONDS, TOKENS, WAITED
from collm_envs.record import Record
from collm_envs.replay import replay
from leaderboard import lists, similar
from leaderboard.bundle import ENTRY, Bundle, NotAccepted, digest, open_bundle, records
from leaderboard.claim import Tally, first_difference
from leaderboard.entry import Entry, read_entry

MAX_INCONCLUSIVE = 0.01
"""share of episodes whose replay may differ because of tests that timed out"""
EXPERT = "the task's expert"
COUNTED = SECONDS, WAITED, *TOKENS
MAX_COMPARED = 8
"""most runs of an entry that are searched for near-duplicates"""


@dataclass(frozen=True)
class Verification:
    """The result of verifying an entry that was not refused."""

    entry: Entry
    digest: str
    """sha256 of entry.json, which contains the sha256 of every record file"""
    episodes: int
    inconclusive: int
    similar: dict[str, float]
    """{EXPERT or id of another entry: share of near-duplicates, in the run with most}"""
    not_compared: dict[str, str]
    """{path of another entry: reason why it could not be read}"""


@dataclass
class Findings:
    """Sums and counts of one pass over an entry's records."""

    tally: Tally
    inconclusive: int = 0
    texts: list[int] = field(default_factory=list)
    """for each run a hash of all its texts, independent of the order of episodes"""
    like_expert: list[int] = field(default_factory=list)
    """for each of the first runs: number of compared episodes that are near-duplicates of the expert's"""
    compared: list[int] = field(default_factory=list)
    """number of episodes compared with the expert: all; of tasks that run programs, trial 0 (grading is
    slow)"""


def verify(path: Path, others: Sequence[Path] = (), *, hub: bool = False) -> Verification:
    """The verdict on the entry at `path`, compared with `others`.

    Raises NotAccepted that names the location.

    `hub` allows lists whose data is fetched; without it an entry cannot cause a network connection.
    """
    bundle = open_bundle(path)
    entry, raw = read_entry(bundle)
    check_place(path, entry)
    if lists.find(entry.list).kwargs.get("data") == "hub" and not hub:
        raise NotAccepted(
            f"{ENTRY}, list", f"the data of {entry.list} is fetched from the hub; verify with --hub"
        )
    findings = check_records(bundle, entry)
    for name in bundle.runs():
        if digest(bundle, name) != entry.runs[name]:
            raise NotAccepted(name, "its sha256 is not the one that entry.json names")
    for run, texts in enumerate(findings.texts):
        if (earlier := findings.texts.index(texts)) < run:
            raise NotAccepted(f"run-{run}.jsonl.gz", f"the same texts as run-{earlier}.jsonl.gz")
    if difference := first_difference(entry.claim, findings.tally.claim()):
        slow = f" ({findings.inconclusive} episodes timed out otherwise than recorded)"
        raise NotAccepted(f"{ENTRY}, claim", difference + slow * bool(findings.inconclusive))
    by_run = findings.tally.by_run("score")
    if len(by_run) != len(entry.score_by_run) or any(
        not abs(p - q) <= 1e-9 for p, q in zip(entry.score_by_run, by_run, strict=True)
    ):
        raise NotAccepted(
            f"{ENTRY}, score_by_run", f"claimed {list(entry.score_by_run)}, recomputed {by_run}"
        )
    episodes = len(entry.runs) * lists.PAIRS * lists.TRIALS
    if findings.inconclusive > MAX_INCONCLUSIVE * episodes:
        raise NotAccepted(str(path), f"{findings.inconclusive} of {episodes} episodes timed out on replay")
    shares, unread = _compare(bundle, entry, others)
    by_run = zip(findings.like_expert, findings.compared, strict=True)
    shares = {EXPERT: max(alike / compared for alike, compared in by_run), **shares}
    return Verification(entry, sha256(raw).hexdigest(), episodes, findings.inconclusive, shares, unread)


def check_records(bundle: Bundle, entry: Entry) -> Findings:
    """Replay every record of every run; NotAccepted unless each run has every episode once."""
    env = environment(entry)
    jobs = lists.jobs(entry.list)
    pairs = list(dict.fromkeys((job.item, job.seed) for job in jobs))
    names = bundle.runs()
    findings = Findings(Tally(pairs, len(names)))
    for run, name in enumerate(names):
        missing = dict.fromkeys(jobs)
        agents = None
        findings.texts.append(0)
        findings.like_expert += [0] * (run < MAX_COMPARED)
        findings.compared += [0] * (run < MAX_COMPARED)
        for where, record in records(bundle, name):
            agents = record.agents if agents is None else agents
            check_header(where, record, env, agents)
            check_job(where, record, missing, jobs)
            check_usage(where, record)
            findings.tally.add(run, _replayed(where, record, findings))
            findings.texts[run] += _written(record)
            if run < MAX_COMPARED and (record.trial == 0 or not record.turns[0]["verdicts"]):
                findings.compared[run] += 1
                findings.like_expert[run] += similar.like_expert(env.task, record)
        for job in missing:
            raise NotAccepted(
                name, f"{len(missing)} episodes of the list are missing, the first: {_named(job)}"
            )
    return findings


def check_place(path: Path, entry: Entry) -> None:
    """NotAccepted for an entry in a folder that is named after another entry."""
    lies = path.resolve()
    of_board = lies.parent.name in lists.LISTS or lies.parent.parent.name == "entries"
    if lies.is_dir() and of_board and entry.id != f"{lies.parent.name}/{lies.name}":
        raise NotAccepted(str(path), f"holds the entry {entry.id}, which belongs into a folder of that name")


def check_header(where: str, record: Record, env: TextEnv, agents: object) -> None:
    """NotAccepted if a record is of another environment, another version of it, or other policies."""
    fields = {
        "env": (env.spec.id, record.env),
        "content_hash": (env.spec.content_hash, record.content_hash),
        "kwargs": (lists.written(env.spec.kwargs), lists.written(record.kwargs)),
        "agents": (agents, record.agents),
    }
    for name, (expected, recorded) in fields.items():
        if recorded != expected:
            raise NotAccepted(
                f"{where}: {name}", f"recorded {str(recorded)[:200]}, need {str(expected)[:200]}"
            )


def check_job(where: str, record: Record, missing: dict[Job, None], jobs: Sequence[Job]) -> None:
    """Remove the episode from `missing`; NotAccepted if it is not on the list or was removed before."""
    job = Job(record.split, record.item, record.seed, record.trial)
    if job in missing:
        del missing[job]
        return
    why = "is there a second time" if job in jobs else "is not on the list"
    raise NotAccepted(f"{where}: item, seed, trial", f"{_named(job)} {why}")


def check_usage(where: str, record: Record) -> None:
    """NotAccepted for an episode without a turn, and for costs that are no numbers of at least 0."""
    if not record.turns:
        raise NotAccepted(f"{where}: turns", "no turn was played")
    for t, turn in enumerate(record.turns, start=1):
        if set(turn["usage"]) != set(record.agents):
            raise NotAccepted(
                f"{where}: turn {t}, usage", f"of {sorted(turn['usage'])}, need {sorted(record.agents)}"
            )
        for agent, usage in turn["usage"].items():
            for name in COUNTED:
                value = usage.get(name, 0)
                if type(value) not in (int, float) or not 0 <= value < 2**53:
                    raise NotAccepted(f"{where}: turn {t}, {agent}, {name}", f"recorded {str(value)[:80]}")


def environment(entry: Entry) -> TextEnv:
    """The environment of the entry's list; NotAccepted for an entry of another one or version."""
    listing = lists.find(entry.list)
    if entry.env != listing.env:
        raise NotAccepted(f"{ENTRY}, env", f"the list {entry.list} is of {listing.env}, got {entry.env}")
    if not lists.is_played_with(entry.list, entry.kwargs):
        raise NotAccepted(
            f"{ENTRY}, kwargs",
            f"the list {entry.list} is played with {dict(listing.kwargs)}, got {str(entry.kwargs)[:200]}",
        )
    env = collm_envs.make(listing.env, **entry.kwargs)
    if entry.agents != len(env.possible_agents):
        raise NotAccepted(f"{ENTRY}, agents", f"claimed {entry.agents}, recorded {len(env.possible_agents)}")
    if entry.content_hash != env.spec.content_hash:
        raise NotAccepted(
            f"{ENTRY}, content_hash",
            f"of another version: {entry.content_hash}, here {env.spec.content_hash}",
        )
    return env


def _replayed(where: str, record: Record, findings: Findings) -> Record:
    """The record with recomputed results; NotAccepted if they differ or the episode stops before its end."""
    outcome = replay(record)
    if outcome.status == "differs":
        raise NotAccepted(where, str(outcome))
    if not record.terminated:
        raise NotAccepted(f"{where}: terminated", "the episode stops before its end")
    findings.inconclusive += outcome.status == "inconclusive"
    return replace(record, turns=outcome.turns)


def _written(record: Record) -> int:
    """A hash, as int, of an episode's item, seed, trial and texts."""
    texts = [sorted(turn["texts"].items()) for turn in record.turns]
    return int.from_bytes(
        sha256(repr((record.item, record.seed, record.trial, texts)).encode()).digest(), "big"
    )


def _compare(bundle: Bundle, entry: Entry, others: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """({id of another entry: share of near-duplicates}, {path of an unreadable entry: reason})."""
    shares: dict[str, float] = {}
    unread: dict[str, str] = {}
    own_sketches: list[similar.SketchesOfRun] = []
    for path in others:
        try:
            opened = open_bundle(path)
            other, _ = read_entry(opened)
            if other.list != entry.list or other.id == entry.id:
                continue
            own_sketches = own_sketches or list(_sketches(bundle))
            other_sketches = list(_sketches(opened))
        except NotAccepted as refused:
            unread[str(path)] = str(refused)
            continue
        shares[other.id] = max(
            similar.share(own, sketches_of_other)
            for own in own_sketches
            for sketches_of_other in other_sketches
        )
    return shares, unread


def _sketches(bundle: Bundle) -> Iterator[similar.SketchesOfRun]:
    """The sketches of all episodes of each of the first MAX_COMPARED runs."""
    for name in bundle.runs()[:MAX_COMPARED]:
        sketches: dict[tuple[str, int], list[similar.Sketches]] = {}
        for _, record in records(bundle, name):
            sketches.setdefault((record.item, record.seed), []).append(similar.written(record))
        yield sketches


def _named(job: Job) -> str:
    return f"item {job.item}, seed {job.seed}, trial {job.trial} of {job.split}"
