"""Makes an entry from the folders that `collm eval` wrote, and verifies it before it is saved."""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from collm_envs.files import read_json
from leaderboard import lists
from leaderboard.bundle import ENTRY, Bundle, NotAccepted, digest, open_bundle, records
from leaderboard.claim import Tally
from leaderboard.entry import FORMAT, About, Entry, check_about
from leaderboard.training import Curves, read_training
from leaderboard.verify import verify


def submit(
    folders: Sequence[Path],
    about: About,
    entries: Path,
    training: Sequence[Path] = (),
    mixed: bool = False,
) -> Path:
    """The folder of the new entry under `entries`; each of `folders` is one run, i.e. one training seed.

    `training` are the folders of `collm train`, one for each run, to take seeds, tokens and curves from.
    `mixed`: an entry of cross-play, a run for each first and each other second team of `training`.
    Raises ValueError if something is missing or the entry would be refused, FileExistsError if the name is
    taken; then nothing is written.
    """
    if not folders:
        raise ValueError("which folders? collm leaderboard submit DIR...")
    for folder in folders:
        if not (folder / "eval.json").exists() or not (folder / "records.jsonl").exists():
            raise ValueError(
                f"{folder}: no evaluation; need eval.json and records.jsonl, "
                "which `collm eval ... --out DIR` writes"
            )
    learned = read_training(training)
    if training:
        about = replace(about, seeds=learned.seeds, tokens=learned.tokens)
    check_about(about)
    claim = read_json(folders[0] / "eval.json")
    name = lists.list_of(claim["env"], claim["kwargs"], mixed)
    curves: Curves = [] if mixed else learned.curves
    target = entries / name / about.name
    if target.exists():
        raise FileExistsError(f"{target} is there already; choose another name")
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary)
        for run, folder in enumerate(folders):
            _compress(folder / "records.jsonl", draft / f"run-{run}.jsonl.gz")
        (draft / ENTRY).write_text("{}")
        bundle = open_bundle(draft)
        (draft / ENTRY).write_text(
            _entry(bundle, about, name, claim, curves).to_json(), encoding="utf-8", newline="\n"
        )
        verify(draft, hub=True)  # allowed: the submitter has played on the hub's data
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(draft, target)
    target.chmod(0o755)
    return target


def _entry(bundle: Bundle, about: About, name: str, claim: dict[str, Any], curves: Curves) -> Entry:
    pairs = list(dict.fromkeys((job.item, job.seed) for job in lists.jobs(name)))
    runs = bundle.runs()
    tally, version = Tally(pairs, len(runs)), ""
    for run, file in enumerate(runs):
        for where, record in records(bundle, file):
            if (record.item, record.seed) not in pairs:
                raise NotAccepted(where, f"item {record.item}, seed {record.seed} is not on the list {name}")
            tally.add(run, record)
            version = record.version
    numbers = tally.claim()
    if "score" not in numbers:
        raise ValueError(f"the records are not the whole list {name}; {how_to_play(name)} plays it")
    return Entry(
        **asdict(about),
        format=FORMAT,
        env=claim["env"],
        list=name,
        kwargs=claim["kwargs"],
        agents=len(claim["agents"]),
        version=version,
        content_hash=claim["content_hash"],
        date=datetime.now(timezone.utc).date().isoformat(),
        runs={file: digest(bundle, file) for file in runs},
        claim=numbers,
        score_by_run=tally.by_run("score"),
        curves=curves,
    )


def how_to_play(name: str, more: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The command that plays a list; `more` are keywords beside the list's."""
    listing = lists.find(name)
    kwargs = {**listing.kwargs, **more}
    keywords = f" --env-kwargs '{json.dumps(kwargs)}'" if kwargs else ""
    verb = f"crossplay RUN RUN... --env {listing.env}" if listing.mixed else f"eval {listing.env}"
    return f"collm {verb}{keywords} --episodes {lists.PAIRS} --seeds {lists.TRIALS}"


def _compress(source: Path, target: Path) -> None:
    """Compress with gzip, without name and time, so that equal records give equal bytes."""
    with (
        source.open("rb") as file,
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(file, packed)
