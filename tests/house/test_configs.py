"""Settings: every one is read, flags and published values give what they say, a command repeats a run."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
from sources import attributes_read

from baselines.cli.train import command, read, train
from baselines.runs import algorithms, run
from baselines.runs.algorithms import algorithm
from baselines.runs.published import PUBLISHED, ROWS, published_settings, row_of


@pytest.mark.parametrize("name", algorithms.names())
def test_every_setting_of_an_algorithm_is_read_somewhere(name):
    unread = {field.name for field in fields(algorithm(name).Config)} - attributes_read()
    assert not unread


@pytest.mark.parametrize("name", algorithms.names())
def test_every_setting_has_a_line_of_meaning_in_the_help(name, capsys):
    with pytest.raises(SystemExit):
        read(name, ["--help"])
    shown = re.sub(r"[│╭╮╰╯─\s]+", " ", capsys.readouterr().out)
    for field in fields(algorithm(name).Config):
        assert f"--{field.name.replace('_', '-')}" in shown or field.name == "models", field.name


@pytest.mark.parametrize(("env", "row"), [(env, row) for env, rows in PUBLISHED.items() for row in rows])
def test_published_settings_are_settings_of_the_algorithm(env, row):
    name, _ = ROWS[row]
    config = algorithm(name).Config(env=env, **PUBLISHED[env][row])
    assert config.env == env
    assert row_of(name, published_settings(name, config.to_dict())) == row_of(name, config.to_dict())


@pytest.mark.parametrize(
    ("env", "name", "critic", "agents", "expected"),
    [
        ("TLDR-v0", "magrpo", "central", 2, {"lr": 5e-6, "group": 4, "temperature": 0.7, "steps": 2200}),
        ("TLDR-v0", "maac", "central", 2, {"lr": 5e-6, "value_coef": 0.6, "episodes": 4, "steps": 5500}),
        ("ArXiv-v0", "magrpo", "central", 1, {"max_new_tokens": 512, "top_p": 0.6}),
        ("ArXiv-v0", "maac", "central", 1, {"max_new_tokens": 512, "steps": 1000}),
        ("CoopHE-v0", "magrpo", "central", 2, {"lr": 2e-5, "model": "Qwen/Qwen2.5-Coder-3B", "steps": 528}),
        ("CoopHE-v0", "maac", "decentral", 2, {"lr": 5e-6, "critic": "decentral", "gamma": 0.9}),
        ("StrBuild-v0", "maac", "central", 2, {"lr": 2.5e-6, "max_new_tokens": 512, "temperature": 0.6}),
        ("StrBuild-v0", "magrpo", "central", 2, {"lr": 5e-6, "group": 2, "steps": 160}),
        ("HouseBuild-v0", "maac", "decentral", 2, {"lr": 5e-6, "value_clip": 0.05, "steps": 1200}),
        ("HouseBuild-v0", "magrpo", "central", 2, {"lr": 1e-5, "group": 2}),
    ],
)
def test_the_published_values_are_pinned(env, name, critic, agents, expected):
    asked = algorithm(name).Config(env=env, env_kwargs={"num_agents": agents})
    settings = published_settings(name, {**asked.to_dict(), "critic": critic})
    assert {key: settings[key] for key in expected} == expected


def test_published_rewards_are_shifted_and_stop_as_published():
    central = {"critic": "central"}
    assert published_settings("maac", {"env": "StrBuild-v0", **central})["env_kwargs"]["reward_shift"] == -2.0
    assert published_settings("magrpo", {"env": "CoopHE-v0"})["env_kwargs"] == {
        "data": "hub",
        "reward_shift": -4.0,
        "stop_above": -0.2,
    }
    assert published_settings("magrpo", {"env": "HouseBuild-v0"})["env_kwargs"]["stop_above"] == -0.1


def test_what_was_not_published_is_refused_with_what_there_is():
    with pytest.raises(ValueError, match=r"reinforce.*StrBuild-v0: MAGRPO, CoLLM-CC, CoLLM-DC"):
        published_settings("reinforce", {"env": "StrBuild-v0"})


def test_flags_override_the_published_settings_and_merge_keywords():
    config = read(
        "maac", ["--paper", "--env", "StrBuild-v0", "--lr", "0.5", "--env-kwargs", '{"spacing": 1}']
    )
    assert config.lr == 0.5
    assert config.critic_lr == 2.5e-6
    assert config.env_kwargs["spacing"] == 1
    assert config.env_kwargs["reward_shift"] == -2.0


def test_the_command_of_a_config_gives_that_config_again():
    flags = [
        "--env-kwargs",
        '{"words": "generated"}',
        "--critic",
        "decentral",
        "--no-shared",
        "--lr",
        "0.001",
    ]
    config = read("maac", flags)
    line = command("maac", config)
    assert line.startswith("collm train maac ")
    import shlex

    assert read("maac", shlex.split(line)[3:]) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"epochs": 2}, "epochs=2 without clip"),
        ({"shared": True, "models": ("a", "b")}, "shared and models exclude each other"),
        ({"group": 1}, "group must be at least 2, got 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        algorithm("magrpo").Config(**settings)


def test_an_unknown_algorithm_names_those_there_are():
    with pytest.raises(ValueError, match=r"maac, magrpo, mixing, reinforce, ridge, or a module.*, got 'ppo'"):
        train(["ppo"])


def test_a_folder_with_a_run_in_it_is_not_written_over(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    config = algorithm("magrpo").Config(out=str(tmp_path))
    with pytest.raises(ValueError, match="holds a run already"):
        run.train("magrpo", config, quiet=True)


def test_settings_of_another_version_are_named(tmp_path):
    stored = {"algorithm": "magrpo", "config": {**algorithm("magrpo").Config().to_dict(), "colour": 1}}
    (tmp_path / "config.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=r"unknown settings \['colour'\]"):
        run.load_config(tmp_path)
