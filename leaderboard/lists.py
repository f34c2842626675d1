"""The public evaluation lists: pairs of item and episode seed that an entry has to play.

`splits/<list>.jsonl` contains the 64 pairs; each is played 4 times.  These are the episodes that
`collm eval ENV --episodes 64 --seeds 4` plays with the list's keywords: an entry needs no other command.
A cross-play list has the episodes of the list it is named after, for teams whose agents are of two teams.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collm_envs.evaluation.episodes import Job
from collm_envs.files import read_lines

SPLITS = Path(__file__).parent / "splits"
PAIRS, TRIALS = 64, 4


class Listing(NamedTuple):
    """A list: environment, its keywords, and a description of one line."""

    env: str
    kwargs: Mapping[str, Any]
    about: str
    published: bool = False
    """whether its data is the published one, so that the paper's numbers are shown beside it"""
    mixed: bool = False
    """whether its teams are mixed of others: cross-play"""


ALONE = {"num_agents": 1}
"""keywords that an entry may add to the list's: one agent does all the work (single, GRPO, AC)"""
HUB = {"data": "hub"}
TALK, TERSE = {"talk": 1}, {"prompts": "terse"}
TALKING = "one message round before each turn"
TINY = "for very small models: terse prompts"
_OWN: Mapping[str, Listing] = {
    "StrBuild-v0": Listing("StrBuild-v0", {}, "the two published evaluation words", published=True),
    "StrBuild-v0-generated": Listing("StrBuild-v0", {"words": "generated"}, "64 generated, unseen words"),
    "StrBuild-v0-tiny": Listing(
        "StrBuild-v0",
        {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 600, "max_turns": 1},
        f"{TINY}, 64 generated words of one or two letters, one turn",
    ),
    "HouseBuild-v0": Listing("HouseBuild-v0", {}, "the two published evaluation houses", published=True),
    "HouseBuild-v0-generated": Listing(
        "HouseBuild-v0", {"houses": "generated"}, "16 generated, unseen houses"
    ),
    "HouseBuild-v0-tiny": Listing(
        "HouseBuild-v0",
        {"prompts": "terse", "houses": "generated", "size": [4, 5, 5], "max_turns": 1},
        f"{TINY}, 16 generated houses of 4x5x5, one turn",
    ),
    "TLDR-v0-hub": Listing("TLDR-v0", HUB, "posts of the published evaluation split", published=True),
    "TLDR-v0": Listing("TLDR-v0", {}, "our own posts, evaluation split"),
    "TLDR-v0-tiny": Listing("TLDR-v0", {"prompts": "terse"}, f"{TINY}, our own posts"),
    "ArXiv-v0-hub": Listing("ArXiv-v0", HUB, "abstracts of the published evaluation split", published=True),
    "ArXiv-v0": Listing("ArXiv-v0", {}, "our own abstracts, evaluation split"),
    "ArXiv-v0-tiny": Listing("ArXiv-v0", {"prompts": "terse"}, f"{TINY}, our own abstracts"),
    "CoopHE-v0-hub": Listing("CoopHE-v0", HUB, "the published evaluation problems", published=True),
    "CoopHE-v0": Listing("CoopHE-v0", {}, "our own problems, evaluation split"),
    "CoopHE-v1": Listing("CoopHE-v1", {}, "our own problems, evaluation split"),
    "StrBuild-v1": Listing("StrBuild-v1", TALK, f"32 unseen words, {TALKING}"),
    "StrBuild-v1-tiny": Listing(
        "StrBuild-v1", {**TERSE, **TALK, "max_turns": 1}, f"{TINY}, 32 unseen words, one turn, {TALKING}"
    ),
    "HouseBuild-v1": Listing("HouseBuild-v1", TALK, f"32 unseen houses, {TALKING}"),
    "HouseBuild-v1-tiny": Listing(
        "HouseBuild-v1", {**TERSE, **TALK, "max_turns": 2}, f"{TINY}, 32 unseen houses, two turns, {TALKING}"
    ),
    "TLDR-v1": Listing("TLDR-v1", {}, "our own posts, evaluation split"),
    "TLDR-v1-tiny": Listing("TLDR-v1", TERSE, f"{TINY}, our own posts"),
}
CROSSPLAY = "-crossplay"
"""ends the name of a list of mixed teams"""
LISTS: Mapping[str, Listing] = {
    **_OWN,
    **{
        f"{name}{CROSSPLAY}": listing._replace(
            about=f"teams trained apart and mixed, on the episodes of {name}", mixed=True
        )
        for name, listing in _OWN.items()
        if name.startswith(("StrBuild-v1", "HouseBuild-v1", "TLDR-v1"))
    },
}


def find(name: str) -> Listing:
    """The list of that name.  Raises ValueError with the nearest name for an unknown one."""
    if name not in LISTS:
        near = difflib.get_close_matches(name, LISTS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(LISTS)}"
        raise ValueError(f"no evaluation list {name!r}; {hint}")
    return LISTS[name]


def list_of(env: str, kwargs: Mapping[str, Any], mixed: bool = False) -> str:
    """The name of the list of this environment and keywords, a cross-play list for `mixed` teams.

    Raises ValueError if there is none.
    """
    names = [name for name, listing in LISTS.items() if listing.mixed == mixed]
    for name in names:
        if LISTS[name].env == env and is_played_with(name, kwargs):
            return name
    kind = "cross-play" if mixed else "evaluation"
    raise ValueError(f"no {kind} list for {env} with keywords {dict(kwargs)}; there are {', '.join(names)}")


def same_team(name: str) -> str:
    """The list on which teams play the same episodes with themselves; `name` where it is that already."""
    return name.removesuffix(CROSSPLAY)


def is_played_with(name: str, kwargs: Mapping[str, Any]) -> bool:
    """Whether these are the list's keywords (types too), with its own number of agents or with one.

    A mixed team has no single agent.
    """
    own, mixed = find(name).kwargs, find(name).mixed
    return written(kwargs) in [written(own), *([] if mixed else [written({**own, **ALONE})])]


def written(kwargs: Mapping[str, Any]) -> str:
    """Keywords as sorted JSON, in which 1, 1.0 and True differ, unlike with ==."""
    return json.dumps(dict(kwargs), sort_keys=True)


def jobs(name: str) -> list[Job]:
    """Every episode of a list: all pairs of trial 0, then those of trial 1, ..."""
    find(name)
    rows = read_lines(SPLITS / f"{same_team(name)}.jsonl")
    return [Job(**row, trial=trial) for trial in range(TRIALS) for row in rows]
