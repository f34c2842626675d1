"""`collm warm-start` and `collm models`, on a tiny random model."""

import pytest
import torch
from lm_fixtures import save, words_tokenizer

from baselines.cli import main
from baselines.lm import warm_start
from baselines.lm.loading import load_model
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.warm_start import Lessons, scripted_moves
from collm_envs import make_task

CHAT = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"
WORDS = [*(str(k) for k in range(10)), "/setblock", "white_wool", "obsidian", "stone", "cobblestone"]
TERSE = '{"prompts": "terse", "max_turns": 1}'
ENV = ["--env", "StrBuild-v0", "--env-kwargs", TERSE]


@pytest.fixture
def base(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return save(tmp_path / "base", "llama", words_tokenizer(WORDS, chat=CHAT))


def nats(folder):
    """Mean loss on texts of the noisy player."""
    from random import Random

    model, tokenizer = load_model(str(folder), "cpu")
    lm = LM("m", model, tokenizer, Sampling(), Context())
    task = make_task("StrBuild-v0", prompts="terse", max_turns=1)
    moves = scripted_moves(task, lm.renderer, Lessons(1, 2, 0.0), Random(7))
    with torch.no_grad():
        logps = torch.cat([scores.logp for scores in lm.logp(moves)])
    return -float(logps.mean())


def started(base, *more, rank=4):
    steps = ["--steps", "12", "--batch", "4", "--lr", "0.02", "--lora-rank", str(rank)]
    return main.main(["warm-start", *ENV, "--model", base, *steps, *more])


@pytest.mark.parametrize("rank", [4, 0])
def test_a_model_learns_a_players_texts_and_is_saved_as_a_plain_folder(rank, base, tmp_path, capsys):
    before = nats(base)
    assert started(base, "--out", "warm", rank=rank) == 0
    assert nats(tmp_path / "warm") < before - 0.1
    assert (tmp_path / "warm" / "model.safetensors").is_file()
    assert not (tmp_path / "warm" / "adapter_config.json").exists()
    assert "--policy hf:warm" in capsys.readouterr().out


def test_an_interrupted_warm_start_of_adapters_ends_as_if_it_had_not_been(base, tmp_path, monkeypatch):
    monkeypatch.setattr(warm_start, "KEEP_EVERY", 2)
    assert started(base, "--out", "whole") == 0
    real, calls = warm_start._save_steps, []

    def stopped(*args):
        real(*args)
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(warm_start, "_save_steps", stopped)
        assert started(base, "--out", "parts") == 130
    assert not (tmp_path / "parts").exists()
    assert started(base, "--out", "parts") == 0
    first, second = (load_model(str(tmp_path / name), "cpu")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "parts", "whole"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (["--from", "nobody"], "StrBuild-v0 has no player 'nobody'; it has"),
        (["--out", "base"], "base is there already; move it away, or choose another --out"),
        (["--env-kwargs", "{"], "--env-kwargs must be a JSON object"),
    ],
)
def test_what_cannot_be_taught_is_refused_in_one_line(more, why, base, capsys):
    assert started(base, *more) == 2
    assert why in capsys.readouterr().err


def test_the_models_are_listed_with_licence_and_place(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path))
    (tmp_path / "smollm2").mkdir()
    assert main.main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines[:3]] == ["model", "tiny", "smollm2"]
    assert "Apache-2.0" in lines[2]
    assert lines[2].endswith(str(tmp_path / "smollm2"))
