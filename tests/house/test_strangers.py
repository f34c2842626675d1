"""A stranger's package, outside the repository: its environment and algorithm are used like ours."""

from __future__ import annotations

import json
import shlex
import shutil
import sys

import pytest
from run_folders import lines

from baselines.cli import init, main
from baselines.lm.tiny import model as tiny
from baselines.runs import algorithms
from baselines.runs.checkpoint import load_last

PYPROJECT = """[project]
name = "acme"
version = "1"

[tool.setuptools]
packages = ["acme"]
"""
TRAIN = shlex.split(
    "train acme.slow --env acme.lists:Lists-v0 --momentum 0.5 --episodes 4 --eval-episodes 2"
    " --max-new-tokens 4 --lr 1e-3 --save-every 1 --keep 9 --eval-every 0 --steps 3"
)


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """The package, in a folder on the path; what random texts earn there is not zero."""
    package = tmp_path / "acme_project" / "acme"
    package.mkdir(parents=True)
    (package.parent / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").touch()
    lists = init.written(init.KINDS["env"], "lists")["lists.py"]
    (package / "lists.py").write_text(lists.replace("return Score(once, ", "return Score(once - 0.5, "))
    (package / "slow.py").write_text(init.written(init.KINDS["algorithm"], "slow")["slow.py"])
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.chdir(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    for part in tiny.fresh(0):
        part.save_pretrained(folder)
    return str(folder)


def collm(*args):
    assert main.main(args) == 0


def refused(capsys, *args):
    assert main.main(args) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


def test_it_is_trained_resumed_evaluated_reported_and_swept_by_the_same_commands(acme, model, capsys):
    collm(*TRAIN, "--model", model)
    out = acme.parents[1] / capsys.readouterr().out.strip()
    assert out.name == "acme.slow-acme.lists-Lists-v0-seed0"
    assert [line["step"] for line in lines(out / "metrics.jsonl")] == [1, 2, 3]
    killed = out.with_name("killed")
    shutil.copytree(out, killed)
    shutil.rmtree(killed / "checkpoints" / "step-00000003")
    shutil.rmtree(killed / "agent_0")
    collm("train", "--resume", str(killed))
    assert lines(killed / "metrics.jsonl") == lines(out / "metrics.jsonl")
    ends = [load_last(folder / "checkpoints") for folder in (out, killed)]
    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[0]["b"] == ends[1]["b"] != 0
    seats = [word for k in (0, 1) for word in ("--agent", f"agent_{k}=hf:{out}/agent_{k}?max_new_tokens=4")]
    collm("eval", "acme.lists:Lists-v0", *seats, "--episodes", "2", "--out", "played")
    capsys.readouterr()
    collm("report", str(out), "played", "--out", "report")
    tables = (acme.parents[1] / "report/tables.md").read_text()
    (row,) = [line for line in tables.splitlines() if "acme.slow" in line]
    assert "1 seed" in row
    page = (acme.parents[1] / "report/index.html").read_text()
    assert "collm train acme.slow --env acme.lists:Lists-v0" in page
    settings = json.dumps({"model": model, "episodes": 4, "max_new_tokens": 4})
    line = "sweep --algorithms acme.slow --env acme.lists:Lists-v0 --trials 1 --seeds 1 --cpu-s 0.01"
    collm(*shlex.split(line), "--episodes", "2", "--out", "sweep", "--settings", settings)
    assert "acme.slow,0,0," in (acme.parents[1] / "sweep/sweep.csv").read_text()


def test_its_settings_are_checked_and_helped_with_like_ours(acme, capsys):
    with pytest.raises(SystemExit) as done:
        main.main(["train", "acme.slow", "--help"])
    assert done.value.code == 0
    assert "--momentum" in capsys.readouterr().out
    assert "did you mean '--momentum'?" in refused(capsys, "train", "acme.slow", "--momentun", "1")
    assert "--momentum must be a number" in refused(capsys, "train", "acme.slow", "--momentum", "x")
    assert "no environment 'Nowhere-v0'" in refused(capsys, "train", "acme.slow", "--env", "Nowhere-v0")
    assert "nothing was published for acme.slow" in refused(capsys, "train", "acme.slow", "--paper")
    assert "acme.slow" not in sys.modules or algorithms.module_of("acme.slow") == "acme.slow"


BASE = "from baselines.train.settings import Settings\n"
WHOLE = "class Config(Settings): pass\ndef team(config, task): pass\ndef train(config, task, team): pass\n"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "acme.slow is no algorithm to train: it lacks Config, team, train"),
        ("def team(): pass\nclass Config:\n    def train(self): pass\n", "it lacks train ("),
        ("def team(\n", "slow.py:1: "),
        ("import nowhere\n" + BASE + WHOLE, "No module named 'nowhere'"),
        (WHOLE.replace("(Settings)", ""), "it lacks label, subject, measure, save (its Config is none of"),
        ("Config = team = train = None\n", "acme.slow: Config must be a class of settings, got None"),
    ],
)
def test_what_it_lacks_is_said_in_a_line(source, message, acme, capsys):
    (acme / "slow.py").write_text(source)
    assert message in refused(capsys, "train", "acme.slow")


@pytest.mark.parametrize(
    "name", ["acme.fast", "acme.slow.train", "acme", "acme/slow.py", "acme.", ".slow", "", "-"]
)
def test_a_name_that_is_no_algorithms_is_refused(name, acme, capsys):
    err = refused(capsys, "train", name)
    assert "algorithm must be one of cory, " in err or "is no algorithm" in err


@pytest.mark.parametrize(
    "base",
    [
        "from acme.base import Base\n\nclass Config(Base):",
        "from .base import Base as Ours\n\nclass Config(Ours):",
        "from acme import base\n\nclass Config(base.Base):",
        "from baselines.train import settings\n\nclass Config(settings.Settings):",
    ],
)
def test_fields_are_found_through_whatever_a_config_inherits_from(base, acme):
    (acme / "base.py").write_text(BASE + "class Base(Settings):\n    shared_one: int = 1\n")
    (acme / "slow.py").write_text(f"{base}\n    own: float = 0.0\n")
    fields = algorithms.fields_of("acme.slow")
    assert fields is not None
    assert {"env", "steps", "own"} <= set(fields)
    assert ("shared_one" in fields) == ("Base" in base)


@pytest.mark.parametrize(
    "source",
    [
        "Config = make_config()\n",
        "class Config(base_of('x')):\n    own: int = 0\n",
        "from typing import Annotated\nclass Config:\n    own: Annotated[int, arg(name='other')] = 0\n",
    ],
)
def test_what_the_source_does_not_tell_is_left_to_the_import(source, acme):
    (acme / "slow.py").write_text(source)
    assert algorithms.fields_of("acme.slow") is None
