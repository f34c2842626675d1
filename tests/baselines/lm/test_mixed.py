"""Texts of two adapters decoded in one batch are those of two batches."""

import os
from dataclasses import replace

import pytest
import torch
from lm_fixtures import save, scores_of, tiny_lm, tiny_model, words_tokenizer

from baselines import magrpo
from baselines.lm import loading, threads
from baselines.lm.cache import Memory
from baselines.lm.engines import LlamaEngine, engine_for
from baselines.lm.llama import Chunk
from baselines.lm.mixed import mix
from baselines.lm.shared import LEAST
from baselines.train.networks import open_networks
from baselines.train.settings import Settings
from collm_envs import make

WORDS = [f"w{k}" for k in range(12)]
AGENTS = ["agent_0", "agent_1"]
LONG = " ".join(WORDS[k * 7 % 12] for k in range(LEAST + 6))


@pytest.fixture(params=["as they are", "packed, prompts shared"])
def layout(request, monkeypatch):
    if request.param != "as they are":
        monkeypatch.setattr(threads, "SMALL", 0)


def config_of(tmp_path, **settings):
    folder = save(tmp_path, "qwen3", words_tokenizer(WORDS))
    return magrpo.Config(
        **{"model": folder, "lora_rank": 2, "max_new_tokens": 12, "device": "cpu", **settings}
    )


def apart(model):
    """The adapters of this model as different from each other and from nothing as after a training."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)


def policies_of(config):
    policies = open_networks(config, AGENTS).policies
    apart(policies["agent_0"].model)
    return policies


def test_every_chunk_of_a_pass_over_several_gets_the_logits_of_a_pass_alone(layout):
    base = tiny_model("qwen2", words_tokenizer(WORDS)).eval()
    apart(loading.add_adapters(base, AGENTS, 2, 8))
    engine = engine_for(base, "agent_0")
    for agent in AGENTS:
        engine.refresh(agent)
    logits = {}
    for together in (True, False):
        memories = [Memory.empty(rows, engine.layers, base.device) for rows in (3, 2, 1)]
        with torch.no_grad():
            for k, memory in enumerate(memories):  # histories of other lengths
                ids = torch.arange(5, 7 + k).repeat(len(memory.mask), 1)
                engine.forward(ids, torch.ones_like(ids, dtype=torch.bool), memory, "agent_0")
            chunks = [
                Chunk(ids := torch.tensor([[7]] * len(memory.mask)), ids > 0, memory, adapter)
                for memory, adapter in zip(memories, ("agent_0", "agent_1", None), strict=True)
            ]
            logits[together] = (
                engine.forward_all(chunks) if together else [engine.forward(*chunk) for chunk in chunks]
            )
    assert [len(rows) for rows in logits[True]] == [3, 2, 1]
    for ours, alone in zip(logits[True], logits[False], strict=True):
        assert torch.allclose(ours, alone, atol=1e-5 * float(alone.abs().max()))
    assert not torch.allclose(logits[True][0][0], logits[True][1][0], atol=0.01)


def talked(policies):
    """Moves of two agents: groups of three behind long prompts, alternatives, then some rows' second turn."""
    out, talks = [], []
    for k, lm in enumerate(policies.values()):
        talk = lm.converse(2, seed=4 + k)
        talk.read([LONG, f"{LONG} w1 w2"])
        aside = talk.pick([0, 1, 0], seed=9).write()
        talk = talk.pick([0, 0, 0, 1, 1, 1])
        talks.append(talk)
        out += [aside, talk.write()]
    moves = [move for written in out for move in written]
    later = [talk.pick([0, 2, 3, 5]) for talk in talks]
    for talk in later:
        talk.read(["w1 w3", "w5"] * 2)
    again = [talk.write() for talk in later]
    return moves + [move for written in again for move in written]


