"""The set of top-p: as defined, the same whatever rows stand beside it, and narrow where it can be."""

import pytest
import torch

from baselines.lm.sampling import Sampling, choices

V = 4000
SAMPLING = Sampling(temperature=0.7, top_p=0.9)


@pytest.fixture(scope="module")
def logits():
    """Two flat distributions, which keep hundreds of tokens, among six that keep a few."""
    spread = torch.tensor([1.0, 8, 8, 8, 2.0, 8, 8, 8])[:, None]
    return torch.randn(8, V, generator=torch.Generator().manual_seed(0)) * spread


def test_a_row_is_scored_the_same_to_the_bit_alone_and_beside_others(logits):
    taken = logits.topk(5).indices[:, 4]
    together = choices(logits, SAMPLING, taken).of(taken)
    alone = [choices(logits[k : k + 1], SAMPLING, taken[k : k + 1]).of(taken[k : k + 1]) for k in range(8)]
    assert torch.equal(together, torch.cat(alone))


def test_the_set_is_the_likeliest_tokens_that_hold_top_p_and_no_more(logits):
    some = choices(logits, SAMPLING)
    assert some.tokens is not None
    for k in range(8):
        p, order = (logits[k].double() / 0.7).softmax(-1).sort(descending=True)
        size = int((p.cumsum(0) - p < 0.9).sum())
        kept = some.tokens[k][some.logp[k] > -torch.inf]
        assert abs(len(kept) - size) <= 1  # a sum in single precision may cross 0.9 a token sooner or later
        assert set(kept.tolist()) >= set(order[: size - 1].tolist())
        wanted = p[: len(kept)] / p[: len(kept)].sum()
        assert some.logp[k][: len(kept)].exp().tolist() == pytest.approx(wanted.tolist(), rel=1e-4)
    sizes = (some.logp > -torch.inf).sum(-1)
    assert some.logp.shape[1] == max(256, int(sizes.max())) < V


def test_gradients_reach_the_kept_tokens_of_flat_rows_alone(logits):
    leaf = logits.clone().requires_grad_()
    taken = logits.argmax(-1)
    some = choices(leaf, SAMPLING, taken)
    some.of(taken).sum().backward()
    touched = (leaf.grad != 0).sum(-1)
    sizes = (some.logp > -torch.inf).sum(-1)
    assert bool((touched <= sizes).all())
    assert int(touched[0]) > 256 > int(touched[1])


def test_a_token_drawn_before_the_policy_moved_stays_in_the_set_of_a_flat_row(logits):
    taken = logits.argmin(-1)
    logp = choices(logits, SAMPLING, taken).of(taken)
    assert bool(torch.isfinite(logp).all())
    assert bool((logp < -1).all())
