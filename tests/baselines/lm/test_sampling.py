"""One distribution for sampling and scoring."""

import pytest
import torch

from baselines.lm.sampling import Sampling, _topk, choices, draw_tokens

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 0.0, 3.0, 0.0]])
CHOICES = [
    Sampling(),
    Sampling(temperature=0.6),
    Sampling(top_p=0.7),
    Sampling(top_k=2),
    Sampling(temperature=1.7, top_k=3, top_p=0.8),
]


def log_probs(logits, sampling, taken=None):
    """The distribution over the whole vocabulary."""
    some = choices(logits, sampling, taken)
    if some.tokens is None:
        return some.logp
    return torch.full_like(logits, -torch.inf).scatter_reduce(-1, some.tokens, some.logp, "amax")


@pytest.mark.parametrize("sampling", CHOICES)
def test_the_drawn_words_are_distributed_as_scored(sampling):
    n = 40_000
    token, logp = draw_tokens(LOGITS[:1].expand(n, -1), sampling, [torch.Generator().manual_seed(0)] * n)
    p = log_probs(LOGITS[:1], sampling)[0].exp()
    shares = token.bincount(minlength=4) / n
    assert torch.allclose(shares, p, atol=4 * 0.5 / n**0.5)
    assert bool((shares[p == 0] == 0).all())
    assert torch.allclose(logp, p.log()[token])


@pytest.mark.parametrize("sampling", CHOICES)
def test_probabilities_sum_to_one(sampling):
    assert torch.allclose(log_probs(LOGITS, sampling).exp().sum(-1), torch.ones(2))


def test_temperature_divides_the_logits():
    assert torch.allclose(log_probs(LOGITS, Sampling(temperature=0.5)), (LOGITS / 0.5).log_softmax(-1))


def test_top_p_keeps_the_word_that_crosses_it():
    kept = log_probs(LOGITS[:1], Sampling(top_p=0.7)).exp()[0]  # 0.64, 0.24, 0.09, 0.03
    assert kept.tolist() == pytest.approx([0.7311, 0.2689, 0, 0], abs=1e-4)
    assert (log_probs(LOGITS[:1], Sampling(top_p=0.6)).exp()[0] > 0).tolist() == [True, False, False, False]


def test_top_k_comes_before_top_p():
    both = log_probs(LOGITS[:1], Sampling(top_k=2, top_p=0.72))[0]
    assert (both > -torch.inf).tolist() == [
        True,
        False,
        False,
        False,
    ]  # of the two kept, 0.73 goes to the first


def test_a_flat_distribution_over_many_words_is_cut_at_top_p_all_the_same():
    flat = torch.zeros(1, 5000)
    kept = (log_probs(flat, Sampling(top_p=0.5)) > -torch.inf).sum()
    assert abs(int(kept) - 2500) <= 1


def test_a_word_once_said_keeps_a_probability_after_it_left_the_nucleus():
    taken = torch.tensor([3, 3])
    logp = log_probs(LOGITS, Sampling(top_k=1), taken)
    assert bool(torch.isfinite(logp.gather(-1, taken[:, None])).all())
    assert torch.equal(
        choices(LOGITS, Sampling(top_k=1), taken).of(taken), logp.gather(-1, taken[:, None])[:, 0]
    )
    assert int((logp > -torch.inf).sum()) == 4


@pytest.mark.parametrize("sampling", CHOICES)
def test_a_word_said_is_scored_by_the_distribution_it_was_drawn_from(sampling):
    logits = torch.randn(500, 30, generator=torch.Generator().manual_seed(1), requires_grad=True)
    token, logp = draw_tokens(logits.detach(), sampling, [torch.Generator().manual_seed(2)] * 500)
    scored = choices(logits, sampling, token).of(token)
    assert torch.allclose(scored, logp, atol=1e-6)
    scored.sum().backward()  # of a log-probability: one minus p at the word, minus p at the others
    p = log_probs(logits.detach(), sampling).exp()
    wanted = (torch.nn.functional.one_hot(token, 30) - p) / sampling.temperature
    assert torch.allclose(logits.grad, wanted, atol=1e-5)


@pytest.mark.parametrize(("V", "k"), [(10, 3), (800, 50), (2048, 50), (5003, 7), (17, 1), (2047, 256)])
def test_the_likeliest_words_are_found_in_any_vocabulary(V, k):
    logits = torch.randn(40, V, generator=torch.Generator().manual_seed(V))
    values, tokens = _topk(logits, k)
    wanted = logits.topk(k)
    assert torch.equal(values, wanted.values)
    assert torch.equal(tokens, wanted.indices)


def test_temperature_zero_takes_the_likeliest_word():
    token, _ = draw_tokens(LOGITS, Sampling(temperature=0), [torch.Generator()] * len(LOGITS))
    assert token.tolist() == [0, 2]


def test_draws_are_a_function_of_the_generator():
    wide = torch.zeros(64, 100)
    a, b, c = (
        draw_tokens(wide, Sampling(), [torch.Generator().manual_seed(seed)] * len(wide))[0].tolist()
        for seed in (1, 1, 2)
    )
    assert a == b != c


@pytest.mark.parametrize(
    "wrong", [{"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"top_k": -1}, {"max_new_tokens": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="sampling: need"):
        Sampling(**wrong)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"temperature": -1.0}, "need temperature >= 0, got -1.0"),
        ({"top_p": 0.0}, "need 0 < top_p <= 1, got 0.0"),
        ({"max_new_tokens": 0}, "need max_new_tokens >= 1, got 0"),
    ],
)
def test_a_setting_that_cannot_be_is_named_and_no_other(given, want):
    with pytest.raises(ValueError) as refused:
        Sampling(**given)
    assert str(refused.value) == f"sampling: {want}"
