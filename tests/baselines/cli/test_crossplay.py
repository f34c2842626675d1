"""`collm crossplay`: scripted and trained teams mixed, what is kept, and what is refused."""

import csv
import json

import pytest

from baselines.cli import main
from baselines.cli.crossplay import NamedTeam, named_teams
from baselines.magrpo import Config
from collm_envs.record import read

SHORT = ["--env-kwargs", '{"talk": 1, "max_turns": 1}', "--episodes", "4"]


def crossplay(*args):
    return main.main(["crossplay", *map(str, args)])


def test_experts_talk_to_each_other_and_not_to_the_mute(tmp_path, capsys):
    assert crossplay("expert", "mute", "--env", "StrBuild-v1", *SHORT, "--out", tmp_path) == 0
    rows = list(csv.DictReader((tmp_path / "matrix.csv").read_text().splitlines()))
    means = {(row["first"], row["others"]): float(row["mean"]) for row in rows}
    assert means["expert", "expert"] == pytest.approx(2.0)
    assert means["expert", "mute"] < 1.9
    assert "self-play" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "index.html").read_text()
    mixed = list(read(tmp_path / "records" / "1-2" / "records.jsonl"))
    assert len(mixed) == 4
    assert mixed[0].agents == {"agent_0": "expert", "agent_1": "mute"}


def test_three_agents_share_a_cells_episodes_among_its_seatings(tmp_path):
    kwargs = ["--env-kwargs", '{"num_agents": 3, "max_turns": 1}', "--episodes", "6"]
    assert crossplay("mute", "random", "--env", "StrBuild-v1", *kwargs, "--out", tmp_path) == 0
    played = {
        folder.name: len(list(read(folder / "records.jsonl"))) for folder in (tmp_path / "records").iterdir()
    }
    assert played == {"1-1-1": 6, "2-2-2": 6} | dict.fromkeys(
        ("1-1-2", "1-2-1", "1-2-2", "2-1-1", "2-1-2", "2-2-1"), 2
    )


def test_teams_of_one_name_are_numbered():
    assert named_teams(["expert", "noisy", "expert"]) == [
        NamedTeam("expert", None),
        NamedTeam("noisy", None),
        NamedTeam("expert (2)", None),
    ]


def write_run(folder, env, **kwargs):
    folder.mkdir()
    config = {**Config(env=env, env_kwargs=kwargs).to_dict(), "out": str(folder)}
    (folder / "config.json").write_text(json.dumps({"algorithm": "magrpo", "config": config}))
    return folder


def test_what_cannot_be_mixed_is_refused_in_a_line(tmp_path, capsys):
    one, two = write_run(tmp_path / "one", "StrBuild-v1"), write_run(tmp_path / "two", "TLDR-v1")
    env = ("--env", "StrBuild-v1")
    for args, why in (
        (["expert"], "at least two teams, got 1: expert"),
        (["expert", "noisy"], "--env must name the environment"),
        (["expert", tmp_path, *env], "need a folder of collm train, which holds a config.json"),
        (["expert", "nope", *env], "no player 'nope'"),
        (["expert", "noisy", *env, "--env-kwargs", '{"num_agents": 1}'], "has one agent, and nobody to mix"),
        ([one, two], "one was trained on StrBuild-v1 and two on TLDR-v1"),
        ([one, "expert"], "holds no agent_0: it has not ended"),
    ):
        assert crossplay(*args, "--out", tmp_path / "out") == 2
        err = capsys.readouterr().err
        assert why in err
        assert err.count("\n") == 1
