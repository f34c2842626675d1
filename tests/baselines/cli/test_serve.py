"""`collm serve`: what is wrong is one line, before a port is opened."""

import importlib.util

import pytest

from baselines.cli.main import main

installed = importlib.util.find_spec("openenv") is not None


@pytest.mark.parametrize("kwargs", ["{", "[1]", "3"])
def test_keywords_that_are_no_json_object_are_refused(capsys, kwargs):
    assert main(["serve", "openenv", "StrBuild-v0", "--env-kwargs", kwargs]) == 2
    assert "--env-kwargs must be a JSON object, got " in capsys.readouterr().err


@pytest.mark.skipif(installed, reason="openenv is installed")
def test_without_the_library_there_is_a_line_with_what_to_install(capsys):
    assert main(["serve", "openenv", "StrBuild-v0"]) == 2
    assert capsys.readouterr().err == (
        "collm serve: this adapter needs openenv: pip install 'openenv>=0.10'\n"
    )


@pytest.mark.skipif(not installed, reason="openenv is not installed")
def test_a_wrong_seat_is_refused(capsys):
    assert main(["serve", "openenv", "StrBuild-v0", "--seat", "agent_9"]) == 2
    assert "no agent 'agent_9'" in capsys.readouterr().err
