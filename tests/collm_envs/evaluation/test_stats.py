"""Means and their uncertainty, against values worked by hand."""

import numpy as np
import pytest

from collm_envs.evaluation.stats import (
    T_975,
    across,
    bootstrap,
    interval,
    iqm,
    ranks,
    spearman,
    strata,
    summary,
)


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    assert iqm(np.array([100.0, 1.0, 2.0, -50.0])) == 1.5
    assert iqm(np.arange(8.0)) == 3.5
    assert iqm(np.array([7.0])) == 7.0
    assert iqm(np.array([[100.0, 1.0, 2.0, -50.0], [0.0, 0.0, 4.0, 9.0]])).tolist() == [1.5, 2.0]


def test_with_three_training_seeds_the_interval_is_students_over_the_seeds():
    scores = np.array([[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]])  # means 2, 3, 4: sd 1
    measured = summary(scores, [np.array([0, 1])])
    assert measured.mean == 3.0
    assert measured.high == pytest.approx(3.0 + T_975[3] / 3**0.5)
    assert measured.low == pytest.approx(3.0 - T_975[3] / 3**0.5)


def test_more_episodes_of_the_same_seeds_make_no_narrower_interval():
    runs = np.array([[0.1], [0.5], [0.3], [0.9], [0.7]])
    few, many = (summary(np.repeat(runs, n, axis=1), [np.arange(n)]) for n in (2, 500))
    assert few.low == pytest.approx(many.low)
    assert few.high == pytest.approx(many.high)


def test_a_single_run_has_an_interval_over_pairs():
    measured = summary(np.array([[0.0, 1.0] * 32]), [np.arange(64)])
    assert measured.mean == 0.5
    assert measured.low == pytest.approx(0.5 - 1.96 * 0.5 / 8, abs=0.02)
    assert measured.high == pytest.approx(0.5 + 1.96 * 0.5 / 8, abs=0.02)


def test_a_single_pair_of_a_single_run_has_no_interval():
    assert summary(np.array([[2.0]]), [np.array([0])]) == (2.0, None, None, 2.0)


def test_strata_are_resampled_each_by_itself():
    """Two items, each always the same score: their mix is fixed, so nothing is uncertain."""
    easy, hard = np.ones(32), np.zeros(32)
    assert bootstrap([easy, hard]) == (0.5, 0.5)
    low, high = bootstrap([np.concatenate([easy, hard])])
    assert low < 0.45 < 0.55 < high


def test_a_stratum_is_an_item_unless_some_item_has_few_pairs():
    pairs = [(f"item {k % 2}", k) for k in range(16)]
    assert [columns.tolist() for columns in strata(pairs)] == [[*range(0, 16, 2)], [*range(1, 16, 2)]]
    assert [columns.tolist() for columns in strata(pairs[:-1])] == [[*range(15)]]


def test_tasks_are_strata_whose_runs_are_drawn_anew_by_themselves():
    """rliable's case: two tasks, three runs each; what differs between tasks makes nothing uncertain."""
    measured = across([np.array([0.1, 0.1, 0.1]), np.array([0.9, 0.9, 0.9])])
    assert (measured.mean, measured.iqm, measured.low, measured.high) == pytest.approx((0.5, 0.5, 0.5, 0.5))
    wider = across([np.array([0.1, 0.2, 0.6]), np.array([0.9, 0.9, 0.9])])
    assert wider.iqm == pytest.approx((0.2 + 0.6 + 0.9 + 0.9) / 4)
    assert wider.low < wider.iqm < wider.high
    assert across([np.array([0.1]), np.array([0.9, 0.8])])[1:3] == (None, None)


def test_the_interval_covers_the_mean_about_95_times_in_100():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(80):
        low, high = bootstrap([rng.normal(size=40)])
        hits += low <= 0 <= high
    assert 68 <= hits <= 80


def test_the_bootstrap_has_a_generator_of_its_own():
    values = np.random.default_rng(5).normal(size=20)
    before = np.random.get_state()[1].tolist()
    assert bootstrap([values]) == bootstrap([values])
    assert np.random.get_state()[1].tolist() == before


def test_spearman_against_numbers_worked_by_hand():
    assert ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [2.5, 0, 2.5, 1]
    assert spearman(np.array([1.0, 2, 3]), np.array([10.0, 20, 15])) == pytest.approx(0.5)
    assert spearman(np.array([1.0, 2, 3]), np.array([5.0, 4, 1])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 1, 1]), np.array([5.0, 4, 1])) == 0


def test_students_interval_of_five_values_worked_by_hand():
    low, high = interval(np.array([1.0, 2, 3, 4, 5]))
    assert (low, high) == pytest.approx((3 - 2.776 * 2.5**0.5 / 5**0.5, 3 + 2.776 * 2.5**0.5 / 5**0.5))


@pytest.mark.parametrize("n", [4, 5, 9, 10, 11])
def test_to_ten_runs_the_interval_is_students_and_from_eleven_on_a_bootstrap(n):
    values = np.arange(n) ** 2.0
    low, high = interval(values)
    assert summary(values[:, None], [np.array([0])])[1:3] == (low, high)
    if n == 11:
        assert (low, high) == bootstrap([values])
    else:
        half = {4: 3.182, 5: 2.776, 9: 2.306, 10: 2.262}[n] * values.std(ddof=1) / n**0.5
        assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half))


def test_students_interval_covers_the_mean_of_five_runs_where_a_bootstrap_is_too_narrow():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(1000, 5))
    for method, least, most in ((interval, 0.92, 0.98), (lambda v: bootstrap([v]), 0.7, 0.9)):
        ends = [method(sample) for sample in samples[: 1000 if method is interval else 200]]
        assert least < np.mean([low < 0 < high for low, high in ends]) < most
