"""Texts of two adapters decoded in one batch are those of two batches."""

import os
from dataclasses import replace

import pytest
import torch
from lm_fixtures import save, scores_of, tiny_lm, tiny_model, words_tokenizer

from baselines import cory, maac, magrpo, reinforce, ridge
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


@pytest.fixture
def sizes(monkeypatch):
    """How many batches were in each forward pass, in their order."""
    recorded, forward_all = [], LlamaEngine.forward_all

    def recording(engine, chunks):
        recorded.append(len(chunks))
        return forward_all(engine, chunks)

    monkeypatch.setattr(LlamaEngine, "forward_all", recording)
    return recorded


def assert_same_but_for_rounding(ours, theirs):
    """Log-probabilities up to the first other token: where it falls on an edge, rounding may turn it."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        pairs = enumerate(zip(a.ids, b.ids, strict=False))
        common = next((k for k, (x, y) in pairs if x != y), min(len(a.ids), len(b.ids)))
        assert torch.allclose(torch.tensor(a.logp[:common]), torch.tensor(b.logp[:common]), atol=1e-4)
        assert a.ids != b.ids or (a.text, a.closed) == (b.text, b.closed)
    assert sum(a.ids == b.ids for a, b in zip(ours, theirs, strict=True)) >= len(ours) / 2


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


def test_two_adapters_in_one_batch_write_the_texts_of_two_batches(tmp_path, layout, sizes):
    """With COLLM_TEST_MODEL on that model."""
    folder = os.environ.get("COLLM_TEST_MODEL", "")
    config = config_of(tmp_path, top_p=0.9, **({"model": folder} if folder else {}))
    alone = talked(policies_of(config))
    assert set(sizes) == {1}
    mixed = policies_of(replace(config, mixed_batches=True))
    together = talked(mixed)
    assert max(sizes) == 4  # two agents, the alternatives of both
    assert len(together) == 2 * (3 + 6 + 4)
    assert_same_but_for_rounding(together, alone)
    assert len({tuple(move.ids) for move in together}) > 10
    own = [move for k, move in enumerate(together) if k < 9 or 18 <= k < 22]
    for move, scored in zip(own, scores_of(mixed["agent_0"], own), strict=True):
        assert torch.allclose(torch.tensor(move.logp), scored.detach(), atol=1e-4)


def test_texts_wait_until_somebody_looks_and_texts_of_one_generator_are_drawn_one_after_the_other(tmp_path):
    config = config_of(tmp_path)
    moves = []
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
            assert len(policies["agent_1"].mixed.waiting) == 0
        moves.append([move for written in texts for move in written])
    assert_same_but_for_rounding(*moves)


def test_texts_are_written_by_the_weights_they_were_asked_of(tmp_path):
    """Asked for, the adapter moves, another conversation begins: then somebody looks."""
    config = config_of(tmp_path)
    moves = []
    for mixed in (False, True):
        policies = policies_of(replace(config, mixed_batches=mixed))
        writer, other = (policies[agent] for agent in AGENTS)
        talk = writer.converse(3, seed=1)
        talk.read(["w1", "w2 w3", "w4"])
        texts, before = talk.write(), writer.state_dict()
        other.converse(1, seed=2)  # nothing of its weights has changed: the texts wait on
        assert not mixed or len(writer.mixed.waiting) == 1
        with torch.no_grad():
            for parameter in writer.parameters():
                parameter.mul_(-2)
        writer.converse(1, seed=3)
        moves.append([*texts])
        writer.load_state_dict(before)
        for move, scored in zip(texts, scores_of(writer, moves[-1]), strict=True):
            assert torch.allclose(torch.tensor(move.logp), scored.detach(), atol=1e-4)
    assert_same_but_for_rounding(*moves)


def test_texts_that_nobody_can_look_at_any_more_are_dropped(tmp_path):
    policies = policies_of(config_of(tmp_path, mixed_batches=True))
    waiting = policies["agent_0"].mixed.waiting
    talks = [policies[agent].converse(2, seed=1) for agent in AGENTS]
    for talk in talks:
        talk.read(["w1", "w2"])
        talk.write()
    assert len(waiting) == 2  # the histories will end in them
    del talk, talks[0]
    assert len(waiting) == 1
    talks[0].read(["w3", "w4"])
    assert len(waiting) == 0


LOOKS = {"length": len, "values": list, "position": lambda texts: texts.index(None)}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("error", [ZeroDivisionError, IndexError])
def test_texts_whose_decoding_was_broken_off_are_not_taken_for_none(tmp_path, monkeypatch, error, look):
    def failing(engine, chunks):
        raise error("in the forward pass")

    policies = policies_of(config_of(tmp_path, mixed_batches=True))
    talk = policies["agent_0"].converse(4, seed=1)
    talk.read(["w1", "w2"] * 2)
    texts = talk.write()
    with monkeypatch.context() as patched:
        patched.setattr(LlamaEngine, "forward_all", failing)
        with pytest.raises(error, match="in the forward pass"):
            look(texts)
    for again in (lambda: look(texts), talk.write, lambda: talk.read(["w1"] * 4)):
        with pytest.raises(RuntimeError, match="agent_0: the decoding of these texts was broken off"):
            again()


def test_histories_whose_texts_were_broken_off_say_so_without_mixed_batches_too(monkeypatch):
    talk = tiny_lm("llama", words_tokenizer(WORDS)).converse(4, seed=1)
    talk.read(["w1"] * 4)
    with monkeypatch.context() as patched:
        patched.setattr(LlamaEngine, "forward_all", lambda engine, chunks: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            talk.write()
    with pytest.raises(RuntimeError, match="llama: the decoding of these texts was broken off"):
        talk.write()


@pytest.mark.parametrize(("credit", "most"), [("shared", 2), ("counterfactual", 4)])
def test_a_step_of_training_with_mixed_batches_is_the_step_without(tmp_path, sizes, credit, most):
    task, logs = make("StrBuild-v0", max_turns=2).task, []
    config = config_of(tmp_path, steps=1, episodes=4, group=2, kl=0.1, credit=credit, credit_samples=1)
    for mixed in (False, True):
        sizes.clear()
        team = magrpo.team(replace(config, mixed_batches=mixed), task)
        apart(team.policies["agent_0"].model)
        logs += magrpo.train(config, task, team)
        assert max(sizes) == (most if mixed else 1)
    assert logs[0]["grad_norm"] > 0
    assert logs[1] == pytest.approx(logs[0], rel=1e-3, abs=1e-5)


def pair_on_one_base(kind):
    first = tiny_lm(kind, words_tokenizer(WORDS))
    return [first, tiny_lm(kind, words_tokenizer(WORDS), engine=first.engine)]


def test_policies_on_one_base_get_one_desk_and_one_with_a_base_of_its_own_none():
    pair, single = pair_on_one_base("llama"), tiny_lm("gpt2", words_tokenizer(WORDS))
    mix([*pair, single])
    assert pair[0].mixed is pair[1].mixed is not None
    assert single.mixed is None


def test_what_cannot_be_mixed_is_refused_by_name_and_changes_no_policy():
    sound, other, dynamic = (pair_on_one_base(kind) for kind in ("llama", "gpt2", "llama"))
    with pytest.raises(
        ValueError, match="mixed_batches needs a model of the Llama shape, got GPT2LMHeadModel"
    ):
        mix([*sound, *other])
    dynamic[0].causal.config.rope_parameters["rope_type"] = "dynamic"
    with pytest.raises(ValueError, match=r"mixed_batches needs fixed rotary .* got rope_type 'dynamic'"):
        mix([*sound, *dynamic])
    with pytest.raises(ValueError, match="no two of llama, llama share one"):
        mix([tiny_lm("llama", words_tokenizer(WORDS)) for _ in range(2)])
    assert [lm.mixed for lm in (*sound, *other, *dynamic)] == [None] * 6


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        ("written here", {"lora_rank": 2, "placement": "ray"}),
        ("written here, in", {"lora_rank": 2, "sampler": ("vllm:http://localhost:1",)}),
        ("set lora_rank", {}),
        ("not shared", {"lora_rank": 2, "shared": True}),
        ("exclude each other", {"lora_rank": 2, "cuda_graphs": True}),
        (r"the same in models=\['a', 'b'\]", {"lora_rank": 2, "models": ("a", "b")}),
    ],
)
def test_settings_refuse_mixed_batches_where_nothing_can_be_mixed(message, settings):
    with pytest.raises(ValueError, match=message):
        Settings(mixed_batches=True, **settings)


@pytest.mark.parametrize("algorithm", [magrpo, maac, reinforce, ridge])
def test_agents_that_write_in_turn_are_refused_before_a_model_is_looked_for(algorithm):
    config = algorithm.Config(model="/no/such/folder", lora_rank=2, mixed_batches=True)
    with pytest.raises(ValueError, match=r"\(order='sequential'\) agents write one after the other"):
        algorithm.team(config, make("StrBuild-v0", order="sequential").task)
    with pytest.raises(ValueError, match="texts of several agents, and StrBuild-v0 has one here"):
        algorithm.team(config, make("StrBuild-v0", num_agents=1).task)


def test_cory_whose_models_write_in_turn_refuses_mixed_batches():
    with pytest.raises(ValueError, match="CORY's models write one after the other: mixed_batches"):
        cory.Config(lora_rank=2, mixed_batches=True)
