"""GGUF files of tiny random models, so that no test needs one of others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from lm_fixtures import bytes_tokenizer, tiny_model

CHAT = "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
MARKS = ("<s>", "</s>", "<|endoftext|>")  # readers add the last one where it is not there


def write_gguf(file: Path, seed: int = 0, *, blocks: int = 0) -> Any:
    """A Llama in float32 with a byte-level tokenizer; returns the transformers model that it holds.

    `blocks` is the number of layers that the file claims to have; 0: as many as it has.
    """
    import gguf

    tokenizer = bytes_tokenizer(CHAT, special=MARKS, added=("ab",), eos_token="</s>", bos_token="<s>")
    model = tiny_model("llama", tokenizer, seed)
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_block_count(blocks or config.num_hidden_layers)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(len(tokenizer))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types([3 if k in tokenizer.all_special_ids else 1 for k in range(len(tokenizer))])
    writer.add_token_merges(["a b"])  # readers want at least one
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_chat_template(CHAT)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for key, tensor in model.state_dict().items():
        rows = heads.get(key.split(".")[-2], 0)
        values = interleaved(tensor.numpy(), rows) if rows else tensor.numpy()
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight",)), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def interleaved(weights: np.ndarray, heads: int) -> np.ndarray:
    """The rows of each head as llama.cpp has them: the two of a rotary pair side by side."""
    halves = weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return halves.swapaxes(1, 2).reshape(weights.shape)
