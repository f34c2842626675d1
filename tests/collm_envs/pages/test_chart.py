"""Charts as SVG: numbers in, places on the drawing out."""

import math
import re

import pytest

from collm_envs.pages.chart import LINE, Curve, curves, reward_bars, round_ticks, spread


def test_ticks_are_round_and_enclose_the_values():
    assert round_ticks([0, 1], 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert round_ticks([-0.5, 2.0], 5) == pytest.approx([-0.5, 0, 0.5, 1, 1.5, 2])
    assert round_ticks([3, 3], 5) == pytest.approx([2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.6])
    assert round_ticks([], 5) == round_ticks([0.0], 5)
    assert round_ticks([0, 1_234_567], 5)[-1] >= 1_234_567


def test_a_spread_is_the_mean_with_the_least_and_the_most():
    curve = spread("a", [0, 1], [[1, 2], [3, 6], [5, 1]])
    assert curve == Curve("a", [0, 1], [3, 3], [1, 1], [5, 6])


def test_runs_of_another_length_are_refused():
    with pytest.raises(ValueError, match="curve 'a': need 2 values a run, got 3"):
        spread("a", [0, 1], [[1, 2], [1, 2, 3]])
    with pytest.raises(ValueError, match="at least one run"):
        spread("a", [0, 1], [])


def test_a_curve_runs_from_edge_to_edge_and_ends_in_its_name_and_value():
    drawn = curves([Curve("up", [0, 10], [0, 1])], "steps", "return")
    assert 'class="curve" d="M48.0 280.0L470.0 30.0"' in drawn
    assert ">up 1</text>" in drawn
    assert ">steps</text>" in drawn
    assert ">return</text>" in drawn


def test_a_band_goes_forth_along_the_top_and_back_along_the_bottom():
    drawn = curves([Curve("a", [0, 1], [0.5, 0.5], [0, 0], [1, 1])], "x", "y")
    assert 'class="band" d="M48.0 30.0L470.0 30.0L470.0 280.0L48.0 280.0z"' in drawn


def test_a_value_that_is_not_finite_leaves_a_gap():
    drawn = curves([Curve("a", [0, 1, 2, 3], [0, 1, math.nan, 1])], "x", "y")
    path = re.search(r'class="curve" d="([^"]*)"', drawn)
    assert path
    assert re.sub(r"[^ML]", "", path[1]) == "MLM"
    assert "nan" not in drawn
    assert "nan" not in curves([Curve("a", [0, 1], [math.nan, math.inf])], "x", "y")


def test_labels_at_the_end_never_overlap():
    many = [Curve(f"c{k}", [0, 1], [0, 0.5 + k / 1000]) for k in range(7)]
    drawn = curves(many, "x", "y", {"expert": 0.5})
    places = [float(y) for y in re.findall(r'class="end"[^>]* y="([0-9.]+)"', drawn)]
    assert len(places) == 8
    assert all(b - a >= LINE - 0.11 for a, b in zip(sorted(places), sorted(places)[1:], strict=False))


def test_a_long_name_at_the_end_of_a_curve_is_inside_the_drawing():
    def room(name):
        drawn = curves([Curve(name, [0, 1], [0, 0.25])], "x", "y")
        width, x = (
            float(re.search(f"{key}([0-9.]+)", drawn)[1]) for key in ("viewBox=.0 0 ", 'class="end".* x="')
        )
        return width - x

    assert room("counterfactual credit") >= 9 * len("counterfactual credit 0.25")
    assert room("CC") == room("MAGRPO")


def test_a_chart_without_curves_is_an_empty_frame():
    assert curves([], "x", "y").count("<path") == curves([], "x", "y").count('class="axis"') + 1


def test_names_in_a_chart_are_text():
    assert "<b>" not in curves([Curve("<b>", [0, 1], [0, 1])], "<b>", "<b>", {"<b>": 0.5})
    assert "<b>" not in reward_bars([1.0], [{"<b>": 1.0}])


def test_the_parts_of_a_reward_are_stacked_from_zero_both_ways():
    drawn = reward_bars([0.5], [{"coverage": 1.0, "bonus": 0.5, "extra": -0.5, "adj": -0.5}])
    bars = [
        (float(y), float(y) + float(h))
        for y, h in re.findall(
            r'<rect class="bar"[^>]* y="([0-9.]+)" width="[0-9.]+" height="([0-9.]+)"', drawn
        )
    ]
    zero = 10 + 180 * 1.5 / 2.5
    assert bars[0][1] == bars[2][0] == pytest.approx(zero, abs=0.11)
    assert bars[1][1] == pytest.approx(bars[0][0], abs=0.11)
    assert bars[3][0] == pytest.approx(bars[2][1], abs=0.11)
    dot = re.search(r'class="dot" cx="[0-9.]+" cy="([0-9.]+)"', drawn)
    assert dot
    assert float(dot[1]) == pytest.approx(zero - 180 * 0.5 / 2.5, abs=0.11)
