"""A digest tells models apart by all that decides about their texts, and by nothing else."""

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from baselines.lm.digest import model_digest
from baselines.lm.tiny import model as tiny


@pytest.fixture(scope="module")
def model():
    return tiny.fresh(0)


def test_a_model_that_was_saved_and_loaded_is_the_same(model, tmp_path):
    for part in model:
        part.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert model_digest(*again) == model_digest(*model) == model_digest(*tiny.fresh(0))


def bias(network, tokenizer):
    with torch.no_grad():
        next(network.parameters()).view(-1)[7] += 1e-3


def template(network, tokenizer):
    tokenizer.chat_template = "{{ messages[0].content }}"


def word(network, tokenizer):
    tokenizer.add_tokens(["ferret"])


def setting(network, tokenizer):
    network.config.rms_norm_eps = 0.5


def ends(network, tokenizer):
    network.generation_config.eos_token_id = [tokenizer.eos_token_id, 5]


@pytest.mark.parametrize("change", [bias, template, word, setting, ends])
def test_what_changes_its_texts_changes_its_digest(model, change):
    other = tiny.fresh(0)
    change(*other)
    assert model_digest(*other) != model_digest(*model)


def test_other_weights_are_another_model(model):
    assert model_digest(*tiny.fresh(1)) != model_digest(*model)
