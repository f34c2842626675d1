"""The embedded model: a tokenizer without unknown text, a warm start that is a function of its seed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from baselines.lm import warm_start
from baselines.lm.loading import load_model
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.tiny import model as tiny
from baselines.lm.tiny.tokenizer import load_tokenizer
from baselines.lm.warm_start import Lessons
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import eval_starts, play
from baselines.train import warm_starts as ready
from collm_envs import make, make_task

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
        lm = LM("pupil", model, tokenizer, Sampling(), Context())
        losses.append(warm_start.warm_start(lm, task, Lessons(40, tiny.BATCH, tiny.LR)))
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
    model, tokenizer = load_model(str(folder), "cpu")
    task = make_task("StrBuild-v0", **KWARGS)
    lm = LM("loaded", model, tokenizer, Sampling(max_new_tokens=8), Context())
    seen = rollout_metrics(play(task, eval_starts(task, 4), dict.fromkeys(task.agents, lm), "seed"))
    assert seen["turns"] == 1


def test_a_model_folder_without_a_tokenizer_is_named(tmp_path):
    tiny.fresh(0)[0].save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no tokenizer"):
        load_model(str(tmp_path), "cpu")


def test_a_folder_that_is_no_model_and_one_that_is_not_there_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"neither config\.json nor adapter_config\.json"):
        load_model(str(tmp_path), "cpu")
    with pytest.raises(ValueError, match="no such folder"):
        load_model(str(tmp_path / "absent"), "cpu")


class Stopped:
    """Progress that ends the warm start by Ctrl-C after so many steps."""

    def __init__(self, monkeypatch, step):
        real = warm_start.warm_start

        def stopping(*args, on_step, **kwargs):
            def heard_and_stopped(done, loss):
                on_step(done, loss)
                if done == step:
                    raise KeyboardInterrupt

            return real(*args, on_step=heard_and_stopped, **kwargs)

        monkeypatch.setattr(warm_start, "warm_start", stopping)


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (3, "after 3 of 8 steps; the first 2 are kept: the same command goes on from there"),
        (1, "after 1 of 8 steps; none is kept yet"),
    ],
)
def test_an_interrupted_warm_start_says_what_is_kept_and_ends_as_if_it_had_not_been(
    at, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(warm_start, "KEEP_EVERY", 2)
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "whole"))
    whole = tiny.folder("StrBuild-v0", KWARGS, steps=8, quiet=True)
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "parts"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match=message):
        Stopped(patch, at)
        tiny.folder("StrBuild-v0", KWARGS, steps=8, quiet=True)
    parts = tiny.folder("StrBuild-v0", KWARGS, steps=8, quiet=True)
    first, second = (load_model(str(folder), "cpu")[0].state_dict() for folder in (whole, parts))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert [path.name for path in parts.parent.iterdir()] == [parts.name]


def test_the_warm_start_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    tiny.folder("StrBuild-v0", KWARGS, steps=2)
    err = capsys.readouterr().err
    assert "warm start StrBuild-v0 1/2  loss" in err
    assert "left" in err
    tiny.folder("StrBuild-v0", KWARGS, steps=2)
    assert capsys.readouterr().err == ""


def test_the_cache_is_found_wherever_the_modules_are(monkeypatch):
    env = make("StrBuild-v0", **KWARGS)
    before = tiny.key(env, "full", 0, 8)
    moved = replace(env.spec, entry_point="elsewhere.words:Build", summary="another line")
    monkeypatch.setattr(type(env), "spec", property(lambda self: moved))
    assert tiny.key(env, "full", 0, 8) == before
    other = replace(moved, content_hash="another prompt")
    monkeypatch.setattr(type(env), "spec", property(lambda self: other))
    assert tiny.key(env, "full", 0, 8) != before


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ValueError, match="file/cache: Not a directory; set COLLM_CACHE"):
        tiny.folder("StrBuild-v0", KWARGS, steps=2)


def test_an_environment_without_a_noisy_player_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    task = make("StrBuild-v0", **KWARGS).task
    monkeypatch.setattr(type(task), "players", {"expert": task.players["expert"]})
    with pytest.raises(ValueError, match="StrBuild-v0 has no scripted player `noisy`"):
        tiny.folder("StrBuild-v0", KWARGS, steps=2)


READY = list(ready.settings())


@pytest.mark.parametrize("setting", READY, ids=lambda setting: f"{setting.env}-{','.join(setting.kwargs)}")
def test_a_common_setting_is_shipped_and_needs_no_warm_start(setting, tmp_path, monkeypatch):
    """`python -m baselines.train.warm_starts` makes what is missing here."""
    assert ready.file_of(setting).is_file()
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    monkeypatch.setattr(tiny, "warm_start_in", None)
    assert load_model(str(tiny.folder(setting.env, setting.kwargs)), "cpu")


def test_nothing_else_is_shipped_and_all_of_it_is_small():
    files = set(tiny.WEIGHTS.iterdir())
    assert files == {ready.file_of(setting) for setting in READY}
    assert sum(file.stat().st_size for file in files) < 8e6


@pytest.mark.parametrize("env", ["StrBuild-v0", "TLDR-v0"])
def test_a_shipped_model_earns_what_its_file_states(env, tmp_path, monkeypatch):
    """On another processor other texts may be drawn: four standard errors of both means are allowed."""
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    setting = next(setting for setting in READY if setting.env == env)
    with safe_open(ready.file_of(setting), "pt") as file:
        facts = file.metadata()
    mean, error = ready.earned(setting, tiny.folder(setting.env, setting.kwargs))
    assert abs(mean - float(facts["return"])) < 4 * (error**2 + float(facts["error"]) ** 2) ** 0.5
    assert json.loads(facts["env_kwargs"]) == setting.kwargs
