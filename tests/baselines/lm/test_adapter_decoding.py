"""Adapters decode beside the packed weights of their base: same logits, same log-probabilities, same base."""

import os

import pytest
import torch
from lm_fixtures import bytes_tokenizer, feed, reference, scores_of, tiny_model, words_tokenizer, write_talk

from baselines.formulas.losses import Objective
from baselines.lm import loading, products, threads
from baselines.lm.cache import Memory
from baselines.lm.engines import LlamaEngine, engine_for
from baselines.lm.learning import Lesson, Optimizer
from baselines.lm.opening import Setup, open_all
from baselines.lm.policy import Context
from baselines.lm.sampling import Sampling

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
AGENTS = ("agent_0", "agent_1")


def trained(wrapped):
    """The wrapped model, its adapters as different from each other and from nothing as after a training."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return wrapped


@pytest.fixture(params=["as they are", "packed"])
def layout(request, monkeypatch):
    if request.param == "packed":
        monkeypatch.setattr(threads, "SMALL", 0)


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_every_adapter_of_a_base_gives_the_logits_of_its_modules_over_turns(kind, layout):
    base = tiny_model(kind, words_tokenizer([f"w{k}" for k in range(20)])).eval()
    wrapped = trained(loading.add_adapters(base, AGENTS, 2, 8))
    engine = engine_for(base, "agent_0")
    assert isinstance(engine, LlamaEngine)
    turns = [[[5, 6, 7], [8]], [[9], [10, 11, 12, 13, 14, 15, 16, 17]], [[3], [4]]]
    for agent in AGENTS:
        wrapped.set_adapter(agent)
        engine.refresh(agent)
        memory, held = Memory.empty(2, engine.layers, base.device), [[], []]
        for chunks in turns:
            logits = feed(engine, memory, chunks, agent)
            held = [past + chunk for past, chunk in zip(held, chunks, strict=True)]
            for k in range(2):
                expected = reference(base, held[k])
                assert torch.allclose(logits[k], expected, atol=1e-4 * float(expected.abs().max()))


def test_a_packed_product_is_the_plain_one():
    x, maps = torch.randn(3, 5, 24), [torch.nn.Linear(24, 8), torch.nn.Linear(24, 16)]
    with torch.no_grad():
        expected = torch.cat([linear(x) for linear in maps], dim=-1)
        for packed in (False, True):
            product = products.joined(*maps, packed=packed)
            assert torch.allclose(products.multiply(x, product), expected, atol=1e-5)


def team(tmp_path):
    """Two agents on one base: a tiny Llama that speaks ChatML, or the real model of COLLM_TEST_MODEL."""
    folder = os.environ.get("COLLM_TEST_MODEL", "")
    if not folder:
        marks = ["<|im_start|>", "<|im_end|>"]
        tokenizer = bytes_tokenizer(CHAT, marks, eos_token="<|im_end|>", pad_token="<|im_end|>")
        folder = str(tmp_path)
        tiny_model("llama", tokenizer).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    sampling = Sampling(temperature=0.8, top_p=0.9, max_new_tokens=12)
    policies = open_all(dict.fromkeys(AGENTS, folder), Setup(sampling, Context(), lora_rank=2))
    trained(policies["agent_0"].model)
    return policies


@pytest.mark.parametrize("steady", [False, True], ids=["plain loop", "fixed shapes"])
def test_what_an_adapter_samples_over_three_turns_of_chat_is_what_its_modules_score(tmp_path, layout, steady):
    for lm in team(tmp_path).values():
        lm.steady = steady
        assert isinstance(lm.engine, LlamaEngine)
        turns = write_talk(lm, [["Hello there.", "Hi"], ["And now?", "Go on, please"], ["Why", "So"]])
        moves = [move for turn in turns for move in turn]
        for move, scored in zip(moves, scores_of(lm, moves), strict=True):
            assert torch.allclose(torch.tensor(move.logp), scored.detach(), atol=1e-4)


def test_a_step_of_one_adapter_shows_in_its_next_texts_and_leaves_base_and_sibling_bit_for_bit(
    tmp_path, layout
):
    policies = team(tmp_path)
    base = {k: v.clone() for k, v in policies["agent_0"].model.state_dict().items() if ".agent_0." not in k}
    lm = policies["agent_0"]
    lm.optimizer = Optimizer(lm.parameters(), lr=0.1, steps=1)
    moves = write_talk(lm, [["Hello there.", "Hi"]])[0]
    lesson = Lesson(moves, [1.0, -1.0], [0.5, 0.5])
    before = [scores.detach() for scores in scores_of(lm, moves)]
    lm.learn(lesson, Objective())
    after = write_talk(lm, [["Hello there.", "Hi"]])[0]
    for move, scored in zip(after, scores_of(lm, after), strict=True):
        assert torch.allclose(torch.tensor(move.logp), scored.detach(), atol=1e-4)
    assert not any(torch.equal(a, b) for a, b in zip(before, scores_of(lm, moves), strict=True))
    weights = lm.model.state_dict()
    assert all(torch.equal(weights[name], value) for name, value in base.items())
