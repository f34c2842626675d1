"""Entries for tests: the public list played once by a scripted player, then copied and tampered with."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import collm_envs
from collm_envs.evaluation.episodes import evaluate
from collm_envs.policies.specs import seat_all
from leaderboard import lists
from leaderboard.bundle import digest, open_bundle
from leaderboard.entry import About
from leaderboard.submit import submit

ABOUT = {
    "kind": "scripted",
    "method": "scripted",
    "command": "collm eval",
    "licence": "MIT",
    "contact": "nobody@example.org",
}


def play(name: str, player: str, folder: Path, kwargs: dict | None = None) -> Path:
    """The folder that `collm eval` would write."""
    listing = lists.find(name)
    env = collm_envs.make(listing.env, **listing.kwargs, **(kwargs or {}))
    evaluate(env, seat_all(env.task, player, {}), lists.jobs(name), folder)
    return folder


def make_entry(
    root: Path, listed: str, player: str, kwargs: dict | None = None, training=(), **about
) -> Path:
    """A whole entry under `root`/entries."""
    folder = play(listed, player, root / "runs" / listed / player, kwargs)
    return submit([folder], About(**{"name": player, **ABOUT, **about}), root / "entries", training)


@cache
def whole(root: Path) -> Path:
    """One entry that is as it should be; to be copied, never changed."""
    return make_entry(root, "TLDR-v0", "noisy")


def read_lines(entry: Path) -> list[str]:
    return gzip.decompress((entry / "run-0.jsonl.gz").read_bytes()).decode().splitlines(keepends=True)


def write_lines(entry: Path, lines: list[str]) -> None:
    """New records, and an entry.json that names them: a tamperer who knows what is checked."""
    (entry / "run-0.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode(), 1))
    change(entry, runs={"run-0.jsonl.gz": digest(open_bundle(entry), "run-0.jsonl.gz")})


def change(entry: Path, **fields) -> None:
    """Other fields of entry.json."""
    path = entry / "entry.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_record(entry: Path, k: int, edit) -> None:
    """The k-th record as `edit` leaves it."""
    lines = read_lines(entry)
    data = json.loads(lines[k])
    edit(data)
    lines[k] = json.dumps(data) + "\n"
    write_lines(entry, lines)
