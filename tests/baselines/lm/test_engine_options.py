"""Every option an architecture has: our logits are transformers' own, or the model is refused by name."""

import os

import pytest
import torch
from lm_fixtures import feed, reference, tiny_lm, words_tokenizer, write_talk
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BloomConfig,
    Cohere2Config,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Olmo2Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
    StableLmConfig,
)

from baselines.lm import loading, products
from baselines.lm.cache import Memory
from baselines.lm.engines import LlamaEngine, ModuleEngine, engine_for
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.served import llama_shaped, reach

SHAPE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": 1,
}
WINDOWS = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10_000.0, **more}}


YARN = rope("yarn", factor=4.0, original_max_position_embeddings=32)
LLAMA3 = rope(
    "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32
)
LONG = rope(
    "longrope", short_factor=[1.5] * 4, long_factor=[4.0] * 4, original_max_position_embeddings=64, factor=2.0
)
OWN = {
    "llama, biases everywhere": (LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama, heads wider than hidden / heads": (LlamaConfig, {"head_dim": 16}),
    "llama, gelu, tied": (LlamaConfig, {"hidden_act": "gelu_pytorch_tanh", "tie_word_embeddings": True}),
    "llama, as many key heads": (LlamaConfig, {"num_key_value_heads": 4, "rms_norm_eps": 0.1}),
    "llama, linear": (LlamaConfig, rope("linear", factor=4.0)),
    "llama, dynamic": (LlamaConfig, rope("dynamic", factor=4.0)),
    "llama, yarn": (LlamaConfig, YARN),
    "llama, llama3": (LlamaConfig, LLAMA3),
    "llama, longrope": (LlamaConfig, LONG),
    "qwen2": (Qwen2Config, {"tie_word_embeddings": True}),
    "qwen2, yarn": (Qwen2Config, YARN),
    "qwen3": (Qwen3Config, {"head_dim": 16, "attention_bias": True}),
}
"""read by our own forward pass"""
MODULES = {
    "qwen2, windows": (Qwen2Config, {**WINDOWS, "use_sliding_window": True}),
    "qwen3, windows": (Qwen3Config, {**WINDOWS, "use_sliding_window": True, "head_dim": 8}),
    "mistral, a window": (MistralConfig, {"sliding_window": 6}),
    "mistral, no window": (MistralConfig, {"sliding_window": None}),
    "gemma2": (Gemma2Config, {**WINDOWS, "query_pre_attn_scalar": 7, "head_dim": 16}),
    "gemma3": (Gemma3TextConfig, {**WINDOWS, "query_pre_attn_scalar": 7, "head_dim": 16}),
    "phi3": (Phi3Config, {"partial_rotary_factor": 0.5, "sliding_window": 6}),
    "phi3, longrope": (Phi3Config, {**LONG, "original_max_position_embeddings": 64}),
    "smollm3": (SmolLM3Config, {"no_rope_layers": [1, 0]}),
    "granite": (
        GraniteConfig,
        {"attention_multiplier": 0.3, "embedding_multiplier": 3.0, "residual_multiplier": 0.4}
        | {"logits_scaling": 0.5, "mlp_bias": True},
    ),
    "olmo2": (Olmo2Config, {}),
    "stablelm": (StableLmConfig, {"partial_rotary_factor": 0.5, "use_parallel_residual": True}),
    "cohere2": (Cohere2Config, {**WINDOWS, "logit_scale": 2.0}),
    "gpt2": (GPT2Config, {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128}),
    "gpt2, untied": (
        GPT2Config,
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "tie_word_embeddings": False},
    ),
    "gpt_neox": (GPTNeoXConfig, {"rotary_pct": 0.25, "use_parallel_residual": False}),
}
"""read through their own modules"""
REFUSED = {
    "bert": (BertConfig, {}),
    "bloom": (BloomConfig, {"n_layer": 2, "n_head": 4}),
    "gpt_neo, local layers": (
        GPTNeoConfig,
        {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 6},
    ),
    "falcon, alibi": (FalconConfig, {"alibi": True, "new_decoder_architecture": False}),
    "mamba": (MambaConfig, {"state_size": 4}),
}


def model_of(kind, seed=0):
    """Random weights, spread so far that every part of the model shows in its logits."""
    cls, options = {**OWN, **MODULES, **REFUSED}[kind]
    shape = {key: value for key, value in SHAPE.items() if "n_embd" not in options or "_token" in key}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(cls(**({**shape, "vocab_size": 64} | options))).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_()
                elif parameter.dim() > 1:
                    parameter.mul_(5)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


TURNS = [[[5, 6, 7], [8]], [[9], [10, 11, 12, 13, 14, 15, 16, 17]], [[6] * 9, [5, 9]], [[3], [4]]]


@pytest.mark.parametrize("kind", [*OWN, *MODULES])
def test_logits_over_turns_of_padded_rows_are_transformers_own(kind):
    model = model_of(kind)
    engine = engine_for(model)
    assert isinstance(engine, LlamaEngine if kind in OWN else ModuleEngine)
    engine.refresh()
    memory = Memory.empty(2, engine.layers, torch.device("cpu"))
    held = [[], []]
    for chunks in TURNS:
        logits = feed(engine, memory, chunks)
        held = [past + chunk for past, chunk in zip(held, chunks, strict=True)]
        for k in range(2):
            wanted = reference(model, held[k])
            assert float((logits[k] - wanted).abs().max()) < 1e-4 * max(1.0, float(wanted.abs().max()))


@pytest.mark.parametrize("kind", OWN)
def test_every_option_of_our_own_forward_pass_shows_in_the_logits(kind):
    model = model_of(kind)
    before = reference(model, [5, 6, 7, 8, 9])
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            with torch.no_grad():
                parameter.add_(torch.linspace(-1, 1, parameter.numel()))
            after = reference(model, [5, 6, 7, 8, 9])
            if "k_proj" not in name or model.config.num_hidden_layers:  # a bias of keys alone turns no weight
                assert not torch.equal(before, after), name
            before = after


