"""Worlds leave as Minecraft functions."""

from __future__ import annotations

import random

import pytest

from baselines.cli.main import main
from collm_envs import make
from collm_envs.record import record, write


def played(id: str, player: str, **kwargs):
    env = make(id, max_cycles=1, **kwargs)
    env.reset(seed=0)
    env.step({a: env.task.players[player](env.task, env.snapshot, a, random.Random(0)) for a in env.agents})
    return record(env)


def test_the_world_of_each_episode_becomes_a_function(tmp_path, capsys):
    write([played("HouseBuild-v0", "expert"), played("StrBuild-v0", "noisy")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path)]) == 0
    files = sorted((tmp_path / "functions").iterdir())
    assert [file.suffix for file in files] == [".mcfunction"] * 2
    assert "fill ~" in files[0].read_text()
    assert "2 worlds" in capsys.readouterr().out


def test_records_without_a_world_are_refused(tmp_path, capsys):
    write([played("TLDR-v0", "expert")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path / "records.jsonl")]) == 2
    assert "none of 1 records has a world" in capsys.readouterr().err


@pytest.mark.parametrize("turn", ["2", "-2"])
def test_a_turn_that_was_not_played_is_named(tmp_path, capsys, turn):
    write([played("StrBuild-v0", "expert")], tmp_path / "records.jsonl")
    assert main(["export", str(tmp_path), "--turn", turn]) == 2
    assert f"has 1 turns, got --turn {turn}" in capsys.readouterr().err
