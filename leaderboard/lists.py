"""The public evaluation lists: which pairs of item and episode seed an entry has to play, and how often.

`splits/<list>.jsonl` holds the 64 pairs; each is played 4 times.  They are what
`collm eval ENV --episodes 64 --seeds 4` plays, so that no other command is needed to make an entry.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collm_envs.evaluate import Job

SPLITS = Path(__file__).parent / "splits"
PAIRS, TRIALS = 64, 4


class Listing(NamedTuple):
    """A list: the environment as it has to be made, and what the list is in a line."""

    env: str
    kwargs: Mapping[str, Any]
    about: str


LISTS: Mapping[str, Listing] = {
    "StrBuild-v0": Listing("StrBuild-v0", {}, "the two published evaluation words"),
    "StrBuild-v0-generated": Listing("StrBuild-v0", {"words": "generated"}, "64 generated, unseen words"),
    "HouseBuild-v0": Listing("HouseBuild-v0", {}, "the two published evaluation houses"),
    "HouseBuild-v0-generated": Listing(
        "HouseBuild-v0", {"houses": "generated"}, "16 generated, unseen houses"
    ),
    "TLDR-v0": Listing("TLDR-v0", {}, "our own posts, evaluation split"),
    "ArXiv-v0": Listing("ArXiv-v0", {}, "our own abstracts, evaluation split"),
}


def find(name: str) -> Listing:
    """The list of that name; ValueError with the nearest known one otherwise."""
    if name not in LISTS:
        near = difflib.get_close_matches(name, LISTS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LISTS)}"
        raise ValueError(f"no evaluation list {name!r}; {hint}")
    return LISTS[name]


def list_of(env: str, kwargs: Mapping[str, Any]) -> str:
    """The name of the list that is played on this environment; ValueError where there is none."""
    for name, listing in LISTS.items():
        if (listing.env, dict(listing.kwargs)) == (env, dict(kwargs)):
            return name
    raise ValueError(
        f"no evaluation list for {env} with keywords {dict(kwargs)}; there are {', '.join(LISTS)}"
    )


def jobs(name: str) -> list[Job]:
    """Every episode of a list once, all pairs of a trial after those of the one before."""
    find(name)
    rows = [json.loads(line) for line in (SPLITS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Job(**row, trial=trial) for trial in range(TRIALS) for row in rows]
