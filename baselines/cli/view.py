"""`collm view`: recorded episodes as pages, and the list of them in a browser."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

import collm_envs
from baselines.cli.terminal import console, flags
from collm_envs.pages.episode import page, trails
from collm_envs.pages.episodes import episodes_page
from collm_envs.record import read
from collm_envs.replay import reward_range, scenes

out = console()


@dataclass
class View:
    """Make pages of recorded episodes and open the list of them in a browser."""

    records: Annotated[Positional[Path], arg(metavar="RECORDS")]
    """a records file (.jsonl or .jsonl.gz), or the folder of an evaluation"""
    out: Path | None = None
    """folder for the pages; default: pages/ beside the records"""
    first: int = 500
    """make pages of so many episodes"""
    env: str | None = None
    """package.module:Id of an environment of your own, to be imported first"""
    open: bool = True
    """open the browser"""


def view(args: Sequence[str]) -> None:
    """Run the command line after `collm view`."""
    settings = flags(View, args, "collm view")
    if settings.env is not None:
        collm_envs.spec(settings.env)
    path = settings.records / "records.jsonl" if settings.records.is_dir() else settings.records
    folder = settings.out or path.parent / "pages"
    records = list(islice(read(path), settings.first))
    if not records:
        raise ValueError(f"{path} holds no records")
    folder.mkdir(parents=True, exist_ok=True)
    rows, links = [asdict(record) for record in records], [f"{k:05}.html" for k in range(1, len(records) + 1)]
    around = trails([("all episodes", "index.html")], links)
    for record, row, link, trail in zip(records, rows, links, around, strict=True):
        (folder / link).write_text(page(row, scenes(record), reward_range(record), trail), encoding="utf-8")
    index = folder / "index.html"
    index.write_text(episodes_page(rows, links, title=path.parent.name or path.name), encoding="utf-8")
    out.print(f"{len(rows)} episodes: {index}", soft_wrap=True)
    if settings.open:
        webbrowser.open(index.resolve().as_uri())
