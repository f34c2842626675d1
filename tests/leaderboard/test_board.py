"""What the board says of an entry: ranks, intervals, warnings, and rows of one agent."""

from dataclasses import replace

import pytest
from folders import ROOT

from collm_envs.pages.bars import Bar, bars
from leaderboard.board import index
from leaderboard.bundle import open_bundle
from leaderboard.entry import read_entry
from leaderboard.page import between, over, read_row


@pytest.fixture(scope="module")
def row():
    """The row of a scripted player on TLDR-v0."""
    path = ROOT / "leaderboard/entries/TLDR-v0/noisy"
    return read_row(path, read_entry(open_bundle(path))[0], "self-reported", "")


def trained(row, seeds, **changes):
    """The same as the row of a trained team with some seeds."""
    runs = {f"run-{k}.jsonl.gz": str(k) for k in range(seeds)}
    entry = replace(
        row.entry,
        name="mine",
        kind="trained",
        seeds=range(seeds),
        runs=runs,
        score_by_run=(0.25, 0.75)[:seeds],
    )
    return row._replace(entry=replace(entry, **changes))


def scored(low, high, mean=0.5):
    return {"claim": {"score": {"mean": mean, "low": low, "high": high, "iqm": mean}}}


def test_scripted_players_are_yardsticks_without_a_rank(row):
    page = index([trained(row, 1), row], "2026-01-01")
    ranked, yardsticks = page.split("<h4>Yardsticks</h4>")[0:2]
    assert ">mine</a>" in ranked
    assert ">noisy</a>" in yardsticks
    assert ranked.count(">rank<") == 1
    assert ">rank<" not in yardsticks


def test_two_seeds_are_shown_and_have_no_interval(row):
    two = trained(row, 2, **scored(-3.0, 4.0))
    assert between(two.entry, "score", two.scale) is None
    assert "seeds: 0.250 and 0.750" in index([two], "")


def test_an_interval_ends_at_the_range_of_the_score(row):
    three = trained(row, 3, **scored(-3.0, 4.0))
    assert row.scale == (0.0, 1.0)
    assert between(three.entry, "score", three.scale) == (0.0, 1.0)
    assert "0 to 1" in index([three], "")


def test_how_many_items_were_played_is_said(row):
    assert over(row.entry) == "32 items, 64 pairs"
    assert over(trained(row, 1).entry) == "32 items, 64 pairs, 1 seed"
    assert over(trained(row, 2).entry) == "2 seeds, 32 items"


def test_a_row_of_mixed_teams_shows_the_same_teams_self_play(row):
    listed = {"env": "TLDR-v1", "kwargs": {}, "runs": {f"run-{k}.jsonl.gz": str(k) for k in range(6)}}
    alone = trained(row, 3, list="TLDR-v1", **{**listed, **scored(0.4, 0.6)})
    mixed = trained(row, 3, list="TLDR-v1-crossplay", **{**listed, **scored(0.1, 0.3, 0.2)})
    assert over(mixed.entry) == "6 pairings, 32 items"
    (page,) = index([alone, mixed], "").split('id="TLDR-v1-crossplay"')[1:]
    assert ">self-play<" in page
    assert "0.500" in page
    assert ">self-play<" not in index([alone], "")


def test_warnings_of_verify_stand_beside_a_ranked_row(row):
    note = "256 episodes; 71% of the episodes read like those of the task's expert"
    warned = trained(row, 1)._replace(status="replay-verified", note=note)
    page = index([warned], "")
    assert '<td data-v="71% of the episodes read like those of the task&#x27;s expert">' in page
    assert "warnings of verify" not in index([trained(row, 1)], "")


def test_a_row_of_one_agent_is_explained(row):
    assert "One agent did the work of all" in index([trained(row, 1, agents=1)], "")
    assert "One agent did the work of all" not in index([trained(row, 1)], "")


def test_links_to_the_documentation_are_there_where_it_is(row):
    assert 'href="../environments/TLDR-v0.html"' in index([row], "", docs="../")
    assert "environments/" not in index([row], "")


def test_bars_reach_from_zero_to_their_values():
    chart = bars([Bar("a", 1.0), Bar("b", -1.0, -2.0, 0.0, marked=True)], "score")
    assert 'aria-label="score: a 1; b −1"' in chart
    assert chart.count('class="bar"') == 2
    assert chart.count('class="whisker"') == 1
    widths = [float(part.split('"')[0]) for part in chart.split('width="')[1:]]
    assert widths[0] == pytest.approx(widths[1])
