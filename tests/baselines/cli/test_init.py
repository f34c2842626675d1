"""`collm init`: two files that run as they are, under a name that hides nothing, over no other file."""

from __future__ import annotations

import re
import runpy
import sys

import pytest
from folders import ROOT

from baselines.cli import init, main

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_files_are_the_examples_of_contributing():
    shown = re.findall(r"^```python\n(.*?)^```$", CONTRIBUTING, flags=re.MULTILINE | re.DOTALL)
    templates = [init.template(name) for name in ("env", "env_test", "algorithm", "algorithm_test")]
    assert shown[:4] == templates
    assert [*init.written(init.KINDS["env"], "share").values()] == templates[:2]
    assert [*init.written(init.KINDS["algorithm"], "moving").values()] == templates[2:]


def test_an_environment_and_an_algorithm_pass_their_tests_as_they_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["init", "env", "two_lists"]) == 0
    assert main.main(["init", "algorithm", "slow"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == ["two_lists.py", "test_two_lists.py", "slow.py", "test_slow.py"]
    assert "try  collm eval two_lists:TwoLists-v0" in said.err
    for name in ("share", "moving"):  # nothing of the examples' names is left in code
        files = [path.read_text() for path in tmp_path.glob("*.py")]
        assert not [text for text in files if re.search(rf"import {name}|{name}\.|{name}:|test_{name}", text)]
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "cache"))
    tests = {}
    for name in ("two_lists", "slow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        tests |= runpy.run_path(str(tmp_path / f"test_{name}.py"))
    passed = []
    for name, test in tests.items():
        if name.startswith("test_"):
            test(*[tmp_path] * test.__code__.co_argcount)
            passed.append(name)
    assert len(passed) == 3


@pytest.mark.parametrize("there", ["mine.py", "test_mine.py"])
def test_a_file_that_is_there_is_kept_and_nothing_is_written(there, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / there).write_text("kept = True\n")
    assert main.main(["init", "env", "mine"]) == 2
    assert f"{there} is there already; nothing was written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "kept = True\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["env"], "need `collm init env NAME` or `collm init algorithm NAME`, got 'env'"),
        (["envs", "mine"], "need `collm init env NAME`"),
        (["env", "mine", "too"], "need `collm init env NAME`"),
        (["env", "Mine"], "NAME must be small letters, digits and _"),
        (["env", "my-task"], "NAME must be small letters"),
        (["env", "../mine"], "NAME must be small letters"),
        (["env", "class"], "no word of Python's, got 'class'"),
        (["algorithm", "test_mine"], "NAME must not begin with test_"),
        (["algorithm", "json"], "there is a module 'json' already, which this one would hide"),
        (["algorithm", "baselines"], "there is a module 'baselines' already"),
        (["algorithm", "maac"], "there is a module 'maac' already"),
        (["env", "str_build"], "there is an environment StrBuild-v0 already"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_a_line(args, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["init", *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
