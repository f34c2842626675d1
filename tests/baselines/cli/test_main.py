"""The command line: verbs that need no torch, one line for a wrong argument, files where they are said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import toy_task
from chat_stub import serve

import collm_envs
from baselines.cli import main
from collm_envs.catalogue import html, markdown
from collm_envs.record import read
from collm_envs.replay import replay

ADDING = "toy_task:Adding-v0"


def collm(capsys, *args):
    """(exit status, what was printed, what was printed to stderr)."""
    status = main.main(args)
    return status, *capsys.readouterr()


def test_without_a_verb_all_verbs_are_named(capsys):
    for args in ((), ("--help",), ("help",)):
        status, out, _ = collm(capsys, *args)
        assert status == 0
        assert all(f"  {name} " in out for name in main.VERBS)


def test_an_unknown_verb_is_refused_with_the_known_ones(capsys):
    status, _, err = collm(capsys, "evals")
    assert (status, err.count("\n")) == (2, 1)
    assert "no verb 'evals'; there are envs, " in err


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_in_the_table_exists(verb):
    assert callable(main._load(main.VERBS[verb].function))


def test_the_verbs_without_torch_import_none(tmp_path):
    records = tmp_path / "r"
    script = f"""
import sys
from baselines.cli import main as cli
assert cli.main(["envs"]) == 0
assert cli.main(["envs", "StrBuild-v0"]) == 0
assert cli.main(["eval", "StrBuild-v0", "--out", {str(records)!r}]) == 0
assert cli.main(["view", {str(records)!r}, "--no-open"]) == 0
assert cli.main(["play", "StrBuild-v0", "--agent", "agent_0=noisy"]) == 0
heavy = sorted({{"torch", "transformers", "peft", "datasets"}} & set(sys.modules))
assert heavy == [], heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_envs_lists_every_environment_with_its_agents_turns_and_items(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    _, out, _ = collm(capsys, "envs")
    for id in collm_envs.registry:
        assert id in out
    line = next(line for line in out.splitlines() if "Adding-v0" in line)
    assert line.split() == [
        "Adding-v0",
        "2",
        "4",
        "-1",
        "to",
        "1",
        "3",
        "+",
        "2",
        "add",
        "up",
        "to",
        "a",
        "goal",
    ]


def test_a_page_shows_the_docstring_the_keywords_and_the_first_prompt(capsys, tmp_path):
    _, out, _ = collm(capsys, "envs", ADDING)
    assert toy_task.Adding.__doc__.splitlines()[0] in out
    assert f"collm_envs.make('{ADDING}')" in out
    for name in ("page.md", "page.html"):
        collm(capsys, "envs", ADDING, "--page", str(tmp_path / name))
        text = (tmp_path / name).read_text()
        assert "self_contained" in text
        assert "Write numbers, one a line." in text
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_the_catalogue_holds_every_environment():
    pages = markdown(), html()
    for id in collm_envs.registry:
        assert f"# {id}\n" in pages[0]
        assert f'<div id="{id}">' in pages[1]


def test_eval_writes_records_and_a_table_and_goes_on_where_it_was(capsys, tmp_path):
    args = (
        "eval",
        ADDING,
        "--policy",
        "noisy",
        "--agent",
        "agent_1=expert",
        "--seeds",
        "2",
        "--out",
        str(tmp_path),
    )
    status, out, _ = collm(capsys, *args, "--episodes", "3")
    assert status == 0
    assert "agent_0 noisy, agent_1 expert" in out
    first = (tmp_path / "records.jsonl").read_text()
    assert len(first.splitlines()) == 6
    assert {replay(one).status for one in read(tmp_path / "records.jsonl")} == {"equal"}
    rows = {row["measure"]: row for row in json.loads((tmp_path / "table.json").read_text())}
    assert rows["score"]["n"] == 3
    collm(capsys, *args, "--episodes", "5")
    assert (tmp_path / "records.jsonl").read_text().startswith(first)
    assert len(list(read(tmp_path / "records.jsonl"))) == 10
    status, out, _ = collm(capsys, *args, "--episodes", "1")  # the table stays that of the folder
    rows = {row["measure"]: row for row in json.loads((tmp_path / "table.json").read_text())}
    assert rows["score"]["n"] == 5
    assert "10 episodes in " in out
    assert "2 were asked for; the table is of all 10" in out


def test_eval_says_which_episodes_have_no_score_and_ends_with_1(capsys, tmp_path):
    plan = {"on": True}

    def behave(body, seen):
        return "brackets" if plan["on"] and "Goal: 7." in body["messages"][0]["content"] else "good"

    with serve(behave) as stub:
        args = ("eval", ADDING, "--policy", f"openai:{stub.url}#m", "--episodes", "6", "--out", str(tmp_path))
        status, out, _ = collm(capsys, *args)
        assert status == 1
        assert "episodes have no score" in out
        assert "HTTP 400 Bad Request: a [key] in [/brackets]" in " ".join(out.split())
        plan["on"] = False
        status, out, _ = collm(capsys, *args)
    assert status == 0
    assert len(list(read(tmp_path / "records.jsonl"))) == 6
    assert set(stub.paid.values()) == {1}


def test_view_makes_a_list_and_a_page_an_episode(capsys, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    collm(capsys, "eval", "StrBuild-v0", "--out", str(tmp_path))
    status, out, _ = collm(capsys, "view", str(tmp_path))
    assert status == 0
    assert "2 episodes" in out
    assert opened == [(tmp_path / "pages/index.html").as_uri()]
    assert "00002.html" in (tmp_path / "pages/index.html").read_text()
    assert "str_build_0010" in (tmp_path / "pages/00002.html").read_text()


def test_what_eval_says_to_look_with_works_for_an_environment_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from collm_envs import register\nregister('Mine-v0', 'collm_envs.building.strbuild.task:StrBuild')\n"
    )

    def installed(*args):
        line = [str(Path(sys.executable).parent / "collm"), *args]
        done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = installed("eval", "mine:Mine-v0", "--out", "runs").split("look at them with  collm ")[1].split()
    assert told == ["view", "runs", "--env", "mine:Mine-v0"]
    installed(*told, "--no-open")
    assert (tmp_path / "runs/pages/00002.html").exists()


def test_a_person_plays_with_a_policy_and_keeps_the_record(capsys, tmp_path, monkeypatch):
    lines = iter(["5", "x", "."] * 4)
    monkeypatch.setattr("builtins.input", lambda: next(lines))
    path = tmp_path / "mine.jsonl.gz"
    status, out, _ = collm(capsys, "play", ADDING, "--item", "eval/1", "--seed", "3", "--out", str(path))
    assert status == 0
    assert "no effect: x  (not a whole number)" in out
    (one,) = read(path)
    assert one.agents == {"agent_0": "human", "agent_1": "expert"}
    assert one.turns[0]["texts"]["agent_0"] == "5\nx"
    assert replay(one).status == "equal"
    assert f"return {sum(turn['reward'] for turn in one.turns):.3f} over 4 turns" in out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("eval", "Strbuild-v0"), "no environment 'Strbuild-v0'; did you mean 'StrBuild-v0'?"),
        (("eval", ADDING, "--policy", "exprt"), "no player 'exprt'; did you mean 'expert'?"),
        (("eval", ADDING, "--policy", "gpt:4"), "no policy 'gpt:4'"),
        (("eval", ADDING, "--agent", "agent_0"), "--agent must be AGENT=POLICY, got 'agent_0'"),
        (("eval", ADDING, "--agent", "agent_7=expert"), "no agents ['agent_7']"),
        (("eval", ADDING, "--env-kwargs", "[1]"), "--env-kwargs must be a JSON object, got '[1]'"),
        (("eval", ADDING, "--env-kwargs", "{"), "--env-kwargs must be a JSON object, got '{'"),
        (("eval", ADDING, "--env-kwargs", '{"turn": 3}'), "no keyword 'turn'; did you mean 'turns'?"),
        (("eval", ADDING, "--split", "test"), "split must be 'train' or 'eval'"),
        (("eval", ADDING, "--episodes", "0"), "must be at least 1"),
        (("play", ADDING, "--item", "eval/9"), "no item 'eval/9'"),
        (("view", "no/such/file.jsonl"), "No such file"),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_2(args, said, capsys):
    status, _, err = collm(capsys, *args)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("closed", "args", "status", "line"),
    [
        ("stdin", ("play", ADDING), 2, "collm play: human: the input ended before agent_0 wrote a line"),
        ("stdout", ("envs",), 0, ""),
        ("stderr", ("nosuch",), 2, ""),
        ("stdout", ("eval", ADDING, "--out", "played"), 0, "Adding-v0 "),
    ],
)
def test_a_standard_stream_that_is_closed_is_the_null_device(
    closed, args, status, line, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, closed, None)
    assert main.main(args) == status
    vars(sys)[closed].close()
    monkeypatch.undo()
    assert capsys.readouterr().err.startswith(line)


