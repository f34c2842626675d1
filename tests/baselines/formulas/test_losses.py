"""The actor's and the critic's loss: values by hand, gradients against their definitions."""

import math

import pytest
import torch

from baselines.formulas.losses import (
    Objective,
    kl_k3,
    lesson_loss,
    per_move,
    policy_loss,
    surrogate,
    value_loss,
)

LOGP = torch.tensor([-0.5, -1.0, -2.0, -0.1, -0.3])
OLD = torch.tensor([-0.6, -1.2, -1.5, -0.1, -0.9])
OWNER = torch.tensor([0, 0, 1, 2, 2])
ADVANTAGE = torch.tensor([2.0, -1.0, 0.5])


def close(tensor, numbers):
    return tensor.tolist() == pytest.approx(numbers, abs=1e-6)


def test_tokens_are_summed_move_by_move():
    assert close(per_move(LOGP, OWNER, 4), [-1.5, -2.0, -0.4, 0.0])


def test_the_ratio_of_a_turn_is_that_of_its_whole_text():
    loss = policy_loss(LOGP, OLD, ADVANTAGE, OWNER)
    assert close(loss, [-2.0 * math.exp(0.3), math.exp(-0.5), -0.5 * math.exp(0.6)])


def test_the_ratio_of_a_turn_by_mean_is_the_geometric_mean_of_its_tokens():
    loss = policy_loss(LOGP, OLD, ADVANTAGE, OWNER, length="mean")
    assert close(loss, [-2.0 * math.exp(0.15), math.exp(-0.5), -0.5 * math.exp(0.3)])


def test_the_ratio_of_tokens_is_summed_or_averaged():
    summed = [-2.0 * (math.exp(0.1) + math.exp(0.2)), math.exp(-0.5), -0.5 * (1 + math.exp(0.6))]
    assert close(policy_loss(LOGP, OLD, ADVANTAGE, OWNER, ratio="token"), summed)
    averaged = policy_loss(LOGP, OLD, ADVANTAGE, OWNER, ratio="token", length="mean")
    assert close(averaged, [summed[0] / 2, summed[1], summed[2] / 2])


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "slope"),
    [
        (0.5, 1.0, -1.2, 0.0),  # already much likelier: no more
        (0.5, -1.0, math.exp(0.5), math.exp(0.5)),  # and bad: all the way back
        (-0.5, 1.0, -math.exp(-0.5), -math.exp(-0.5)),
        (-0.5, -1.0, 0.8, 0.0),
        (0.1, 1.0, -math.exp(0.1), -math.exp(0.1)),  # inside the range: as without a clip
    ],
)
def test_the_clip_stops_what_would_go_too_far_and_nothing_else(log_ratio, advantage, loss, slope):
    leaf = torch.tensor([log_ratio], requires_grad=True)
    got = surrogate(leaf, torch.tensor([advantage]), clip=0.2)
    got.sum().backward()
    assert got.item() == pytest.approx(loss, abs=1e-6)
    assert leaf.grad is not None
    assert leaf.grad.item() == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("ratio", ["turn", "token"])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_on_policy_the_gradient_is_reinforces(ratio, clip):
    logp = LOGP.clone().requires_grad_()
    policy_loss(logp, LOGP, ADVANTAGE, OWNER, ratio=ratio, clip=clip).sum().backward()
    assert logp.grad is not None
    assert close(logp.grad, (-ADVANTAGE[OWNER]).tolist())


def test_k3_is_never_negative_and_its_mean_is_the_divergence():
    generator = torch.Generator().manual_seed(0)
    pi, ref = torch.randn(2, 6, generator=generator, dtype=torch.float64).log_softmax(-1)
    k3 = kl_k3(pi, ref)
    assert float(k3.min()) >= 0
    assert float((pi.exp() * k3).sum()) == pytest.approx(float((pi.exp() * (pi - ref)).sum()), abs=1e-12)
    assert kl_k3(pi, pi).tolist() == [0.0] * 6


def test_the_gradient_of_sampled_k3_is_that_of_the_divergence_from_the_reference():
    """d E_pi[sg] k3 is grad KL(ref || pi), not grad KL(pi || ref): both are zero at pi = ref alone."""
    logits = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64, requires_grad=True)
    ref = torch.tensor([0.1, 0.3, -0.4], dtype=torch.float64).log_softmax(-1)
    logp = logits.log_softmax(-1)
    (got,) = torch.autograd.grad((logp.detach().exp() * kl_k3(logp, ref)).sum(), logits)
    logp = logits.log_softmax(-1)
    (wanted,) = torch.autograd.grad((ref.exp() * (ref - logp)).sum(), logits)
    assert torch.allclose(got, wanted, atol=1e-12)


def test_texts_of_another_engine_are_weighed_by_a_ratio_that_is_cut_at_its_bound():
    old, owner = torch.tensor([-1.0, -2.0, -0.5]), torch.tensor([0, 0, 1])
    mu = old - torch.tensor([0.3, 0.2, 5.0])  # pi_old / mu: e^0.5 of the first text, e^5 of the second
    A = torch.tensor([1.0, -2.0])
    engine = {"sampled": mu, "truncate": 2.0}
    assert close(policy_loss(old, old, A, owner, **engine), [-math.exp(0.5), 2.0 * 2.0])
    assert close(
        policy_loss(old, old, A, owner, ratio="token", **engine), [-math.exp(0.3) - math.exp(0.2), 2.0 * 2.0]
    )
    assert close(policy_loss(old, old, A, owner, length="mean", **engine), [-math.exp(0.25), 2.0 * 2.0])
    assert close(policy_loss(old, old, A, owner, sampled=old, truncate=2.0), [-1.0, 2.0])


def test_an_objective_without_a_bound_does_not_look_at_the_engine_that_wrote():
    old, owner, A = torch.tensor([-1.0, -2.0]), torch.tensor([0, 0]), torch.tensor([1.0])
    terms = [
        lesson_loss(objective, old, old, A, torch.ones(1), owner, sampled=old - 1.0).loss
        for objective in (Objective(), Objective(truncate=5.0))
    ]
    assert close(torch.stack(terms), [-1.0, -5.0])


def test_the_value_loss_is_the_squared_error():
    assert close(value_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.5])), [4.0, 0.25])


def test_a_clipped_value_loss_is_the_worse_of_both():
    value, old, target = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 0.9]), torch.tensor([2.0, 3.0])
    assert close(value_loss(value, target, old, clip=0.2), [1.8**2, 4.0])
    assert close(value_loss(value, target, old, clip=None), [1.0, 4.0])
