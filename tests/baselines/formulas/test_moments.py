"""Standardised rewards of the mixers: moments worked by hand, their use in the loss, and a resumed run."""

import copy
from dataclasses import replace

import pytest
import torch

from baselines import games
from baselines.formulas.moments import COUNT, Moments, merged, standardised
from baselines.mixing import Config, Learner, scaled, train

SMALL = Config(batch=4, at_once=4, hidden=8, steps=6)


def test_two_batches_are_merged_as_worked_by_hand():
    """(1, 3) then (5, 5, 2): mean 16 / 5, mean of squares 64 / 5, variance 64 / 5 - (16 / 5)^2 = 2.56."""
    moments = merged(merged(Moments(), torch.tensor([1.0, 3.0])), torch.tensor([5.0, 5.0, 2.0]))
    assert moments.count == pytest.approx(5, abs=1e-3)
    assert moments.mean == pytest.approx(3.2, abs=1e-3)
    assert moments.variance == pytest.approx(2.56, abs=1e-3)
    assert standardised(torch.tensor([3.2, 4.8]), moments).tolist() == pytest.approx([0.0, 1.0], abs=1e-3)


def test_the_formula_is_that_of_all_numbers_at_once_with_its_beginning_among_them():
    batches = torch.randn(7, 20, generator=torch.Generator().manual_seed(0)).double() * 3 - 25
    moments = Moments()
    for batch in batches:
        moments = merged(moments, batch)
    n = COUNT + batches.numel()
    mean = float(batches.sum()) / n
    squares = COUNT * (1 + mean**2) + float((batches - mean).square().sum())
    assert moments.mean == pytest.approx(mean, rel=1e-12)
    assert moments.variance == pytest.approx(squares / n, rel=1e-12)


def test_before_the_first_batch_nothing_is_changed_and_equal_rewards_stay_finite():
    assert standardised(torch.tensor([3.0, -2.0]), Moments()).tolist() == [3.0, -2.0]
    for value in (0.0, -1.0, 7.0):
        moments = Moments()
        for _ in range(1000):
            moments = merged(moments, torch.full((100,), value))
        assert standardised(torch.tensor([value]), moments).abs().item() < 0.1


def learner_of(config, game="two-step"):
    made = [games.make(game) for _ in range(config.at_once)]
    return made, Learner(config, made[0].layout)


def test_the_loss_has_standardised_rewards_by_default_and_scaled_ones_where_that_is_set():
    made, learner = learner_of(SMALL)
    list(train(SMALL, made, learner))
    rewards = torch.tensor([0.0, 8.0])
    assert learner.rewards.count > 4 * 2
    assert torch.equal(scaled(SMALL, learner, rewards), standardised(rewards, learner.rewards))
    fixed = replace(SMALL, reward_scale=0.5)
    made, learner = learner_of(fixed)
    list(train(fixed, made, learner))
    assert learner.rewards == Moments()
    assert scaled(fixed, learner, rewards).tolist() == [0.0, 4.0]


def test_padding_of_short_episodes_is_no_reward():
    made, learner = learner_of(SMALL, "climbing")
    batch = (learner.replay.added, learner.rewards)
    list(train(replace(SMALL, steps=1), made, learner))
    assert batch == (0, Moments())
    assert learner.rewards.count == pytest.approx(4, abs=1e-3)  # four episodes of one turn


def test_the_units_of_rewards_change_nothing(monkeypatch):
    """Ten times the rewards and 100 more: the same steps to rounding, where a fixed scale would not be."""
    weights = []
    for stretch, shift in ((1.0, 0.0), (10.0, 100.0)):
        made, learner = learner_of(SMALL)
        for game in made:
            play = game.step
            monkeypatch.setattr(
                game,
                "step",
                lambda actions, play=play, stretch=stretch, shift=shift: (out := play(actions))._replace(
                    reward=stretch * out.reward + shift
                ),
            )
        list(train(SMALL, made, learner))
        weights.append(torch.cat([w.detach().flatten() for w in learner.weights]))
    assert torch.allclose(*weights, atol=2e-3)
    assert not torch.equal(*weights)


def test_a_resumed_learner_goes_on_with_the_moments_it_had():
    made, learner = learner_of(SMALL)
    list(train(replace(SMALL, steps=3), made, learner))
    again_made, again = learner_of(SMALL)
    again.load_state_dict(copy.deepcopy(learner.state_dict()))  # as a file would hold it
    assert again.rewards == learner.rewards != Moments()
    list(train(SMALL, made, learner))
    list(train(SMALL, again_made, again))
    assert again.rewards == learner.rewards
    assert all(torch.equal(a, b) for a, b in zip(learner.weights, again.weights, strict=True))


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_scale_that_makes_no_sense_is_refused(value):
    with pytest.raises(ValueError, match="reward_scale must be above 0, or left out"):
        Config(reward_scale=value)
