"""`collm leaderboard`: submit, verify, mark, build."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path
from typing import Annotated, TypeVar

import tyro
from tyro.conf import Positional, arg

from collm_envs.render.plain import plain
from leaderboard import history
from leaderboard.build import build, find_entries
from leaderboard.bundle import NotAccepted, open_bundle
from leaderboard.entry import About, read_entry
from leaderboard.submit import submit
from leaderboard.verify import Verification, verify

T = TypeVar("T")
HOME = Path(__file__).parent
HERE = Path("leaderboard/entries")
"""folder of the entries, relative to the root of a checkout"""
SUSPICIOUS = 0.75
"""share of near-duplicates from which `verify` warns; of two right answers half are alike by chance"""


Needed = Annotated[str, arg(help_behavior_hint="(required)")]
"""a flag without which `check_about` refuses every entry"""


@dataclass(frozen=True, kw_only=True)
class Submit(About):
    """Make an entry from the folders that `collm eval` wrote, one for each training seed."""

    command: Needed = ""
    licence: Needed = ""
    contact: Needed = ""
    folders: Annotated[Positional[tuple[Path, ...]], arg(metavar="DIR")]
    """folders with records.jsonl and eval.json"""
    training: Annotated[tuple[Path, ...], arg(metavar="DIR")] = ()
    """folders of `collm train`, one for each run: seeds, tokens and learning curves are taken from them"""
    mixed: bool = False
    """an entry of cross-play: DIR... are the folders of `collm crossplay --records` in which two teams meet,
    `--training` names all teams"""
    entries: Path | None = None
    """folder of the entries; default: leaderboard/entries in a checkout, else ./entries"""


@dataclass
class Verify:
    """Replay entries and check everything they claim.  Status 1 if one is refused."""

    paths: Annotated[Positional[tuple[Path, ...]], arg(metavar="ENTRY")] = ()
    """folders or .zip files; default: all entries"""
    entries: Path | None = None
    """folder of the entries to compare with; default: leaderboard/entries, else the package's own"""
    write: bool = False
    """add the outcome to history.jsonl"""
    hub: bool = False
    """also entries on the published data sets, which are fetched from the Hugging Face hub"""


@dataclass
class Mark:
    """Mark an entry as reproduced or withdrawn."""

    path: Annotated[Positional[Path], arg(metavar="ENTRY")]
    """folder of the entry"""
    status: Annotated[Positional[history.Status], arg(metavar="STATUS")]
    """reproduced or withdrawn, or self-reported to remove a mark"""
    note: str
    """by whom and how, or why"""


@dataclass
class Build:
    """Write the site."""

    out: Path | None = None
    """folder for the pages; default: `site`, beside the entries"""
    entries: Path | None = None
    """folder of the entries; default: leaderboard/entries, else the package's own"""


