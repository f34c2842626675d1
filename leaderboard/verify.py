"""An entry checked from end to end: every text is played again, and every number made anew.

It proves what the texts earn, not who wrote them.  Nothing of an entry is run but its texts, by the task
itself; only environments of the table of lists are ever made, with the keywords that stand there.
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
from collm_envs.record import Record, replay
from leaderboard import lists, similar
from leaderboard.bundle import ENTRY, Bundle, NotAccepted, digest, open_bundle, records
from leaderboard.claim import Tally, first_difference
from leaderboard.entry import Entry, read_entry

MAX_INCONCLUSIVE = 0.01
"""share of episodes whose replay may differ in tests that timed out"""
EXPERT = "the task's expert"
COUNTED = SECONDS, WAITED, *TOKENS
MAX_COMPARED = 8
"""runs of an entry that are searched for near-duplicates"""


@dataclass(frozen=True)
class Verification:
    """What came of verifying an entry that was not refused."""

    entry: Entry
    digest: str
    """sha256 of entry.json, which names the sha256 of every record file"""
    episodes: int
    inconclusive: int
    similar: dict[str, float]
    """{EXPERT or another entry: share of near-duplicates, in the run that has most}"""
    not_compared: dict[str, str]
    """{path of another entry: why it could not be read}"""


@dataclass
class Findings:
    """What a pass over the records leaves behind."""

    tally: Tally
    inconclusive: int = 0
    texts: list[int] = field(default_factory=list)
    """for each run a sum over what was written in which episode, whatever their order"""
    like_expert: list[int] = field(default_factory=list)
    """for each of the first runs how many episodes are near-duplicates of the expert's"""
    compared: list[int] = field(default_factory=list)
    """of how many; of tasks that run programs the first trials, since what the expert reads is graded anew"""


def verify(path: Path, others: Sequence[Path] = (), *, hub: bool = False) -> Verification:
    """The verdict on the entry at `path`, compared with `others`; NotAccepted, with the place, otherwise.

    `hub` allows lists whose data is fetched: without it nothing that an entry says opens a connection.
    """
    bundle = open_bundle(path)
    entry, raw = read_entry(bundle)
    check_place(path, entry)
    if lists.find(entry.list).kwargs.get("data") == "hub" and not hub:
        raise NotAccepted(
            f"{ENTRY}, list", f"the data of {entry.list} is fetched from the hub; verify with --hub"
        )
    found = check_records(bundle, entry)
    for name in bundle.runs():
        if digest(bundle, name) != entry.runs[name]:
            raise NotAccepted(name, "its sha256 is not the one that entry.json names")
    for run, texts in enumerate(found.texts):
        if (same := found.texts.index(texts)) < run:
            raise NotAccepted(f"run-{run}.jsonl.gz", f"the same texts as run-{same}.jsonl.gz")
    if apart := first_difference(entry.claim, found.tally.claim()):
        slow = f" ({found.inconclusive} episodes timed out otherwise than recorded)"
        raise NotAccepted(f"{ENTRY}, claim", apart + slow * bool(found.inconclusive))
    by_run = found.tally.by_run("score")
    if len(by_run) != len(entry.score_by_run) or any(
        not abs(p - q) <= 1e-9 for p, q in zip(entry.score_by_run, by_run, strict=True)
    ):
        raise NotAccepted(
            f"{ENTRY}, score_by_run", f"claimed {list(entry.score_by_run)}, recomputed {by_run}"
        )
    episodes = len(entry.runs) * lists.PAIRS * lists.TRIALS
    if found.inconclusive > MAX_INCONCLUSIVE * episodes:
        raise NotAccepted(str(path), f"{found.inconclusive} of {episodes} episodes timed out on replay")
    shares, unread = _compare(bundle, entry, others)
    by_run = zip(found.like_expert, found.compared, strict=True)
    shares = {EXPERT: max(alike / compared for alike, compared in by_run), **shares}
    return Verification(entry, sha256(raw).hexdigest(), episodes, found.inconclusive, shares, unread)


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
        found.texts.append(0)
        found.like_expert += [0] * (run < MAX_COMPARED)
        found.compared += [0] * (run < MAX_COMPARED)
        for place, one in records(bundle, name):
            agents = one.agents if agents is None else agents
            check_header(place, one, env, agents)
            check_job(place, one, missing, jobs)
            check_usage(place, one)
            found.tally.add(run, _replayed(place, one, found))
            found.texts[run] += _written(one)
            if run < MAX_COMPARED and (one.trial == 0 or not one.turns[0]["verdicts"]):
                found.compared[run] += 1
                alike = similar.similarity(similar.written(one), similar.by_expert(env.task, one))
                found.like_expert[run] += alike >= similar.ALIKE
        for job in missing:
            raise NotAccepted(
                name, f"{len(missing)} episodes of the list are missing, the first: {_named(job)}"
            )
    return found