def test_a_deleted_current_folder_is_named(capsys, monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    status, _, err = collm(capsys, "envs")
    assert (status, err) == (2, "collm: the current folder has been deleted; change to another one\n")


def test_a_full_disk_behind_the_output_is_one_line(capsys, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    for args in (["--version"], ["--help"], ["envs"]):
        with open("/dev/full", "w") as full:
            monkeypatch.setattr(sys, "stdout", full)
            assert main.main(args) == 2
            monkeypatch.undo()
        assert capsys.readouterr().err.endswith(": No space left on device\n")


@pytest.mark.parametrize(
    ("verb", "package", "extra"),
    [
        ("envs", "tyro", "cli"),
        ("leaderboard", "tyro", "cli"),
        ("play", "rich", "cli"),
        ("train", "torch", "baselines"),
    ],
)
def test_a_package_that_is_not_installed_is_named_with_what_brings_it(verb, package, extra):
    """In a process of its own, where that package cannot be imported."""
    without = f"import sys; sys.modules[{package!r}] = None"
    code = f"{without}; from baselines.cli import main as cli; sys.exit(cli.main([{verb!r}]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    want = f"collm {verb}: it needs the package {package!r}: pip install 'collm[{extra}]'"
    assert done.stderr.startswith(want)
    assert done.stderr.count("\n") == 1


def test_the_traceback_is_shown_on_request(monkeypatch):
    monkeypatch.setenv("COLLM_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main.main(["eval", "Nothing-v0"])
