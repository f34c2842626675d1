"""Plays and submits the entries of the scripted players: `python -m leaderboard.scripted`.

They are baselines.  After a change of an environment's content hash its old entries are invalid: delete their
folders and run this again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import collm_envs
from collm_envs.evaluation.episodes import evaluate
from collm_envs.policies.specs import seat_all
from leaderboard import lists
from leaderboard.entry import About
from leaderboard.submit import how_to_play, submit

PLAYERS = ("random", "noisy", "expert", "mute")
LONE = "solo"
"""the player of one agent with everybody's views and blocks"""
ENTRIES = Path(__file__).parent / "entries"


def main() -> None:
    """Make every missing entry of a scripted player; none for the hub's data and for mixed teams."""
    for name, listing in lists.LISTS.items():
        if "data" in listing.kwargs or listing.mixed:
            continue
        players = collm_envs.make(listing.env, **listing.kwargs).task.players
        for player in (*PLAYERS, LONE):
            if player in players and not (ENTRIES / name / player).exists():
                print(make(name, listing, player), flush=True)


def make(name: str, listing: lists.Listing, player: str) -> Path:
    """Play a list with a player of the task and make an entry of it."""
    more = lists.ALONE if player == LONE else {}
    env = collm_envs.make(listing.env, **{**listing.kwargs, **more})
    about = About(
        name=player,
        kind="scripted",
        method=f"{player} player",
        command=f"{how_to_play(name, more)} --policy {player}",
        licence="MIT",
        contact="the maintainers, by an issue",
    )
    with tempfile.TemporaryDirectory() as folder:
        evaluate(env, seat_all(env.task, player, {}), lists.jobs(name), folder)
        return submit([Path(folder)], about, ENTRIES)


if __name__ == "__main__":
    main()
