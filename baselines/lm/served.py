"""Which models are supported, and the longest history that each can read, found in its configuration."""

from __future__ import annotations

from typing import Any, NamedTuple

from transformers import LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM

from baselines.lm.products import adapts, projections

POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "max_sequence_length",
    "max_seq_len",
    "seq_length",
    "n_ctx",
)
"""configuration keys that hold the number of positions a model was trained for"""
UNLIMITED = 2**62
LLAMA_SHAPED = (LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
"""classes that `LlamaEngine` computes, given what `llama_shaped` asks for"""
ROPES = ("default", "linear", "dynamic", "yarn", "llama3", "longrope")
ARCHITECTURES = frozenset(
    """
    afmoe apertus arcee aria_text beam biogpt bitnet codegen cohere cohere2 cohere2_moe cwm
    deepseek_v2 deepseek_v3 diffllama doge ernie4_5 ernie4_5_moe exaone4 exaone_moe falcon flex_olmo
    flint gemma gemma2 gemma3_text gemma4_unified_text glm glm4 glm4_moe glm4_moe_lite gpt-sw3 gpt2
    gpt_bigcode gpt_neox gpt_neox_japanese gpt_oss gptj granite granite_swa granitemoe
    granitemoe_swa granitemoeshared helium hrm_text hunyuan_v1_dense hunyuan_v1_moe hy_v3
    hyperclovax internlm3 iquestcoder jais2 jetmoe kolibri1 laguna lfm2 llama mellum mimo_v2_flash
    minicpm3 minimax_m2 minimax_m3_vl_text ministral ministral3 mistral mixtral nanochat nemotron
    olmo olmo2 olmo3 olmoe opt persimmon phi phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_moe seed_oss
    smollm3 solar_open stablelm starcoder2 vaultgemma xglm
    """.split()  # noqa: SIM905
)
"""model types whose logits over turns of a left-padded batch were compared with those of the whole text

A tiny random model of each, sliding windows of 6 tokens where it has any, texts of up to 21.  Others may lay
masks of their own on columns that hold nothing (GPT-Neo's local layers), count positions by columns (alibi),
keep a state instead of keys and values (Mamba), or look ahead (BERT).
"""


class Reach(NamedTuple):
    """How many tokens of a history a model can read, and the setting that says so."""

    tokens: int
    setting: str


def reach(config: Any) -> Reach:
    """The longest history of a model: what its positions were learned or trained for.

    Rotary frequencies of the kind longrope change once a text exceeds the original length, those of tokens
    already read do not; texts are sampled as they are scored up to that length only.
    """
    values = config.get_text_config().to_dict()
    limits = [Reach(values[name], name) for name in POSITIONS if isinstance(values.get(name), int)]
    rope = values.get("rope_parameters") or {}
    for parameters in [rope, *(part for part in rope.values() if isinstance(part, dict))]:
        if parameters.get("rope_type") == "longrope":
            original = parameters.get("original_max_position_embeddings")
            limits.append(Reach(original, "original_max_position_embeddings"))
    return min(limits, key=lambda limit: limit.tokens, default=Reach(UNLIMITED, "no limit"))


def attention_kinds(name: str, config: Any) -> tuple[set[str], int | None]:
    """The kinds of attention in a model's layers, full or sliding, and the window of the sliding ones.

    Raises ValueError naming the model where it is not one of `ARCHITECTURES`, or has layers of another kind.
    """
    values = config.get_text_config().to_dict()
    kind = values["model_type"]
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"{name}: cannot be served; {kind!r} is none of the {len(ARCHITECTURES)} model types that are "
            "(llama, qwen3, gemma3_text, mistral, phi3, gpt2, ...)"
        )
    window = values.get("sliding_window")
    default = "full_attention" if window is None else "sliding_attention"
    kinds = set(values.get("layer_types") or [default])
    if not kinds <= {"full_attention", "sliding_attention"}:
        raise ValueError(
            f"{name}: layers of the kinds {sorted(kinds)} keep no key-value memory; "
            "models whose layers all attend are supported"
        )
    return kinds, window


def llama_shaped(model: Any, adapter: str | None = None) -> bool:
    """Whether `LlamaEngine` fits: unquantised, without sliding windows, no adapters but plain LoRA."""
    if type(model) not in LLAMA_SHAPED:  # a class of the same name may come with a model's own code
        return False
    config = model.config
    attention = model.model.layers[0].self_attn
    own = ("torch.nn.modules.", "transformers.models.", "transformers.activations")
    adapted = {
        id(projection)
        for layer in model.model.layers
        for projection in projections(layer)
        if adapter is not None and adapts(projection, adapter)
    }
    # no adapters around other modules, no quantised or reparametrised weights
    plain = all(
        type(module).__module__.startswith(own) for module in model.modules() if id(module) not in adapted
    )
    return (
        plain
        and len(adapted) == (0 if adapter is None else 7 * config.num_hidden_layers)
        and attention_kinds(type(model).__name__, config)[0] == {"full_attention"}
        and config.rope_parameters["rope_type"] in ROPES
        and config.rope_parameters.get("partial_rotary_factor", 1.0) == 1.0
        and attention.scaling == attention.head_dim**-0.5
    )
