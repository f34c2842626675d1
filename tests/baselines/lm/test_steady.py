"""Texts written with fixed shapes, as a GPU replays them, are those of the plain loop."""

import pytest
import torch
from lm_fixtures import alone, tiny_lm, words_tokenizer

from baselines.lm import conversations, steady
from baselines.lm.opening import Setup, open_all
from baselines.lm.policy import Context
from baselines.lm.sampling import Sampling
from baselines.lm.shared import LEAST

WORDS = [f"w{k}" for k in range(12)]
LONG = " ".join(WORDS[k * 7 % 12] for k in range(LEAST + 6))
LIMIT = steady.LOOK + 4
SAMPLINGS = {
    "greedy": Sampling(temperature=0, max_new_tokens=LIMIT),
    "all tokens": Sampling(max_new_tokens=LIMIT),
    "top-p": Sampling(temperature=0.8, top_p=0.7, max_new_tokens=LIMIT),
    "top-k": Sampling(top_k=5, max_new_tokens=LIMIT),
    "top-k, top-p": Sampling(top_k=9, top_p=0.8, max_new_tokens=LIMIT),
}


def texts(lm, fixed, turns, shares=True):
    """Moves of every turn of two groups of three, whose prompts have different lengths."""
    lm.steady, lm.engine.shares = fixed, shares
    talk = lm.converse(2, seed=4)
    talk.read([LONG, f"{LONG} w1 w2"])
    talk, out = talk.pick([0, 0, 0, 1, 1, 1]), []
    for t in range(turns):
        out += talk.write()
        if t + 1 < turns:
            talk = talk.pick([0, 2, 3, 5] if t == 0 else [1, 2, 0])
            talk.read([f"w{k} w3" if k % 2 else "w5" for k in range(len(talk.heads))])
    return out


@pytest.mark.parametrize("shares", [True, False], ids=["shared prompts", "copies"])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_texts_and_log_probabilities_are_those_of_the_plain_loop(sampling, shares, monkeypatch):
    monkeypatch.setattr(conversations, "SHRINK", 0.0)  # rows that are dropped would shift the random numbers
    lm = tiny_lm("qwen3", words_tokenizer(WORDS), sampling=sampling)
    turns = 3 if sampling.temperature == 0 else 1
    plain, fixed = (texts(lm, which, turns, shares) for which in (False, True))
    assert len({len(move.ids) for move in plain}) > 1 or sampling.temperature == 0
    for ours, theirs in zip(fixed, plain, strict=True):
        assert (ours.ids, ours.text, ours.closed) == (theirs.ids, theirs.text, theirs.closed)
        assert torch.allclose(torch.tensor(ours.logp), torch.tensor(theirs.logp), atol=1e-5)


def test_sampled_log_probabilities_over_three_turns_are_teacher_forced_ones():
    lm = tiny_lm("qwen2", words_tokenizer(WORDS), sampling=SAMPLINGS["all tokens"])
    moves = texts(lm, True, turns=3)
    assert {move.closed for move in moves} == {True, False}
    for move in moves:
        assert torch.allclose(torch.tensor(move.logp), alone(lm, move), atol=1e-4)


def test_the_host_looks_at_the_device_once_in_many_steps(monkeypatch):
    lm = tiny_lm("qwen3", words_tokenizer(WORDS), sampling=SAMPLINGS["all tokens"])
    steps = []
    write = steady.Desk.write
    monkeypatch.setattr(steady.Desk, "write", lambda desk: (steps.append(1), write(desk))[1])
    longest = max(len(move.ids) for move in texts(lm, True, turns=1))
    assert len(steps) in (steady.LOOK, LIMIT)
    assert len(steps) >= longest


def test_what_cannot_be_captured_is_refused_by_name():
    with pytest.raises(ValueError, match="cuda_graphs needs a model of the Llama shape, got GPT2LMHeadModel"):
        tiny_lm("gpt2", words_tokenizer(WORDS), steady=True)
    setup = Setup(Sampling(), Context(), cuda_graphs=True)
    with pytest.raises(ValueError, match="cuda_graphs needs a GPU of CUDA, got device cpu"):
        open_all({"agent_0": "anywhere"}, setup)
