"""`collm train mixing`: a run's folder, its end after a stop, what is refused before anything is written."""

import json
import re
import shutil
from dataclasses import fields

import pytest
import torch
from sources import attributes_read

from baselines import games
from baselines.cli.report_rows import collect
from baselines.cli.train import read, train
from baselines.games.agents import RecurrentQ
from baselines.mixing import EVAL_SEED, Config, evaluate
from baselines.runs.checkpoint import load_last

SMALL = ["--batch", "4", "--at-once", "4", "--hidden", "16", "--eval-episodes", "4"]


def lines(path):
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "cpu_s")} for line in kept]


@pytest.mark.parametrize("mixer", ["qmix", "qllm:two_step"])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path, mixer, capsys):
    whole, again = tmp_path / "whole", tmp_path / "again"
    flags = ["--mixer", mixer, "--steps", "8", "--eval-every", "2", "--save-every", "3", "--keep", "3"]
    assert train(["mixing", "--game", "two-step", *flags, *SMALL, "--out", str(whole)]) == 0
    assert capsys.readouterr().out.strip() == str(whole)
    shutil.copytree(whole, again)
    for step in (6, 8):
        shutil.rmtree(again / "checkpoints" / f"step-0000000{step}")
    (again / "agents.pt").unlink()
    assert train(["--resume", str(again)]) == 0
    assert [line["step"] for line in lines(whole / "eval.jsonl")] == [0, 2, 4, 6, 8]
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(whole / name) == lines(again / name)
    for name in ("agents", "mixer", "target_agents"):
        states = [load_last(folder / "checkpoints")[name] for folder in (whole, again)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_what_a_run_leaves_plays_as_its_last_evaluation_says(tmp_path):
    out = tmp_path / "run"
    train(["mixing", "--mixer", "qmix", "--steps", "60", *SMALL, "--lr", "0.003", "--out", str(out)])
    game = games.make("two-step")
    agents = RecurrentQ(game.layout, 16)
    agents.load_state_dict(torch.load(out / "agents.pt", weights_only=True))
    assert evaluate(agents, [game], 1, EVAL_SEED) == [lines(out / "eval.jsonl")[-1]["return"]]


def test_a_report_of_text_runs_passes_over_it(tmp_path):
    train(["mixing", "--steps", "1", *SMALL, "--out", str(tmp_path / "run")])
    with pytest.raises(ValueError, match="holds neither a run"):
        collect([tmp_path])


@pytest.mark.parametrize(
    ("flags", "error", "reason"),
    [
        (["--game", "two-stp"], KeyError, "no game 'two-stp'; did you mean 'two-step'"),
        (["--mixer", "qplex"], ValueError, "mixer must be one of"),
        (["--mixer", "qllm:foraging"], ValueError, "reads 'players', the environment has"),
    ],
)
def test_what_cannot_run_is_refused_before_a_folder_is_made(tmp_path, flags, error, reason):
    out = tmp_path / "run"
    with pytest.raises(error, match=reason):
        train(["mixing", *flags, "--out", str(out)])
    assert not out.exists()


def test_a_folder_with_a_run_in_it_is_not_written_over(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="holds a run already"):
        train(["mixing", "--out", str(tmp_path)])


def test_every_setting_has_a_line_in_the_help_and_is_read(capsys):
    with pytest.raises(SystemExit):
        read("mixing", ["--help"])
    shown = re.sub(r"[│╭╮╰╯─\s]+", " ", capsys.readouterr().out)
    for field in fields(Config):
        assert f"--{field.name.replace('_', '-')}" in shown, field.name
    assert not {field.name for field in fields(Config)} - attributes_read()
