"""The thrifty output layer gives the log-probabilities and gradients of plain autograd."""

import pytest
import torch
from torch.nn.functional import linear

from baselines.lm.head import token_logp
from baselines.lm.sampling import Sampling, choices

T, D, V = 24, 12, 40_000


def numbers():
    """Hidden states whose distributions are from sharp to flat, a weight, and tokens of all ranks."""
    dice = torch.Generator().manual_seed(0)
    hidden = torch.randn(T, D, generator=dice) * torch.linspace(0.05, 3, T)[:, None]
    weight = torch.randn(V, D, generator=dice)
    taken = torch.randint(V, (T,), generator=dice)
    taken[::2] = (hidden @ weight.t()).argmax(-1)[::2]
    return hidden, weight, taken


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(),
        Sampling(temperature=0.6),
        Sampling(temperature=0),
        Sampling(temperature=0.6, top_p=0.6, top_k=50),
        Sampling(top_k=5),
        Sampling(temperature=0.7, top_p=0.9),
    ],
)
@pytest.mark.parametrize("trained", ["all weights", "below the output layer"])
def test_log_probabilities_and_gradients_are_those_of_autograd(sampling, trained):
    hidden, weight, taken = numbers()
    results = []
    for thrifty in (False, True):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_(trained == "all weights")
        if thrifty:
            logp = token_logp(h, w, taken, sampling)
        else:
            logp = choices(linear(h, w), sampling, taken).of(taken)
        (logp * torch.linspace(-1, 1, T)).sum().backward()
        results.append((logp.detach(), h.grad, torch.zeros(()) if w.grad is None else w.grad))
    for plain, ours in zip(*results, strict=True):
        assert torch.allclose(plain, ours, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))
    assert (results[0][2].dim() == 2) == (trained == "all weights")


def test_a_nucleus_wider_than_the_first_look_is_that_of_a_sorted_vocabulary():
    logits = torch.randn(4, V, generator=torch.Generator().manual_seed(1)) * torch.tensor(
        [[6.0], [3], [2], [1]]
    )
    expected = logits.sort(-1, descending=True)
    sizes = (expected.values.softmax(-1).cumsum(-1) < 0.8).sum(-1) + 1
    options = choices(logits, Sampling(top_p=0.8))
    assert options.tokens is not None
    drawn = (options.logp > -torch.inf).sum(-1)
    assert drawn.tolist() == sizes.tolist()
    assert int(sizes[0]) < 256 < int(sizes[1]) < 2048 < int(sizes[3])
    for row in range(4):
        kept = options.tokens[row][options.logp[row] > -torch.inf]
        assert set(kept.tolist()) == set(expected.indices[row, : sizes[row]].tolist())