@pytest.mark.parametrize("kind", REFUSED)
def test_other_architectures_are_refused_by_name(kind):
    model = model_of(kind)
    with pytest.raises(ValueError, match=f"{type(model).__name__}: cannot be served; "):
        engine_for(model)


def test_a_forward_pass_that_differs_is_not_chosen(monkeypatch):
    model = model_of("llama, biases everywhere")
    joined = products.joined
    without_bias = lambda *maps, **more: joined(*maps, **more)._replace(bias=None)  # noqa: E731
    monkeypatch.setattr(products, "joined", without_bias)
    assert isinstance(engine_for(model), ModuleEngine)


def test_a_class_that_only_shares_its_name_with_a_known_one_is_not_read_as_it():
    model = model_of("llama, linear")
    other = type("LlamaForCausalLM", (type(model),), {})
    model.__class__ = other
    assert not llama_shaped(model)


@pytest.mark.parametrize("kind", ["llama, biases everywhere", "qwen3", "gemma3", "gpt_neox", "granite"])
def test_the_texts_of_two_adapters_are_those_of_the_models_own_modules(kind):
    model = model_of(kind)
    wrapped = loading.add_adapters(model, ["agent_0", "agent_1"], 2, 8)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    words = words_tokenizer([f"w{k}" for k in range(60)])
    outputs = []
    for name in ("agent_0", "agent_1"):
        lm = LM(name, wrapped, words, Sampling(temperature=0, max_new_tokens=6), Context(), adapter=name)
        assert isinstance(lm.engine, LlamaEngine if kind in OWN else ModuleEngine)
        (first, second), _ = write_talk(lm, [["w1 w2 w3", "w4"], ["w5", "w6 w7 w8"]])
        for move in (first, second):
            ids = [i for segment in move.chain() for i in segment.ids]
            with lm.active():
                n = len(move.ids)
                logits = wrapped(input_ids=torch.tensor([ids])).logits[0, -n - 1 : -1]
            assert logits.argmax(-1).tolist() == move.ids
            outputs.append(logits.detach())
    assert not torch.allclose(outputs[0][0], outputs[2][0], atol=1e-3)


# how much a model can read


@pytest.mark.parametrize(
    ("kind", "tokens", "setting"),
    [
        ("llama, linear", 128, "max_position_embeddings"),
        ("llama, longrope", 64, "original_max_position_embeddings"),
        ("phi3, longrope", 64, "original_max_position_embeddings"),
        ("gpt2", 128, "n_positions"),
        ("gemma3", 128, "max_position_embeddings"),
    ],
)
def test_a_history_longer_than_the_model_reads_is_refused_before_anything_is_sampled(kind, tokens, setting):
    model = model_of(kind)
    assert reach(model.config) == (tokens, setting)
    words = words_tokenizer([f"w{k}" for k in range(60)])
    lm = LM("agent_0", model, words, Sampling(max_new_tokens=4), Context())
    talk = lm.converse(1, 0)
    talk.read(["w1 " * (tokens - 4)])
    assert len(talk.write()[0].ids) <= 4
    talk = lm.converse(1, 0)
    with pytest.raises(
        ValueError, match=f"tokens and max_new_tokens=4 exceed {setting}={tokens}; write less"
    ):
        talk.read(["w1 " * (tokens - 3)])
    dropping = LM("agent_0", model, words, Sampling(max_new_tokens=4), Context(overflow="drop"))
    talk = dropping.converse(1, 0)
    for _ in range(3):
        talk.read(["w1 " * (tokens // 2 - 6)])
        move = talk.write()[0]
        assert sum(len(segment.ids) for segment in move.chain()) <= tokens
    with pytest.raises(ValueError, match=f"max_new_tokens={tokens} leaves no room to read.*{setting}"):
        LM("agent_0", model, words, Sampling(max_new_tokens=tokens), Context())


def test_max_context_holds_where_it_is_less():
    words = words_tokenizer([f"w{k}" for k in range(60)])
    lm = LM("agent_0", model_of("gpt2"), words, Sampling(max_new_tokens=4), Context(max_context=20))
    with pytest.raises(ValueError, match="exceed max_context=20; raise it"):
        lm.converse(1, 0).read(["w1 " * 17])


def test_a_real_model_reads_as_transformers_reads_it():
    folder = os.environ.get("COLLM_TEST_MODEL", "")
    if not folder:
        pytest.skip("COLLM_TEST_MODEL does not name the folder of a model")
    model, tokenizer = loading.load_model(folder, "cpu")
    engine = engine_for(model)
    engine.refresh()
    memory = Memory.empty(2, engine.layers, torch.device("cpu"))
    held = [[], []]
    for texts in (
        ["Write a haiku.", "Hi"],
        ["Another one, please, about two agents.", "Go on"],
        ["Why", "So"],
    ):
        chunks = [tokenizer(text)["input_ids"] for text in texts]
        logits = feed(engine, memory, chunks)
        held = [past + chunk for past, chunk in zip(held, chunks, strict=True)]
        for k in range(2):
            wanted = reference(model, held[k])
            assert float((logits[k] - wanted).abs().max()) < 1e-4 * max(1.0, float(wanted.abs().max()))


def test_the_fixture_models_are_read_by_the_engines_they_were_made_for():
    words = words_tokenizer([f"w{k}" for k in range(20)])
    assert isinstance(tiny_lm("llama", words).engine, LlamaEngine)
    assert isinstance(tiny_lm("mistral", words).engine, ModuleEngine)
