"""The embedded model: a tokenizer without unknown text, a warm start that is a function of its seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import tiny
from baselines.core.lm import LM, Context
from baselines.core.models import load
from baselines.core.rollout import eval_starts, play, summary
from baselines.core.sampling import Sampling
from baselines.tiny.tokenizer import load_tokenizer
from collm_envs import make_task

KWARGS = {"prompts": "terse", "words": "generated", "length": [1, 1], "n": 8, "n_eval": 4, "max_turns": 1}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@settings(max_examples=200, deadline=None)
def test_the_tokenizer_gives_back_any_text(text):
    tokenizer = load_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if not any(special in text for special in tokenizer.all_special_tokens):
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text


def test_digits_signs_and_line_breaks_are_tokens_by_themselves():
    tokenizer = load_tokenizer()
    pieces = tokenizer.tokenize("4 ##..a\n/setblock 10 4 0 oak_planks\n")
    for piece in pieces:
        signs = [c for c in piece if c.isdigit() or c in "#./_"]
        assert not signs or len(piece) == 1, piece


def test_the_model_has_a_tenth_to_a_third_of_a_million_parameters():
    model, _ = tiny.fresh(0)
    assert 100_000 <= sum(p.numel() for p in model.parameters()) <= 300_000


def test_weights_are_a_function_of_the_seed():
    first, again, other = (tiny.fresh(seed)[0].state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_the_warm_start_learns_and_repeats(training_seed):
    task = make_task("StrBuild-v0", **KWARGS)
    losses = []
    for _ in range(2):
        model, tokenizer = tiny.fresh(training_seed)
        losses.append(tiny.warm_start(model, tokenizer, task, steps=40))
    assert losses[0] == losses[1]
    assert sum(losses[0][-5:]) / 5 < 0.35 * losses[0][0]


def test_the_folder_is_cached_and_loads_like_any_model(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    folder = tiny.folder("StrBuild-v0", KWARGS, steps=3)
    stamp = (folder / "model.safetensors").stat().st_mtime_ns
    assert tiny.folder("StrBuild-v0", KWARGS, steps=3) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert tiny.folder("StrBuild-v0", KWARGS, steps=4) != folder
    assert tiny.folder("StrBuild-v0", KWARGS, "last turn", steps=3) != folder
    model, tokenizer = load(str(folder), "cpu")
    task = make_task("StrBuild-v0", **KWARGS)
    lm = LM("loaded", model, tokenizer, Sampling(max_new_tokens=8), Context())
    seen = summary(play(task, eval_starts(task, 4), dict.fromkeys(task.agents, lm), "seed"))
    assert seen["turns"] == 1


def test_a_model_folder_without_a_tokenizer_is_named(tmp_path):
    tiny.fresh(0)[0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no tokenizer"):
        load(str(tmp_path), "cpu")


def test_a_folder_that_is_no_model_and_one_that_is_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"neither config\.json nor adapter_config\.json"):
        load(str(tmp_path), "cpu")
    with pytest.raises(ValueError, match="no such folder"):
        load(str(tmp_path / "absent"), "cpu")
