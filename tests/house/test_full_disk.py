"""A disk that is full at any save: one line with how to go on, and nothing half-written in the way."""

import errno
import os
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from baselines.cli import sweep
from baselines.credit import pinned
from baselines.runs import folder, texts
from baselines.runs.budget import append_rows
from baselines.runs.logs import _Lines, read_log
from collm_envs import files
from collm_envs.policies.journal import open_journal


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rust(*args, **kwargs):
    raise Exception("Error while serializing: No space left on device (os error 28)")


def torch_writer(*args, **kwargs):
    raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed")


save: Any = texts.save
write_config: Any = folder.write_config


class Team:
    """Saves one agent, then the disk is full."""

    policies: ClassVar = {"agent_0": None, "agent_1": None}

    def __init__(self, fail):
        self.fail = fail

    def save_pretrained(self, folder):
        for agent in ("agent_0", "agent_1"):
            (folder / agent).mkdir(parents=True)
            (folder / agent / "model").write_text(agent)
            if agent == "agent_1":
                self.fail()


@pytest.mark.parametrize("fail", [full, rust, torch_writer])
@pytest.mark.parametrize("before", [False, True])
def test_agents_that_cannot_be_saved_leave_what_was_there_and_say_resume(tmp_path, fail, before):
    if before:
        (tmp_path / "agent_0").mkdir()
        (tmp_path / "agent_0" / "model").write_text("old")
    with pytest.raises(
        OSError, match=rf"`collm train --resume {tmp_path}` goes on once there is room"
    ) as caught:
        save(Team(fail), tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["agent_0"] * before
    save(Team(lambda: None), tmp_path)
    assert (tmp_path / "agent_0" / "model").read_text() == "agent_0"


def test_another_error_of_a_save_stays_what_it_is(tmp_path):
    def wrong():
        raise ValueError("no such adapter")

    with pytest.raises(ValueError, match="no such adapter"):
        save(Team(wrong), tmp_path)


def test_a_run_whose_settings_cannot_be_written_is_not_begun(tmp_path, monkeypatch):
    plan = SimpleNamespace(to_dict=dict)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="nothing was begun; make room"):
        patched.setattr(files.os, "replace", full)
        write_config(tmp_path, "maac", plan)
    assert list(tmp_path.iterdir()) == []
    folder.check_free(tmp_path)


def test_a_full_disk_while_a_runs_numbers_are_written_says_resume_and_keeps_them(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    lines = _Lines(path, 0)
    lines.write({"step": 1})
    with monkeypatch.context() as patched, pytest.raises(OSError, match="goes on from the last checkpoint"):
        patched.setattr("pathlib.Path.open", full)
        lines.write({"step": 2})
    with path.open("a") as file:
        file.write('{"step": 2, "ret')
    assert read_log(path) == [{"step": 1}]
    _Lines(path, 1).write({"step": 2})
    assert read_log(path) == [{"step": 1}, {"step": 2}]


def test_a_sweep_takes_a_cut_row_away_and_counts_a_run_once(tmp_path):
    file = tmp_path / "sweep.csv"
    row = dict.fromkeys(sweep.FIELDS, "1")
    append_rows(file, [row])
    append_rows(file, [row])
    with file.open("a") as lines:
        lines.write("maac,0,")
    assert sweep.read(file) == [row]
    append_rows(file, [{**row, "seed": "2"}])
    assert [one["seed"] for one in sweep.read(file)] == ["1", "2"]


def test_a_sweep_that_was_full_before_its_first_row_begins_anew(tmp_path):
    file = tmp_path / "sweep.csv"
    file.touch()
    append_rows(file, [dict.fromkeys(sweep.FIELDS, "1")])
    assert len(sweep.read(file)) == 1


@pytest.mark.parametrize("text", ['{"algorithm": "maac", "con', "", "[]", '{"algorithm": "maac"}'])
def test_a_cut_or_edited_config_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path}/config.json (cannot be read|is no run's)"):
        folder.stored_config(tmp_path)


def test_a_damaged_line_of_a_runs_numbers_is_named_and_a_cut_one_left_out(tmp_path):
    path = tmp_path / "eval.jsonl"
    path.write_bytes('\ufeff{"step": 1, "note": "a\u2028b"}\r\n\n{"step": 2}\n{"st'.encode())
    assert [line["step"] for line in read_log(path)] == [1, 2]
    path.write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"eval.jsonl:2: not a line of JSON"):
        read_log(path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sha256": "0"}'])
def test_a_cut_or_edited_manifest_is_named(tmp_path, text):
    (tmp_path / "f.py").write_text("def baseline(ctx, feat, me):\n    return 0.0\n")
    (tmp_path / "f.json").write_text(text)
    with pytest.raises((ValueError, pinned.Refused), match=r"f.json(: no manifest| cannot be read)"):
        pinned.load_pinned(tmp_path / "f.py")


@pytest.mark.parametrize("end", ["", '{"call": "b", "ans'])
def test_a_transcript_reads_what_is_whole_and_names_what_is_damaged(tmp_path, end):
    path = tmp_path / "transcript.jsonl"
    path.write_text('{"call": "a", "answer": "x"}\n' + end)
    with open_journal(path, messages=True) as transcript:
        assert transcript.answered
    assert path.read_text() == '{"call": "a", "answer": "x"}\n'
    path.write_text('{"call": "a", "ans\n{"call": "b", "answer": "x"}\n')
    with pytest.raises(ValueError, match=r"transcript.jsonl:1: not a line of JSON"), open_journal(path):
        pass
    path.write_text('["a", "x", {}]\n')
    with pytest.raises(ValueError, match="need a JSON object on each line, got list"), open_journal(path):
        pass
