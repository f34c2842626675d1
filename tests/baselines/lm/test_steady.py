"""Texts written with fixed shapes, as a GPU replays them, are those of the plain loop."""

from dataclasses import replace

import pytest
import torch
from lm_fixtures import alone, save, tiny_lm, words_tokenizer
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from baselines import magrpo
from baselines.lm import conversations, steady
from baselines.lm.sampling import Sampling
from baselines.lm.shared import LEAST
from baselines.runs.planning import footprint_of
from baselines.train.networks import open_networks
from baselines.train.settings import Settings

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


@pytest.mark.parametrize("shares", [True, False], ids=["shared prompts", "copies"])
@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_a_step_asks_the_device_for_no_number_and_leaves_every_tensor_where_it_is(sampling, shares):
    lm = tiny_lm("qwen3", words_tokenizer(WORDS), sampling=sampling)
    lm.engine.shares = shares
    talk = lm.converse(2, seed=4)
    talk.read([LONG, LONG])
    talk = talk.pick([0, 0, 1, 1])
    with torch.no_grad():
        desk = steady.Desk(lm, talk.logits, talk.memory, talk.dice)
        before = places(desk)
        desk.write()
        assert places(desk) == before
        with FakeTensorMode(allow_non_fake_inputs=True):  # raises where a number is asked for
            desk.write()
            with pytest.raises(DataDependentOutputException):
                bool(desk.done.all())


def places(desk):
    """Where the tensors are that a replay reads and writes."""
    own = [value for part in (desk, desk.memory) for value in vars(part).values()]
    own += [tensor for slab in desk.memory.layers for tensor in (slab.keys, slab.values, slab.at)]
    return [tensor.data_ptr() for tensor in own if isinstance(tensor, torch.Tensor)]


def test_in_half_precision_the_memory_keeps_the_precisions_of_the_plain_loop():
    lm = tiny_lm("qwen3", words_tokenizer(WORDS), sampling=SAMPLINGS["greedy"], autocast=torch.bfloat16)
    kept = []
    for lm.steady in (False, True):
        talk = lm.converse(2, seed=4)
        for message in ("w1 w2", "w3"):
            talk.read([message] * 2)
            talk.write()
        kept.append([(slab.keys.dtype, slab.values.dtype) for slab in talk.memory.layers])
    assert kept[0] == kept[1]


def test_what_cannot_be_captured_is_refused_by_name():
    lm = tiny_lm("gpt2", words_tokenizer(WORDS))
    with pytest.raises(ValueError, match="cuda_graphs needs a model of the Llama shape, got GPT2LMHeadModel"):
        steady.check(lm)
    lm = tiny_lm("llama", words_tokenizer(WORDS))
    with pytest.raises(ValueError, match="cuda_graphs needs a GPU of CUDA, got device cpu"):
        steady.check(lm)
    lm.causal.config.rope_parameters["rope_type"] = "dynamic"
    with pytest.raises(ValueError, match="needs fixed rotary frequencies, got rope_type 'dynamic'"):
        steady.check(lm)


def test_settings_refuse_cuda_graphs_where_a_server_writes():
    with pytest.raises(ValueError, match="cuda_graphs is for texts that are written here"):
        Settings(cuda_graphs=True, lora_rank=1, sampler=("vllm:http://localhost:1",))
    with pytest.raises(ValueError, match="cuda_graphs is for texts that are written here"):
        Settings(cuda_graphs=True, lora_rank=1, placement="tinker")


def test_a_run_with_cuda_graphs_is_refused_on_a_cpu_and_planned_anywhere(tmp_path):
    config = magrpo.Config(model=save(tmp_path, "llama", words_tokenizer(WORDS)), cuda_graphs=True)
    with pytest.raises(ValueError, match="cuda_graphs needs a GPU of CUDA, got device cpu"):
        open_networks(replace(config, device="cpu"), ["agent_0"])
    assert footprint_of("magrpo", config, "cuda").peak > 0
