"""`collm leaderboard`: submit, verify, mark, build."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, arg

from leaderboard import history
from leaderboard.build import build, find_entries
from leaderboard.bundle import Refused, open_bundle
from leaderboard.entry import About, read_entry
from leaderboard.submit import submit
from leaderboard.verify import Verdict, verify

HOME = Path(__file__).parent
SUSPICIOUS = 0.5
"""share of near-duplicates from which `verify` warns"""


@dataclass(frozen=True, kw_only=True)
class Submit(About):
    """Make an entry from the folders that `collm eval` wrote, one for each training seed."""

    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR")]
    """folders with records.jsonl and eval.json"""
    training: Annotated[tuple[Path, ...], arg(metavar="DIR")] = ()
    """folders of `collm train`, one for each run: seeds, tokens and learning curves are taken from them"""
    entries: Path = HOME / "entries"
    """where entries lie"""


@dataclass
class Verify:
    """Replay entries and check everything they claim.  Status 1 where one is refused."""

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="ENTRY")] = ()
    """folders or .zip files; default: every entry there is"""
    entries: Path = HOME / "entries"
    """where the entries to compare with lie"""
    write: bool = False
    """add the outcome to history.jsonl"""
    hub: bool = False
    """also entries on the published data sets, which are fetched from the Hugging Face hub"""


@dataclass
class Mark:
    """Say of an entry that it was reproduced or withdrawn."""

    path: Annotated[Positional[Path], arg(metavar="ENTRY")]
    """folder of the entry"""
    status: Annotated[Positional[history.Status], arg(metavar="STATUS")]
    """reproduced or withdrawn, or self-reported to take a mark back"""
    note: str
    """by whom and how, or why"""


@dataclass
class Build:
    """Write the site."""

    out: Path = HOME / "site"
    """folder for the pages"""
    entries: Path = HOME / "entries"
    """where entries lie"""


def main(args: Sequence[str]) -> int:
    """Run the verb that `args` names; the exit status."""
    if not args or args[0] not in VERBS:
        print("usage: collm leaderboard {" + ",".join(VERBS) + "} ...      --help says more")
        return 0 if args and args[0] in ("-h", "--help") else 2
    return VERBS[args[0]](args[1:])


def _submit(args: Sequence[str]) -> int:
    asked = tyro.cli(Submit, args=args, prog="collm leaderboard submit")
    about = About(**{field.name: getattr(asked, field.name) for field in fields(About)})
    print(f"{submit(asked.folders, about, asked.entries, asked.training)}: replayed and whole")
    return 0


def _verify(args: Sequence[str]) -> int:
    asked = tyro.cli(Verify, args=args, prog="collm leaderboard verify")
    everything = find_entries(asked.entries)
    status = 0
    for path in asked.paths or everything:
        try:
            others = [other for other in everything if other.resolve() != path.resolve()]
            verdict = verify(path, others, hub=asked.hub)
        except Refused as refused:
            print(f"refused {path}: {refused}", file=sys.stderr)
            status = 1
            continue
        print(_said(path, verdict))
        if asked.write:
            history.append(asked.entries.parent / "history.jsonl", _event(verdict))
    return status


def _said(path: Path, verdict: Verdict) -> str:
    score = verdict.entry.claim["score"]
    said = f"replay-verified {path}: score {score['mean']:.4f}, {verdict.episodes} episodes equal"
    if verdict.inconclusive:
        said += f" but for {verdict.inconclusive} that timed out"
    return "\n  ".join([said, *_near(verdict)])


def _near(verdict: Verdict) -> list[str]:
    return [
        f"{part:.0%} of the episodes read like those of {name}"
        for name, part in verdict.similar.items()
        if part >= SUSPICIOUS
    ]


def _event(verdict: Verdict) -> history.Event:
    note = "; ".join([f"{verdict.episodes} episodes", *_near(verdict)])
    return history.Event(verdict.entry.id, "replay-verified", verdict.digest, _today(), note)


def _mark(args: Sequence[str]) -> int:
    asked = tyro.cli(Mark, args=args, prog="collm leaderboard mark")
    if asked.status == "replay-verified":
        raise ValueError("only `collm leaderboard verify --write` says replay-verified")
    entry, raw = read_entry(open_bundle(asked.path))
    event = history.Event(entry.id, asked.status, sha256(raw).hexdigest(), _today(), asked.note)
    history.append(asked.path.resolve().parents[2] / "history.jsonl", event)
    print(f"{entry.id} is {asked.status}: {asked.note}")
    return 0


def _build(args: Sequence[str]) -> int:
    asked = tyro.cli(Build, args=args, prog="collm leaderboard build")
    rows = build(asked.entries, asked.out)
    print(f"{len(rows)} entries: {asked.out / 'index.html'}")
    return 0


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


VERBS = {"submit": _submit, "verify": _verify, "mark": _mark, "build": _build}
