"""Both engines give transformers' logits, whatever holes, branches and windows there are."""

import pytest
import torch
from lm_fixtures import CONFIGS, feed, reference, tiny_lm, tiny_model, words_tokenizer, write_talk

from baselines.lm.cache import Memory
from baselines.lm.engines import LlamaEngine, ModuleEngine, engine_for

TOKENIZER = words_tokenizer([f"w{k}" for k in range(20)])
PLAIN = ("llama", "qwen2", "qwen3")
CPU = torch.device("cpu")


def engines(kind, seed=0):
    model = tiny_model(kind, TOKENIZER, seed)
    both = [ModuleEngine(model), *([LlamaEngine(model)] if kind in PLAIN else [])]
    for engine in both:
        engine.refresh()
    return model, both


@pytest.mark.parametrize("kind", CONFIGS)
def test_logits_of_ragged_rows_fed_in_chunks_equal_each_row_alone(kind):
    model, some = engines(kind)
    turns = [[[5, 6, 7], [8]], [[9], [10, 11, 12, 13, 14, 15, 16, 17]], [[6] * 9, [5, 9]], [[3], [4]]]
    for engine in some:
        memory = Memory.empty(2, engine.layers, CPU)
        held = [[], []]
        for chunks in turns:
            logits = feed(engine, memory, chunks)
            held = [past + chunk for past, chunk in zip(held, chunks, strict=True)]
            for k in range(2):
                assert torch.allclose(logits[k], reference(model, held[k]), atol=2e-5), (engine, k)


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "gemma3"])
def test_the_windows_of_these_models_are_shorter_than_the_texts_above(kind):
    model = tiny_model(kind, TOKENIZER)
    far, near = reference(model, [5, *[6] * 30]), reference(model, [9, *[6] * 30])
    wide = tiny_model("llama", TOKENIZER)
    assert not torch.allclose(reference(wide, [5, *[6] * 30]), reference(wide, [9, *[6] * 30]), atol=1e-6)
    if kind == "mistral":  # two layers of 6 reach back 10 tokens, not 30; gemma has full layers besides
        assert torch.equal(far, near)


@pytest.mark.parametrize("kind", ["llama", "mistral", "gemma3", "gpt2"])
def test_rows_can_be_picked_repeated_and_dropped(kind):
    model, some = engines(kind)
    for engine in some:
        memory = Memory.empty(3, engine.layers, CPU)
        held = [[5, 6], [7, 8, 9, 10], [11]]
        feed(engine, memory, held)
        memory = memory.pick(torch.tensor([2, 0, 0]))
        chunks = [[12, 13], [14], [15, 16, 17]]
        logits = feed(engine, memory, chunks)
        for k, past in enumerate([held[2], held[0], held[0]]):
            assert torch.allclose(logits[k], reference(model, past + chunks[k]), atol=2e-5)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_what_a_copy_of_some_rows_gained_can_be_put_back(kind):
    model, some = engines(kind)
    for engine in some:
        memory = Memory.empty(3, engine.layers, CPU)
        held = [[5, 6], [7, 8, 9, 10], [11]]
        feed(engine, memory, held)
        rows = torch.tensor([0, 2])
        copy, start = memory.pick(rows), memory.mask.shape[1]
        for _ in range(70):  # beyond the first slab's capacity
            feed(engine, copy, [[12], [13]])
        memory.put(rows, copy, start)
        logits = feed(engine, memory, [[14], [15], [16]])
        wanted = [held[0] + [12] * 70 + [14], [*held[1], 15], held[2] + [13] * 70 + [16]]
        for k in range(3):
            assert torch.allclose(logits[k], reference(model, wanted[k]), atol=2e-5)


@pytest.mark.parametrize("kind", PLAIN)
def test_joined_weights_follow_an_update(kind):
    model = tiny_model(kind, TOKENIZER)
    engine = engine_for(model)
    assert isinstance(engine, LlamaEngine)
    engine.refresh()
    adam = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = feed(engine, Memory.empty(1, engine.layers, CPU), [[5, 6]])
    model(input_ids=torch.tensor([[5, 6]])).logits.square().sum().backward()
    adam.step()
    engine.refresh()
    after = feed(engine, Memory.empty(1, engine.layers, CPU), [[5, 6]])
    assert not torch.allclose(before, after)
    assert torch.allclose(after[0], reference(model, [5, 6]), atol=2e-5)


def test_models_with_windows_adapters_or_other_shapes_run_through_their_own_modules():
    for kind in CONFIGS:
        own = isinstance(engine_for(tiny_model(kind, TOKENIZER)), LlamaEngine)
        assert own == (kind in PLAIN)


def test_attention_that_takes_no_mask_of_ours_is_refused():
    model = tiny_model("gpt2", TOKENIZER)
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="attn_implementation must be sdpa or eager"):
        ModuleEngine(model)


def test_layers_without_key_value_memory_are_refused():
    model = tiny_model("llama", TOKENIZER)
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ValueError, match="keep no key-value memory"):
        ModuleEngine(model)


def test_under_autocast_weights_are_copied_once_in_that_precision_and_texts_stay_the_same():
    """float32 masters would be cast anew for every token; a copy in bfloat16 has the same bits."""
    lms = [tiny_lm("qwen2", TOKENIZER, autocast=torch.bfloat16) for _ in range(2)]
    lms[1].engine.dtype = None
    texts = [write_talk(lm, [["w1 w2 w3", "w4"]])[0] for lm in lms]
    kinds = [{product.weight.dtype for layer in lm.engine.products for product in layer[:4]} for lm in lms]
    assert kinds == [{torch.bfloat16}, {torch.float32}]
    assert [(m.ids, m.logp) for m in texts[0]] == [(m.ids, m.logp) for m in texts[1]]