def main(args: Sequence[str]) -> int:
    """Run the verb that `args` begins with; returns the exit status."""
    if not args or args[0] in ("-h", "--help"):
        print("usage: collm leaderboard {" + ",".join(VERBS) + "} ...      --help says more")
        return 0 if args else 2
    if args[0] not in VERBS:
        near = difflib.get_close_matches(args[0], VERBS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no verb {args[0]!r}; there are {', '.join(VERBS)}{hint}")
    return VERBS[args[0]](args[1:])


def _flags(config: type[T], args: Sequence[str], prog: str) -> T:
    """The settings; what is wrong with them goes to stderr and ends the program with status 2."""
    return tyro.cli(config, args=list(args), prog=prog, config=(tyro.conf.DisallowNone,))


def _submit(args: Sequence[str]) -> int:
    options = _flags(Submit, args, "collm leaderboard submit")
    about = About(**{field.name: getattr(options, field.name) for field in fields(About)})
    entries = options.entries or (HERE if HERE.is_dir() else Path("entries"))
    made = submit(options.folders, about, entries, options.training, options.mixed)
    print(f"{made}: replayed and whole")
    for model in about.models:
        if "@" not in model:
            print(f"{plain(model)} has no revision: name@revision tells which weights were measured")
    if entries == HERE:
        print(f"now: git add {made} && git commit, and open a pull request with nothing else in it")
    else:
        place = HERE / made.parent.name
        print(f"now: copy {made} to {place}/ of a clone, and open a pull request with it alone")
    return 0


def _verify(args: Sequence[str]) -> int:
    options = _flags(Verify, args, "collm leaderboard verify")
    entries = options.entries or _entries()
    everything = find_entries(entries)
    paths = options.paths or everything
    if not paths:
        print(f"no entries in {entries}", file=sys.stderr)
        return 1
    accepted = [_verify_one(path, everything, entries, options) for path in paths]
    return 0 if all(accepted) else 1


def _verify_one(path: Path, everything: Sequence[Path], entries: Path, options: Verify) -> bool:
    """Whether the entry is accepted.

    With --write its line is added unless the last one says the same; an earlier mark of the same bytes that
    people gave, such as withdrawn, is kept.
    """
    others = [other for other in everything if other.resolve() != path.resolve()]
    try:
        verdict = verify(path, others, hub=options.hub)
    except NotAccepted as refused:
        print(plain(f"refused {path}: {refused}"), file=sys.stderr)
        return False
    except Exception as error:  # any error refuses this entry; the next ones are still checked
        print(plain(f"refused {path}: {type(error).__name__}: {error}"), file=sys.stderr)
        return False
    print(plain(_summary(path, verdict)))
    for other, why in verdict.not_compared.items():
        print(plain(f"  not compared with {other}: {why.removeprefix(f'{other}: ')}"), file=sys.stderr)
    book = entries.parent / "history.jsonl"
    status, note = history.current(history.read(book), verdict.entry.id, verdict.digest)
    event = _event(verdict)
    if options.write and status in ("self-reported", "replay-verified") and note != event.note:
        history.append(book, event)
    return True


def _summary(path: Path, verdict: Verification) -> str:
    score = verdict.entry.claim["score"]
    line = f"replay-verified {path}: score {score['mean']:.4f}, {verdict.episodes} episodes equal"
    if verdict.inconclusive:
        line += f" but for {verdict.inconclusive} that timed out"
    return "\n  ".join([line, *_near(verdict)])


def _near(verdict: Verification) -> list[str]:
    return [
        f"{part:.0%} of the episodes read like those of {name}"
        for name, part in verdict.similar.items()
        if part >= SUSPICIOUS
    ]


def _event(verdict: Verification) -> history.Event:
    note = "; ".join([f"{verdict.episodes} episodes", *_near(verdict)])
    return history.Event(verdict.entry.id, "replay-verified", verdict.digest, _today(), note)


def _mark(args: Sequence[str]) -> int:
    options = _flags(Mark, args, "collm leaderboard mark")
    if options.status == "replay-verified":
        raise ValueError("only `collm leaderboard verify --write` says replay-verified")
    entry, raw = read_entry(open_bundle(options.path))
    event = history.Event(entry.id, options.status, sha256(raw).hexdigest(), _today(), options.note)
    history.append(options.path.resolve().parents[2] / "history.jsonl", event)
    print(plain(f"{entry.id} is {options.status}: {options.note}"))
    return 0


def _build(args: Sequence[str]) -> int:
    options = _flags(Build, args, "collm leaderboard build")
    entries = options.entries or _entries()
    if not entries.is_dir():
        raise ValueError(f"no entries in {entries}; say with --entries where they are")
    out = options.out or entries.parent / "site"
    rows = build(entries, out)
    print(f"{len(rows)} entries: {out / 'index.html'}")
    return 0


def _entries() -> Path:
    """The folder of entries: leaderboard/entries in the current folder, else the one beside this file."""
    return HERE if HERE.is_dir() else HOME / "entries"


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()


VERBS = {"submit": _submit, "verify": _verify, "mark": _mark, "build": _build}