def test_two_adapters_in_one_batch_write_the_texts_of_two_batches(tmp_path, layout, monkeypatch):
    """With COLLM_TEST_MODEL on that model."""
    folder = os.environ.get("COLLM_TEST_MODEL", "")
    config, sizes = config_of(tmp_path, top_p=0.9, **({"model": folder} if folder else {})), []
    forward_all = LlamaEngine.forward_all
    monkeypatch.setattr(
        LlamaEngine,
        "forward_all",
        lambda engine, chunks: sizes.append(len(chunks)) or forward_all(engine, chunks),
    )
    alone = talked(policies_of(config))
    assert set(sizes) == {1}
    mixed = policies_of(replace(config, mixed_batches=True))
    together = talked(mixed)
    assert max(sizes) == 4  # two agents, the alternatives of both
    assert len(together) == len(alone) == 2 * (3 + 6 + 4)
    for ours, theirs in zip(together, alone, strict=True):
        assert (ours.ids, ours.text, ours.closed) == (theirs.ids, theirs.text, theirs.closed)
        assert torch.allclose(torch.tensor(ours.logp), torch.tensor(theirs.logp), atol=1e-4)
    assert len({tuple(move.ids) for move in together}) > 10
    own = [move for k, move in enumerate(together) if k < 9 or 18 <= k < 22]
    for move, scored in zip(own, scores_of(mixed["agent_0"], own), strict=True):
        assert torch.allclose(torch.tensor(move.logp), scored.detach(), atol=1e-4)


def test_texts_wait_until_somebody_looks_and_texts_of_one_generator_are_drawn_one_after_the_other(tmp_path):
    config = config_of(tmp_path)
    ids = []
    for mixed in (False, True):
        policies = policies_of(replace(config, mixed_batches=mixed))
        first, second = (policies[agent].converse(3, seed=1) for agent in AGENTS)
        for talk in (first, second):
            talk.read(["w1", "w2 w3", "w4"])
        branch = first.pick([0, 1])  # draws from the generator of `first`
        texts = [first.write(), branch.write(), second.write()]
        if mixed:
            assert len(policies["agent_1"].mixed.waiting) == 2  # `first` was written for `branch`
            branch.pick([0])
            assert policies["agent_1"].mixed.waiting == {}
        ids.append([move.ids for written in texts for move in written])
    assert ids[0] == ids[1]


def test_texts_whose_decoding_was_broken_off_are_not_taken_for_none(tmp_path, monkeypatch):
    policies = policies_of(config_of(tmp_path, mixed_batches=True))
    talk = policies["agent_0"].converse(2, seed=1)
    talk.read(["w1", "w2"])
    texts = talk.write()
    with monkeypatch.context() as patched:
        patched.setattr(LlamaEngine, "forward_all", lambda engine, chunks: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            len(texts)
    with pytest.raises(RuntimeError, match="agent_0: the decoding of these texts was broken off"):
        len(texts)


def test_a_step_of_training_with_mixed_batches_is_the_step_without(tmp_path):
    task, logs = make("StrBuild-v0", max_turns=2).task, []
    for mixed in (False, True):
        config = config_of(tmp_path, steps=1, episodes=4, group=2, kl=0.1, mixed_batches=mixed)
        team = magrpo.team(config, task)
        apart(team.policies["agent_0"].model)
        logs += magrpo.train(config, task, team)
    assert logs[0]["grad_norm"] > 0
    assert logs[1] == pytest.approx(logs[0], rel=1e-3, abs=1e-5)


def test_what_cannot_be_mixed_is_refused_by_name():
    with pytest.raises(
        ValueError, match="mixed_batches needs a model of the Llama shape, got GPT2LMHeadModel"
    ):
        mix([tiny_lm("gpt2", words_tokenizer(WORDS))])
    with pytest.raises(ValueError, match="no two of llama, llama share one"):
        mix([tiny_lm("llama", words_tokenizer(WORDS)) for _ in range(2)])
    for message, settings in {
        "written here": {"lora_rank": 2, "placement": "ray"},
        "written here, in": {"lora_rank": 2, "sampler": ("vllm:http://localhost:1",)},
        "set lora_rank": {},
        "not shared": {"lora_rank": 2, "shared": True},
        "exclude each other": {"lora_rank": 2, "cuda_graphs": True},
    }.items():
        with pytest.raises(ValueError, match=message):
            Settings(mixed_batches=True, **settings)
