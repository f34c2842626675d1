"""Ridge regression from running sums, against lines that are known."""

import pytest
import torch

from baselines.formulas.regression import PENALTY, added, no_samples, predicted

X = torch.tensor([[0.0, 5.0], [1.0, 5.0], [2.0, 5.0], [3.0, 5.0]], dtype=torch.float64)
Y = 2 * X[:, 0] + 1


def test_nothing_is_predicted_before_the_first_sample():
    assert predicted(no_samples(2), X).tolist() == [0.0] * 4


def test_a_slope_is_shrunk_by_the_penalty_and_a_column_that_never_varied_counts_for_nothing():
    sums = added(no_samples(2), X, Y, keep=1.0)
    slope = 2 / (1 + PENALTY / 4)
    new = torch.tensor([[1.5, 5.0], [2.5, 99.0]], dtype=torch.float64)
    assert predicted(sums, new).tolist() == pytest.approx([4.0, 4.0 + slope])
    for _ in range(2000):
        sums = added(sums, X, Y, keep=1.0)
    assert predicted(sums, X).tolist() == pytest.approx(Y.tolist(), abs=0.01)


def test_old_samples_fade():
    sums = added(no_samples(1), torch.zeros(4, 1).double(), torch.full((4,), 10.0).double(), keep=0.5)
    sums = added(sums, torch.zeros(2, 1).double(), torch.zeros(2).double(), keep=0.5)
    assert float(sums.n) == 4.0
    assert predicted(sums, torch.zeros(1, 1).double()).item() == pytest.approx(5.0)


def test_batches_add_up_to_their_union():
    whole = added(no_samples(2), X, Y, keep=1.0)
    halves = added(added(no_samples(2), X[:1], Y[:1], keep=1.0), X[1:], Y[1:], keep=1.0)
    for a, b in zip(whole, halves, strict=True):
        assert torch.allclose(a, b)