def check_place(path: Path, entry: Entry) -> None:
    """NotAccepted for an entry in the folder of another one."""
    lies = path.resolve()
    of_board = lies.parent.name in lists.LISTS or lies.parent.parent.name == "entries"
    if lies.is_dir() and of_board and entry.id != f"{lies.parent.name}/{lies.name}":
        raise NotAccepted(str(path), f"holds the entry {entry.id}, which belongs into a folder of that name")


def check_header(place: str, one: Record, env: TextEnv, agents: object) -> None:
    """NotAccepted where a record is of another environment, another version of it, or another team."""
    wanted = {
        "env": (env.spec.id, one.env),
        "content_hash": (env.spec.content_hash, one.content_hash),
        "kwargs": (lists.written(env.spec.kwargs), lists.written(one.kwargs)),
        "agents": (agents, one.agents),
    }
    for name, (want, got) in wanted.items():
        if got != want:
            raise NotAccepted(f"{place}: {name}", f"recorded {str(got)[:200]}, need {str(want)[:200]}")


def check_job(place: str, one: Record, missing: dict[Job, None], jobs: Sequence[Job]) -> None:
    """NotAccepted for an episode that is not on the list, or there already; else taken off `missing`."""
    job = Job(one.split, one.item, one.seed, one.trial)
    if job in missing:
        del missing[job]
        return
    why = "is there a second time" if job in jobs else "is not on the list"
    raise NotAccepted(f"{place}: item, seed, trial", f"{_named(job)} {why}")


def check_usage(place: str, one: Record) -> None:
    """NotAccepted for an episode without a turn, and for costs that are no numbers of at least 0."""
    if not one.turns:
        raise NotAccepted(f"{place}: turns", "no turn was played")
    for t, turn in enumerate(one.turns, start=1):
        if set(turn["usage"]) != set(one.agents):
            raise NotAccepted(
                f"{place}: turn {t}, usage", f"of {sorted(turn['usage'])}, need {sorted(one.agents)}"
            )
        for agent, said in turn["usage"].items():
            for name in COUNTED:
                value = said.get(name, 0)
                if type(value) not in (int, float) or not 0 <= value < 2**53:
                    raise NotAccepted(f"{place}: turn {t}, {agent}, {name}", f"recorded {str(value)[:80]}")


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


def _replayed(place: str, one: Record, found: Findings) -> Record:
    """The record with what its texts earn now; NotAccepted where it differs or stops before the end."""
    outcome = replay(one)
    if outcome.status == "differs":
        raise NotAccepted(place, str(outcome))
    if not one.terminated:
        raise NotAccepted(f"{place}: terminated", "the episode stops before its end")
    found.inconclusive += outcome.status == "inconclusive"
    return replace(one, turns=outcome.turns)


def _written(one: Record) -> int:
    """A number for an episode of the list and everything written in it."""
    texts = [sorted(turn["texts"].items()) for turn in one.turns]
    return int.from_bytes(sha256(repr((one.item, one.seed, one.trial, texts)).encode()).digest(), "big")


def _compare(bundle: Bundle, entry: Entry, others: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """({other entry of the list: share of near-duplicates}, {entry that cannot be read: why})."""
    shares: dict[str, float] = {}
    unread: dict[str, str] = {}
    mine: list[similar.Sketches] = []
    for path in others:
        try:
            opened = open_bundle(path)
            other, _ = read_entry(opened)
            if other.list != entry.list or other.id == entry.id:
                continue
            mine = mine or list(_sketches(bundle))
            theirs = list(_sketches(opened))
        except NotAccepted as refused:
            unread[str(path)] = str(refused)
            continue
        shares[other.id] = max(similar.share(my, their) for my in mine for their in theirs)
    return shares, unread


def _sketches(bundle: Bundle) -> Iterator[similar.Sketches]:
    """Of the first runs of an entry, whole."""
    for name in bundle.runs()[:MAX_COMPARED]:
        made: dict[tuple[str, int], list[similar.Sketch]] = {}
        for _, one in records(bundle, name):
            made.setdefault((one.item, one.seed), []).append(similar.written(one))
        yield made


def _named(job: Job) -> str:
    return f"item {job.item}, seed {job.seed}, trial {job.trial} of {job.split}"
