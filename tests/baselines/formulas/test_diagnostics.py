"""What a step says about itself, on numbers worked out by hand."""

import pytest
import torch

from baselines.formulas.diagnostics import agreement, explained_variance, mean_variance, proportions


def test_a_critic_that_knows_explains_all_variance_a_constant_none_and_a_wrong_one_less():
    returns = torch.tensor([0.0, 2.0], dtype=torch.float64)
    for predicted, share in (([0.0, 2.0], 1.0), ([7.0, 7.0], 0.0), ([0.0, 1.0], 0.75), ([2.0, 0.0], -3.0)):
        assert explained_variance(torch.tensor(predicted).double(), returns) == pytest.approx(share)


def test_returns_that_do_not_vary_leave_nothing_to_explain():
    assert explained_variance(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0])) == 0.0


def test_the_variance_is_each_agents_own_so_that_a_difference_between_agents_is_none():
    assert mean_variance([[0.0, 2.0], [10.0, 14.0], []]) == pytest.approx((1.0 + 4.0) / 2)
    assert mean_variance([[], []]) == 0.0


def test_proportions_sum_to_one_and_are_equal_where_nothing_is_there():
    assert proportions({"a": 3.0, "b": 1.0}) == {"a": 0.75, "b": 0.25}
    assert proportions({"a": 0.0, "b": 0.0}) == {"a": 0.5, "b": 0.5}


def test_agreement_is_of_ranks_over_turns_and_agents_and_says_nothing_of_a_constant():
    exact = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert agreement(exact**3, exact) == pytest.approx(1.0)
    assert agreement(-exact, exact) == pytest.approx(-1.0)
    assert agreement(exact, torch.ones(2, 2)) is None
