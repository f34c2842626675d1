"""What `collm train` fills in for the embedded model, and that a flag always wins."""

from __future__ import annotations

import shlex

import pytest

from baselines.cli.flags import given
from baselines.cli.train import command, read, read_filled
from baselines.train.presets import ENVS
from collm_envs import make

OTHERS = {
    "maac": ["--critic", "decentral", "--critic-lr", "1e-4", "--no-normalize"],
    "magrpo": ["--group", "4", "--steps", "7"],
    "reinforce": ["--group", "1"],
    "ridge": ["--lam", "0.5"],
    "cory": ["--kl", "0.3"],
}
TURNS = {"HouseBuild-v1": 2}
"""where one is not enough; in some environments a message round comes before each"""
KWARGS = '{"prompts": "terse", "max_turns": 2}'


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("name", OTHERS)
def test_the_environment_is_made_as_the_small_model_can_learn_it(name, env):
    config, filled = read_filled(name, ["--env", env, "--seed", "3"])
    lr = 3e-4 if (name, env) == ("magrpo", "HouseBuild-v1") else 1e-3  # groups of two: twice the noise
    assert (config.lr, config.seed, config.env_kwargs["prompts"]) == (lr, 3, "terse")
    assert config.max_new_tokens == ENVS[env].settings["max_new_tokens"]
    assert f"--lr {lr}" in filled
    rounds = config.env_kwargs.get("talk", 0) if name != "cory" else 0  # its one agent talks to nobody
    task = make(env, **config.env_kwargs).task
    assert task.max_turns == TURNS.get(env, 1) * (1 + rounds)
    if name == "magrpo":  # a start grows group^turns episodes
        assert config.group**task.max_turns <= config.episodes


@pytest.mark.parametrize("name", OTHERS)
def test_flags_win_over_what_is_filled_in(name):
    args = ["--lr", "5e-6", "--env-kwargs", KWARGS, "--max-new-tokens", "33", *OTHERS[name]]
    config, filled = read_filled(name, args)
    assert (config.lr, config.max_new_tokens, config.env_kwargs["max_turns"]) == (5e-6, 33, 2)
    assert not {flag for flag, _ in given(args)} & {flag for flag, _ in given(filled.split())}
    settings = config.to_dict()
    for flag, value in given(OTHERS[name]):
        want = False if flag == "--no-normalize" else value
        assert str(settings[flag.removeprefix("--no-").removeprefix("--").replace("-", "_")]) in (
            str(want),
            str(float(want) if want and want != "decentral" else want),
        )


def test_keywords_of_the_environment_stand_alone():
    config = read("magrpo", ["--env-kwargs", '{"num_agents": 3}'])
    assert config.env_kwargs == {"num_agents": 3}
    assert config.max_new_tokens == 256


@pytest.mark.parametrize(
    "args", [["--model", "some/folder"], ["--models", "tiny", "other"], ["--paper", "--env", "TLDR-v0"]]
)
def test_nothing_is_filled_in_for_other_models_or_for_the_published_settings(args):
    config, filled = read_filled("magrpo", args)
    assert filled == ""
    assert config.lr == 5e-6
    assert "words" not in config.env_kwargs


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--env", "TLDR-v0"],
        ["--env-kwargs", KWARGS],
        ["--env-kwargs", "{}"],
        ["--model", "a folder"],
        None,
    ],
)
def test_a_command_gives_the_settings_it_was_made_from(name, args):
    config = read(name, OTHERS[name] if args is None else args)
    line = shlex.split(command(name, config))
    assert line[:3] == ["collm", "train", name]
    assert read(name, line[3:]) == config


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("chosen", ["laptop", "gpu"])
def test_a_preset_fills_in_what_is_open_and_flags_win(name, chosen):
    config, filled = read_filled(
        name, ["--preset", chosen, "--env", "TLDR-v0", "--model", "m", "--lr", "1e-4", *OTHERS[name]]
    )
    assert (config.lora_rank, config.lr) == (16, 1e-4)
    assert config.max_new_tokens == {"laptop": 40, "gpu": 256}[chosen]
    assert "--lora-rank 16" in filled
    assert "--lr" not in filled.split()


def test_the_laptops_preset_names_a_model_and_short_prompts_where_none_are_given():
    config = read("magrpo", ["--preset=laptop", "--env", "TLDR-v0"])
    assert (config.model, config.env_kwargs) == ("smollm2", {"prompts": "terse"})
    config = read("magrpo", ["--preset", "laptop", "--model", "m", "--env-kwargs", "{}", "--env", "TLDR-v0"])
    assert (config.model, config.env_kwargs, config.max_new_tokens) == ("m", {}, 96)


def test_the_published_settings_are_a_preset_too():
    args = ["--env", "TLDR-v0", "--seed", "3"]
    assert read("magrpo", ["--preset", "paper", *args]) == read("magrpo", ["--paper", *args])


def test_actor_critics_look_further_than_the_published_ones_unless_the_paper_is_asked_for():
    model = ["--model", "m", "--env", "StrBuild-v0"]
    assert read("maac", model).lam == 0.9
    assert read("maac", ["--paper", *model]).lam == 0


@pytest.mark.parametrize("args", [["--preset", "laptops"], ["--preset"], ["--preset", "tiny"]])
def test_a_preset_that_there_is_not_is_refused_with_those_that_there_are(args):
    with pytest.raises(ValueError, match="--preset must be one of laptop, gpu, paper, got"):
        read("magrpo", args)


def test_a_preset_without_a_model_of_its_own_asks_for_one():
    with pytest.raises(ValueError, match="--preset gpu needs --model"):
        read("magrpo", ["--preset", "gpu", "--env", "TLDR-v0"])
    assert read("magrpo", ["--preset", "gpu", "--env", "TLDR-v0", "--model", "tiny"]).lora_rank == 16
