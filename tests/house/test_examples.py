"""What README.md and CONTRIBUTING.md show is run as it stands there."""

import importlib.util
import re
import shlex
import subprocess
import sys
from types import ModuleType

import pytest
import tabular
import toy_games
from folders import ROOT

import collm_envs
from baselines.cli import main
from baselines.credit.pinned import check_weights, load_pinned

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def code(text, language="python"):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def saved(folder, monkeypatch, name, source):
    """The module `name` with this source, importable for the length of a test."""
    (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def test_the_python_of_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = code(README)
    assert len(blocks) == 3
    exec(compile("\n".join(blocks), "README.md", "exec"), {"__name__": "readme"})
    shown = re.findall(r"^print\(.*\)  # (.*)$", "\n".join(blocks), re.MULTILINE)
    assert len(shown) == 2
    assert capsys.readouterr().out.splitlines() == shown


def test_the_readme_is_one_that_is_read():
    assert len(README.splitlines()) < 200
    assert "cooperative" in README[:800].lower()


def test_the_readme_installs_extras_that_exist():
    project = (ROOT / "pyproject.toml").read_text()
    extras = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    named = set(re.findall(r"pip install -e '\.\[(\w+)\]'", README))
    assert {"cli", "baselines", "wasm"} <= named <= set(re.findall(r"^(\w+) = ", extras, re.MULTILINE))
    assert "Python 3.10 to 3.13" in README
    assert 'requires-python = ">=3.10"' in project


def test_the_release_says_one_version_and_its_readme_links_lead_out_of_the_repository():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".github/release.py")
    assert spec
    assert spec.loader
    release = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(release)
    turned = release.absolute(README, "https://host/me/collm", "v9")
    assert "](https://host/me/collm/raw/v9/docs/episode.gif)" in turned
    assert [link for link in re.findall(r"\]\(([^)]+)\)", turned) if "://" not in link] == []
    version = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE) == version
    assert re.findall(r"version = \{(.+?)\}", README) == version
    assert f"## {version[0]}" in (ROOT / "CHANGELOG.md").read_text()


def commands():
    return [line[2:] for block in code(README, "console") for line in block.splitlines()]


def test_every_command_of_the_readme_names_a_verb_that_exists():
    lines = commands()
    assert {"make demo", "make test"} <= set(lines)
    assert all(line.split()[1] in main.VERBS for line in lines if line.startswith("collm "))
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{line.split()[1]}:" in makefile for line in lines if line.startswith("make "))


def test_the_commands_of_the_readme_that_need_nobody_else_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("webbrowser.open", lambda url: None)
    monkeypatch.setattr("builtins.input", lambda: ".")
    run = [line for line in commands() if line.startswith(("collm eval", "collm view", "collm play"))]
    for line in run:
        if "http" not in line and "hf:" not in line:
            assert main.main(shlex.split(line)[1:]) == 0
    assert (tmp_path / "runs/eval/mixed/pages/index.html").exists()


def test_the_training_commands_of_the_readme_have_flags_that_exist():
    from baselines.cli.train import read

    begun = [line for line in commands() if line.startswith("collm train") and "--resume" not in line]
    configs = [read(name, flags) for _, _, name, *flags in map(shlex.split, begun)]
    assert len(configs) == 5
    assert configs[1].model == "Qwen/Qwen3-1.7B"  # --paper


def test_the_readme_lists_every_environment_and_every_algorithm():
    code = (
        "import collm_envs; print(*collm_envs.registry)"  # a process of its own: other tests register theirs
    )
    ours = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert len(ours) >= 9
    assert [id for id in ours if f"| `{id}` |" not in README] == []
    files = [path.name for path in (ROOT / "baselines").glob("*.py")]
    beside = {"__init__.py", "__main__.py"}
    assert [name for name in files if name not in beside and f"baselines/{name}" not in README] == []


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_file_that_is_linked_exists(text):
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


def test_the_example_environment_and_its_tests_pass(tmp_path, monkeypatch):
    source, tests, *_ = code(CONTRIBUTING)
    saved(tmp_path, monkeypatch, "share", source)
    scope: dict = {}
    exec(compile(tests, "CONTRIBUTING.md", "exec"), scope)
    run = [function() for name, function in scope.items() if name.startswith("test_")]
    assert len(run) == 2
    env = collm_envs.make("share:Share-v0", num_agents=3)
    for seed in range(5):
        env.reset(seed=seed)
        texts = {a: env.task.players["expert"](env.task, env.snapshot, a, None) for a in env.agents}
        assert env.step(texts)[1]["agent_0"] == 1.0


def test_the_example_algorithm_learns_a_matrix_game(tmp_path, monkeypatch, training_seed):
    moving: ModuleType = saved(tmp_path, monkeypatch, "moving", code(CONTRIBUTING)[2])
    task = toy_games.matrix_game(((1, 0), (0, 0.2)))
    team = moving.Baselined(**vars(tabular.tabular_team(task, lr=0.5)))
    config = moving.Config(steps=120, episodes=16, momentum=0.5, seed=training_seed)
    returns = [metrics["return"] for metrics in moving.train(config, task, team)]
    assert sum(returns[:3]) / 3 < 0.6
    assert sum(returns[-3:]) / 3 > 0.9


def test_the_example_credit_function_is_pinned_and_passes_the_gates(tmp_path, monkeypatch):
    import torch

    source, pinning = code(CONTRIBUTING)[4:6]
    folder = tmp_path / "baselines/credit/functions"
    folder.mkdir(parents=True)
    (folder / "equal.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    exec(compile(pinning, "CONTRIBUTING.md", "exec"), {})
    made = load_pinned(folder / "equal.py").call("weights", {"table": torch.eye(3)})
    check_weights(made, (3, 2), "equal")
    assert made.tolist() == [[0.5, 0.5]] * 3
