"""Teams mixed seat by seat: who sits where, and what self-play and cross-play come to."""

import pytest

from collm_envs.evaluation.crossplay import results, seatings, shares
from collm_envs.pages.crossplay import crossplay_page, csv_text


def test_two_agents_have_one_seating_a_cell_and_three_have_all_that_hold_both_teams():
    assert seatings(0, 1, 2) == [(0, 1)]
    assert seatings(1, 1, 3) == [(1, 1, 1)]
    assert seatings(0, 1, 3) == [(0, 0, 1), (0, 1, 0), (0, 1, 1)]


def test_of_many_seatings_the_same_few_are_drawn_each_time():
    drawn = seatings(2, 0, 5)
    assert len(drawn) == len(set(drawn)) == 8
    assert drawn == seatings(2, 0, 5)
    assert all(seats[0] == 2 and 0 in seats for seats in drawn)


def test_the_seatings_of_a_cell_share_its_episodes():
    played = [k for part in shares([(0, 0, 1), (0, 1, 0), (0, 1, 1)], 8) for k in part]
    assert sorted(played) == list(range(8))


A, B, C = ("a", 0), ("b", 0), ("c", 0)
MATRIX = {
    (0, 0): {A: 2.0, B: 1.0, C: 9.0},
    (0, 1): {A: 1.0, B: 0.0},
    (1, 0): {A: 0.0, B: 0.0, C: 9.0},
    (1, 1): {A: 1.0, B: 1.0},
}


def test_self_play_cross_play_and_gap_worked_by_hand():
    cells, (first, second) = results(MATRIX, 2)
    assert [[cell.mean for cell in row] for row in cells] == [[1.5, 0.5], [0.0, 1.0]]
    assert (first.self_play.mean, first.cross_play.mean, first.gap.mean) == (1.5, 0.25, 1.25)
    assert (second.self_play.mean, second.cross_play.mean, second.gap.mean) == (1.0, 0.25, 0.75)
    assert first.gap.low <= 1.25 <= first.gap.high


def test_cells_without_a_pair_in_common_are_refused():
    with pytest.raises(ValueError, match="no episode was played to its end in every cell"):
        results({**MATRIX, (1, 1): {C: 1.0}}, 2)


def test_the_page_shows_every_team_and_escapes_its_name():
    cells, by_team = results(MATRIX, 2)
    html = crossplay_page("X-v0", "talk=1", ["agent_0", "agent_1"], ["<one>", "two"], cells, by_team, 2)
    assert "<one>" not in html
    assert html.count("&lt;one&gt; with two: 0.5") == 1
    assert "1.500 [" in html
    assert csv_text(["one", "two"], cells).splitlines()[2].startswith("one,two,0.5,")
