"""A folder of results: one writer, one model, each episode once, and how to go on after whatever happened."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from folders import ROOT, SUPPORT

import collm_envs
from collm_envs import files
from collm_envs.evaluation.episodes import evaluate, jobs, kept, set_aside
from collm_envs.evaluation.measures import empty_replies, measure_table
from collm_envs.files import drafted, one_writer, saving, write_whole
from collm_envs.policies.seat import Reply
from collm_envs.policies.specs import seat_all
from collm_envs.record import read, unique, write
from collm_envs.replay import replay

HOLD = """
import sys, time
from pathlib import Path
from collm_envs.files import one_writer
with one_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder):
    """Another process that writes to the folder until its input is closed."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_writer_is_refused_by_name_and_let_in_when_the_first_is_done(tmp_path):
    child = holder(tmp_path)
    with (
        pytest.raises(RuntimeError, match=f"is being written by process {child.pid} on "),
        one_writer(tmp_path),
    ):
        pass
    child.communicate("")
    with one_writer(tmp_path), one_writer(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_dies_with_its_process_and_with_kill_9(tmp_path):
    child = holder(tmp_path)
    with child:  # closes its pipes
        os.kill(child.pid, signal.SIGKILL)
    assert (tmp_path / ".lock").exists()
    with one_writer(tmp_path):
        pass


def test_a_lock_is_let_go_by_an_exception(tmp_path):
    with pytest.raises(ZeroDivisionError), one_writer(tmp_path):
        raise ZeroDivisionError
    holder(tmp_path).communicate("")


def test_a_file_system_without_locks_is_said_and_no_obstacle(tmp_path, monkeypatch):
    def refuse(file):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files, "_lock", refuse)
    with pytest.warns(UserWarning, match="cannot be locked .*No locks available"), one_writer(tmp_path):
        pass


def adding(**kwargs):
    return collm_envs.make("toy_task:Adding-v0", **kwargs)


def test_two_evaluations_of_one_folder_at_once_are_refused(tmp_path):
    env, child = adding(), holder(tmp_path)
    with pytest.raises(RuntimeError, match="is being written by process"):
        evaluate(env, seat_all(env.task, "noisy", {}), jobs(env), tmp_path)
    child.communicate("")
    assert str(evaluate(env, seat_all(env.task, "noisy", {}), jobs(env), tmp_path)) == "2 played"


class Model:
    """Writes its number; its name does not tell it, its digest does."""

    name = "hf:m"

    def __init__(self, number, usage=None):
        self.number, self.digest, self.usage = number, f"{number:064x}", usage or {}

    def act(self, seats):
        return [Reply(str(self.number), self.usage) for _ in seats]


def team(env, model):
    return dict.fromkeys(env.possible_agents, model)


def test_other_weights_under_the_same_name_are_refused_and_play_anew_once_set_aside(tmp_path):
    env, before, after = adding(), Model(1), Model(2)
    evaluate(env, team(env, before), jobs(env, episodes=2), tmp_path)
    with pytest.raises(
        ValueError, match=r"agent_0 \(hf:m\) has other weights or another program: digest 0000"
    ):
        evaluate(env, team(env, after), jobs(env, episodes=4), tmp_path)
    assert set_aside(tmp_path, env, team(env, before)) == ""
    assert "what they wrote is in" in set_aside(tmp_path, env, team(env, after))
    evaluate(env, team(env, after), jobs(env, episodes=4), tmp_path)
    assert {turn["texts"]["agent_0"] for one in kept(tmp_path) for turn in one.turns} == {"2"}
    (earlier,) = tmp_path.glob("earlier-*")
    assert len(list(read(earlier / "records.jsonl"))) == 2


def test_a_folder_of_another_environment_is_never_set_aside(tmp_path):
    env, other = adding(), adding(num_agents=3)
    evaluate(env, team(env, Model(1)), jobs(env), tmp_path)
    assert set_aside(tmp_path, other, team(other, Model(2))) == ""
    assert len(list(kept(tmp_path))) == 2


def test_how_many_were_kept_and_played_is_said(tmp_path):
    env = adding()
    said = [str(evaluate(env, team(env, Model(1)), jobs(env, episodes=n), tmp_path)) for n in (3, 5, 5)]
    assert said == ["3 played", "3 kept, 2 played", "complete already: 5 of 5, nothing was played"]


def test_an_interrupted_evaluation_says_what_is_kept(tmp_path):
    env = adding()

    def stop(outcome):
        if outcome.seed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"2 of 4 kept in .*; the same command goes on"):
        evaluate(env, team(env, Model(1)), jobs(env, episodes=4), tmp_path, at_once=1, notify=stop)


def played(tmp_path):
    env = adding()
    evaluate(env, seat_all(env.task, "noisy", {}), jobs(env, episodes=3), tmp_path)
    return tmp_path / "records.jsonl"


def test_an_episode_that_stands_there_twice_counts_once(tmp_path):
    path = played(tmp_path)
    path.write_text(path.read_text() * 2)
    assert len(list(read(path))) == 6
    assert len(list(unique(read(path)))) == len(list(kept(tmp_path))) == 3


@pytest.mark.parametrize("field", ["content_hash", "kwargs", "agents"])
def test_an_episode_of_another_evaluation_among_the_records_is_refused(tmp_path, field):
    path = played(tmp_path)
    lines = path.read_text().splitlines()
    changed = json.loads(lines[1])
    changed[field] = {"content_hash": "0" * 64, "kwargs": {"max_turns": 9}, "agents": {"agent_0": "x"}}[field]
    path.write_text("\n".join([lines[0], json.dumps(changed), lines[2]]) + "\n")
    with pytest.raises(ValueError, match=rf"an episode of another evaluation \(item .*\): {field} is"):
        list(kept(tmp_path))


@pytest.mark.parametrize("end", [b"", b'{"env": "x', '{"env": "ä'.encode()[:-1]])
def test_a_cut_last_line_is_skipped_and_a_damaged_one_within_is_named(tmp_path, end):
    path = played(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + end)
    if end.endswith(b"\xc3"):
        with pytest.raises(ValueError, match="damaged or cut short"):
            list(read(path))
        return
    assert len(list(read(path))) == 3
    path.write_bytes(whole + end + b"\n" + whole)
    if end:
        with pytest.raises(ValueError, match=r"records.jsonl:4: record: not JSON"):
            list(read(path))


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b""])
def test_a_byte_order_mark_and_other_line_ends_are_read(tmp_path, mark):
    path = played(tmp_path)
    path.write_bytes(mark + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(list(read(path))) == 3


def test_a_cut_gzip_file_is_named(tmp_path):
    path = tmp_path / "r.jsonl.gz"
    write(read(played(tmp_path)), path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"r.jsonl.gz:\d: damaged or cut short"):
        list(read(path))


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_two_threads_that_write_one_file_do_not_write_to_one_draft(tmp_path):
    target = tmp_path / "file.json"
    with drafted(target) as draft:
        draft.write_text("the first thread's")
        thread = threading.Thread(target=write_whole, args=(target, "the second thread's"))
        thread.start()
        thread.join()
        assert target.read_text() == "the second thread's"
    assert target.read_text() == "the first thread's"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_the_old_file_and_says_how_to_go_on(tmp_path, monkeypatch):
    path = tmp_path / "r.json"
    write_whole(path, "old")
    monkeypatch.setattr(files.os, "replace", full)
    with (
        pytest.raises(OSError, match=r"it could not be written \(No space left on device\); make room"),
        saving("it", "make room"),
    ):
        write_whole(path, "new")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("r.json", "old")]


def test_a_full_disk_in_an_evaluation_keeps_what_was_written(tmp_path, monkeypatch):
    env = adding()

    def fill(outcome):
        monkeypatch.setattr("collm_envs.record.Record.to_json", full)

    with monkeypatch.context(), pytest.raises(OSError, match=r"1 of 3 kept in .*; the same command goes on"):
        evaluate(env, team(env, Model(1)), jobs(env, episodes=3), tmp_path, at_once=1, notify=fill)
    monkeypatch.undo()
    assert str(evaluate(env, team(env, Model(1)), jobs(env, episodes=3), tmp_path)) == "1 kept, 2 played"


LIMITED = """
import resource, sys
import collm_envs
from collm_envs.evaluation import evaluate, jobs
from collm_envs.policies import seat_all
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
env = collm_envs.make("TLDR-v0")
print(evaluate(env, seat_all(env.task, "expert", {}), jobs(env, episodes=8), sys.argv[1], at_once=1))
"""


def test_a_file_that_really_cannot_grow_ends_in_one_line_and_the_same_command_goes_on(tmp_path):
    def play(limit):
        code = [sys.executable, "-c", LIMITED, str(tmp_path / "e"), str(limit)]
        return subprocess.run(code, capture_output=True, text=True)

    stopped = play(12_000)
    assert stopped.returncode == 1
    last = stopped.stderr.strip().splitlines()[-1]
    (kept_now,) = re.findall(
        r"records.jsonl could not be written \(File too large\); (\d) of 8 kept in ", last
    )
    assert 0 < int(kept_now) < 8
    assert play(2**30).stdout == f"{kept_now} kept, {8 - int(kept_now)} played\n"


def test_a_full_disk_while_a_folder_is_claimed_leaves_nothing_that_stands_in_the_way(tmp_path, monkeypatch):
    env = adding()
    with monkeypatch.context() as patched, pytest.raises(OSError, match="give the same command again"):
        patched.setattr(Path, "write_text", full)
        evaluate(env, team(env, Model(1)), jobs(env), tmp_path)
    assert str(evaluate(env, team(env, Model(1)), jobs(env), tmp_path)) == "2 played"


@pytest.mark.parametrize(
    ("text", "usage", "line"),
    [
        ("", {"finish_reason": "length"}, "8 of 8 replies were empty (length: 8)"),
        (" ", {"finish_reason": "stop", "empty": "refusal"}, "8 of 8 replies were empty (refusal: 8)"),
        ("7", {"finish_reason": "stop"}, ""),
        ("", {}, ""),
    ],
)
def test_empty_replies_of_models_are_counted_with_their_reasons(text, usage, line):
    env = adding()
    model = Model(1, usage)
    model.act = lambda seats: [Reply(text, usage) for _ in seats]
    records = evaluate(env, team(env, model), jobs(env, episodes=1)).records
    assert empty_replies(records) == line
    counted = [row.mean for row in measure_table(records) if row.measure == "empty_replies"]
    assert counted == [8.0] * bool(line)


OWN = """
from collm_envs import register
from toy_task import Adding as Toy
class Adding(Toy):
    revision = 7
