"""The numbers of a row, against values worked by hand."""

import numpy as np
import pytest

from leaderboard.stats import T_975, bootstrap, first_difference, iqm, summary


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert iqm(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5
    assert iqm(np.arange(8.0)) == 3.5
    assert iqm(np.array([7.0])) == 7.0


def test_with_three_training_seeds_the_interval_is_students_over_the_seeds():
    scores = np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])  # means 2, 3, 4: sd 1
    found = summary(scores, [np.array([0, 1])])
    assert found["mean"] == 3.0
    assert found["high"] == pytest.approx(3.0 + T_975[3] / 3**0.5)
    assert found["low"] == pytest.approx(3.0 - T_975[3] / 3**0.5)


def test_more_episodes_of_the_same_seeds_make_no_narrower_interval():
    runs = np.array([[0.1], [0.5], [0.3], [0.9], [0.7]])
    few, many = (summary(np.repeat(runs, n, axis=1), [np.arange(n)]) for n in (2, 500))
    assert few["low"] == pytest.approx(many["low"])
    assert few["high"] == pytest.approx(many["high"])


def test_a_single_run_has_an_interval_over_pairs():
    found = summary(np.array([[0.0, 1.0] * 32]), [np.arange(64)])
    assert found["mean"] == 0.5
    assert found["low"] == pytest.approx(0.5 - 1.96 * 0.5 / 8, abs=0.02)
    assert found["high"] == pytest.approx(0.5 + 1.96 * 0.5 / 8, abs=0.02)


def test_strata_are_resampled_each_by_itself():
    """Two items, each always the same score: their mix is fixed, so nothing is uncertain."""
    easy, hard = np.ones(32), np.zeros(32)
    assert bootstrap([easy, hard]) == (0.5, 0.5)
    low, high = bootstrap([np.concatenate([easy, hard])])
    assert low < 0.45 < 0.55 < high


def test_the_bootstrap_has_a_generator_of_its_own():
    values = np.random.default_rng(5).normal(size=20)
    before = np.random.get_state()[1].tolist()
    assert bootstrap([values]) == bootstrap([values])
    assert np.random.get_state()[1].tolist() == before


def test_claims_that_differ_are_named():
    claim = {"score": {"mean": 0.5, "low": 0.4, "high": 0.6, "iqm": 0.5}}
    assert first_difference(claim, claim) == ""
    assert first_difference({"score": {**claim["score"], "high": 0.7}}, claim).startswith(
        "score, high: claimed 0.7"
    )
    assert first_difference({}, claim).startswith("score: claimed None")
    assert first_difference({"score": {**claim["score"], "mean": float("nan")}}, claim)
