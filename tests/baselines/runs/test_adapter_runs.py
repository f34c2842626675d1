"""Runs that train adapters: what their checkpoints and agents hold, who loads them, and how they go on."""

import peft
import pytest
import torch
from lm_fixtures import save, words_tokenizer
from run_folders import lines
from transformers import AutoModelForCausalLM, AutoTokenizer

from baselines import magrpo
from baselines.lm.hf import parse
from baselines.lm.loading import load_model
from baselines.runs import checkpoint, run, texts
from collm_envs import make
from collm_envs.policies.specs import take_seat

WORDS = ["the", "post", "says", "that", "it", "is", "long", ".", "cat", "dog", "sat", "on", "a", "mat"]
CHAT = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"
ENV = {"env": "TLDR-v0", "env_kwargs": {"prompts": "terse"}}


@pytest.fixture
def base(tmp_path):
    return save(tmp_path / "base", "llama", words_tokenizer(WORDS, chat=CHAT))


def settings(base, out, **more):
    small = {"lora_rank": 2, "lr": 0.05, "steps": 2, "episodes": 4, "group": 4, "max_new_tokens": 8}
    often = {"eval_every": 0, "eval_episodes": 2, "save_every": 1}
    return magrpo.Config(**ENV, model=base, **small, **often, out=str(out), **more)


def test_checkpoints_and_agents_hold_adapters_only(base, tmp_path):
    out = run.train("magrpo", settings(base, tmp_path / "run"), quiet=True)
    state = checkpoint.load_last(out / "checkpoints")
    names = [name for policy in state["policies"].values() for name in policy["weights"]]
    assert names
    assert all(".lora_" in name for name in names)
    for agent in ("agent_0", "agent_1"):
        assert {path.name for path in (out / agent).iterdir()} >= {
            "adapter_config.json",
            "adapter_model.safetensors",
        }
        assert not [path for path in (out / agent).iterdir() if path.name in ("base", "model.safetensors")]


def test_plain_peft_writes_the_texts_that_we_write(base, tmp_path):
    out = run.train("magrpo", settings(base, tmp_path / "run"), quiet=True)
    env = make(ENV["env"], **ENV["env_kwargs"])
    policy = parse(f"{out}/agent_1?temperature=0&max_new_tokens=8")
    tokenizer = AutoTokenizer.from_pretrained(out / "agent_1")
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), out / "agent_1")
    changed = False
    for item in env.items("eval")[:4]:
        env.reset(seed=0, options={"item": item.id, "split": "eval"})
        seat = take_seat(env, "agent_1", policy, 0)
        ours = policy.act([seat])[0].text
        ids = torch.tensor([policy.lm.renderer.first(seat.history[-1])])
        theirs = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            pad_token_id=1,
        )
        written = tokenizer.decode(theirs[0, ids.shape[1] :], skip_special_tokens=True)
        assert ours.split() == written.split()
        bare = load_model(base, "cpu")[0](input_ids=ids).logits
        changed |= bool((bare - model(input_ids=ids).logits).abs().max() > 1e-3)
    assert changed, "the adapter changes nothing here, so the comparison says nothing"


def test_a_run_of_adapters_that_was_stopped_ends_in_the_same_bits(base, tmp_path, monkeypatch):
    whole = run.train("magrpo", settings(base, tmp_path / "whole"), quiet=True)
    real, calls = texts.watched, []

    def stopped(steps, *args):
        for metrics in real(steps, *args):
            yield metrics
            calls.append(metrics)
            if len(calls) == 1:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(texts, "watched", stopped)
        run.train("magrpo", settings(base, tmp_path / "parts"), quiet=True)
    assert checkpoint.steps(tmp_path / "parts" / "checkpoints") == [1]
    parts = run.resume(tmp_path / "parts", quiet=True)
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(whole / name) == lines(parts / name)
    for agent in ("agent_0", "agent_1"):
        file = f"{agent}/adapter_model.safetensors"
        assert (whole / file).read_bytes() == (parts / file).read_bytes()


def test_the_size_of_large_checkpoints_is_told_before_the_run(base, tmp_path, monkeypatch, capsys):
    from baselines.runs import remarks

    run.train("magrpo", settings(base, tmp_path / "one"))
    assert "disk:" not in capsys.readouterr().err
    monkeypatch.setattr(remarks, "LARGE", 1000)
    run.train("magrpo", settings(base, tmp_path / "two"))
    assert "GB a checkpoint, 2 of them kept (--keep)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"lr": 5e-6}, "lr 5e-06 with LoRA moves nothing in 2 steps; --lr 0.0005 learns in ten"),
        ({"lr": 0.1}, "lr 0.1 with LoRA destroys more than it teaches"),
        ({"lora_rank": 0, "lr": 5e-6}, "lr 5e-06 on all weights moves little in 2 steps"),
        ({"lora_rank": 0, "lr": 1e-3}, "lr 0.001 on all weights of a model destroys its language"),
        ({"lr": 5e-4}, ""),
        ({"lora_rank": 0, "lr": 5e-6, "steps": 2000}, ""),
    ],
)
def test_rates_that_do_not_learn_are_pointed_out_by_what_is_trained(given, why, base, tmp_path, monkeypatch):
    from baselines.lm import threads
    from baselines.runs import remarks

    monkeypatch.setattr(threads, "SMALL", 100)
    config = settings(base, tmp_path)
    for name, value in given.items():
        setattr(config, name, value)
    team = magrpo.team(config, make(ENV["env"], **ENV["env_kwargs"]).task)
    assert why in "".join(remarks.doubts(config, team))
    assert bool(remarks.doubts(config, team)) == bool(why)


def test_steps_that_teach_nothing_are_pointed_out_once(base, tmp_path, capsys):
    """Texts of one token are cut, and each earns nothing, as the others of its group do."""
    config = settings(base, tmp_path / "run")
    config.max_new_tokens = 1
    run.train("magrpo", config)
    err = capsys.readouterr().err
    assert err.count("of the texts were cut at max_new_tokens") == 1
    assert err.count("no group has any spread") == 1