register("Own-v0", "own_env:Adding")
"""


@pytest.mark.parametrize("named", ["own_env:Own-v0", "own_register:Own-v0"])
def test_a_record_of_an_environment_of_ones_own_is_found_without_naming_it(tmp_path, named):
    *task, line = OWN.strip().splitlines()
    apart = named.startswith("own_register")
    (tmp_path / "own_env.py").write_text("\n".join(task if apart else [*task, line]))
    (tmp_path / "own_register.py").write_text(f"{task[0]}\n{line}\n")
    path = os.pathsep.join([str(tmp_path), str(SUPPORT), str(ROOT)])
    play = (
        "import collm_envs; from collm_envs.evaluation import *\n"
        "from collm_envs.policies import seat_all\n"
        f"env = collm_envs.make({named!r}); evaluate(env, seat_all(env.task, 'noisy', {{}}), jobs(env), 'e')"
    )
    again = (
        "from collm_envs.record import read\nfrom collm_envs.replay import replay, scenes\n"
        "print([(replay(r).status, len(scenes(r)) > 1) for r in read('e/records.jsonl')])"
    )
    for code in (play, again):
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
        )
        assert run.returncode == 0, run.stderr.decode()
    assert run.stdout.decode() == "[('equal', True), ('equal', True)]\n"


@pytest.mark.parametrize(
    ("module", "error", "match"),
    [
        ("subprocess", ValueError, "'subprocess' is a module of Python and registers nothing"),
        ("no_such.module", ImportError, "its module 'no_such.module' cannot be imported"),
        ("toy_games", KeyError, "no environment 'Gone-v0'"),
    ],
)
def test_a_record_whose_module_brings_no_such_environment_is_refused(tmp_path, module, error, match):
    one = replace(next(read(played(tmp_path))), env="Gone-v0", module=module)
    with pytest.raises(error, match=match):
        replay(one)


def test_records_of_this_packages_environments_name_no_module(tmp_path):
    env = collm_envs.make("TLDR-v0")
    (one,) = evaluate(env, seat_all(env.task, "noisy", {}), jobs(env, episodes=1)).records
    assert '"module"' not in one.to_json()
    assert '"module": "toy_task"' in next(read(played(tmp_path))).to_json()
