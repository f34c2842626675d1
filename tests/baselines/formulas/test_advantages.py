"""Returns, temporal differences and baselines, by numbers worked by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.formulas.advantages import divide_by_std, gae, group_baseline, returns_to_go, td_errors, whiten

REWARDS = torch.tensor([[1.0, 2.0, 4.0], [3.0, 0.0, 0.0]], dtype=torch.float64)
VALUES = torch.tensor([[10.0, 20.0, 30.0], [5.0, 0.0, 0.0]], dtype=torch.float64)
"""the second episode ends after one turn"""
NUMBERS = st.lists(st.floats(-100, 100), min_size=3, max_size=3)


def test_returns_are_discounted_sums_to_the_end():
    assert returns_to_go(REWARDS, 0.5).tolist() == [[1 + 1 + 1, 2 + 2, 4], [3, 0, 0]]


def test_the_discount_is_read():
    assert not torch.equal(returns_to_go(REWARDS, 1.0), returns_to_go(REWARDS, 0.9))


def test_td_errors_bootstrap_from_the_next_turn_and_never_past_the_end():
    assert td_errors(REWARDS, VALUES, 0.5).tolist() == [[1 + 10 - 10, 2 + 15 - 20, 4 - 30], [3 - 5, 0, 0]]


def test_gae_at_zero_is_the_td_error():
    assert torch.equal(gae(REWARDS, VALUES, 0.9, 0.0), td_errors(REWARDS, VALUES, 0.9))


@given(rewards=NUMBERS, values=NUMBERS, gamma=st.floats(0, 1))
def test_gae_at_one_is_the_return_minus_the_value(rewards, values, gamma):
    r, v = torch.tensor([rewards], dtype=torch.float64), torch.tensor([values], dtype=torch.float64)
    assert torch.allclose(gae(r, v, gamma, 1.0), returns_to_go(r, gamma) - v, atol=1e-9)


def test_gae_between_is_a_weighted_sum_of_td_errors():
    delta = td_errors(REWARDS, VALUES, 0.5)[0].tolist()
    wanted = [delta[0] + 0.4 * delta[1] + 0.16 * delta[2], delta[1] + 0.4 * delta[2], delta[2]]
    assert gae(REWARDS, VALUES, 0.5, 0.8)[0].tolist() == pytest.approx(wanted)


def test_baselines_of_a_group():
    R = torch.tensor([[1.0, 2.0, 6.0]], dtype=torch.float64)
    assert group_baseline(R, "none").tolist() == [[0, 0, 0]]
    assert group_baseline(R, "mean").tolist() == [[3, 3, 3]]
    assert group_baseline(R, "leave-one-out").tolist() == [[4, 3.5, 1.5]]
    assert group_baseline(R, "max").tolist() == [[6, 6, 6]]


def test_leave_one_out_is_the_centred_return_times_g_over_g_minus_one():
    R = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    centred = R - group_baseline(R, "mean")
    assert torch.allclose(R - group_baseline(R, "leave-one-out"), centred * 4 / 3)


def test_leave_one_out_of_a_single_sample_is_refused():
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        group_baseline(torch.ones(3, 1), "leave-one-out")


def test_dividing_by_the_deviation_takes_the_populations():
    A = divide_by_std(torch.tensor([[-3.0, -1.0, 1.0, 3.0]], dtype=torch.float64))
    assert A[0].tolist() == pytest.approx([a / 5**0.5 for a in (-3, -1, 1, 3)], rel=1e-5)


def test_a_group_without_spread_stays_at_zero():
    assert divide_by_std(torch.zeros(2, 4)).tolist() == [[0.0] * 4] * 2
    assert whiten(torch.full((5,), 3.0)).tolist() == [0.0] * 5


def test_whitened_advantages_have_mean_zero_and_deviation_one():
    A = whiten(torch.tensor([1.0, 5.0, -2.0, 8.0], dtype=torch.float64))
    assert A.mean().item() == pytest.approx(0, abs=1e-12)
    assert A.std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_no_function_changes_what_it_was_given():
    rewards, values = REWARDS.clone(), VALUES.clone()
    gae(rewards, values, 0.9, 0.5)
    returns_to_go(rewards, 0.9)
    divide_by_std(rewards)
    assert torch.equal(rewards, REWARDS)
    assert torch.equal(values, VALUES)
