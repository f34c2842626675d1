"""One thread for small models wherever they are loaded, and the number by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from baselines.lm import threads

SMALL, LARGE = nn.Linear(10, 10), nn.Linear(2000, 2000)


@pytest.fixture(autouse=True)
def two_of_its_own(monkeypatch):
    """A process that has loaded nothing yet and would compute with two threads."""
    monkeypatch.setattr(threads, "_process", threads._Process())
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_a_small_model_gets_one_thread():
    threads.fit(SMALL)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("models", [(LARGE,), (SMALL, LARGE), (LARGE, SMALL)])
def test_the_largest_model_decides_whatever_the_order(models):
    for model in models:
        threads.fit(model)
    assert torch.get_num_threads() == 2


def test_a_number_by_hand_wins():
    threads.ask(2)
    threads.fit(SMALL)
    assert torch.get_num_threads() == 2
    threads.ask(0)
    threads.fit(SMALL)
    assert torch.get_num_threads() == 1


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="threads must be 1 or more, or 0"):
        threads.ask(-1)
