"""Evaluation: the right episodes, in batches, written as they end, and nothing paid for twice."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from chat_stub import serve
from folders import SUPPORT

import collm_envs
from collm_envs.evaluation.episodes import Job, evaluate, jobs, shares
from collm_envs.evaluation.measures import measure_table, measures
from collm_envs.policies.local import Scripted
from collm_envs.policies.openai import OpenAI
from collm_envs.policies.seat import Reply
from collm_envs.policies.specs import seat_all
from collm_envs.record import read
from collm_envs.replay import replay


def adding(**kwargs):
    return collm_envs.make("toy_task:Adding-v0", **kwargs)


def players(env, name="noisy"):
    return seat_all(env.task, name, {})


def played(done):
    """What was played, by job; without the clock."""
    return {
        Job(one.split, one.item, one.seed, one.trial): [(turn["texts"], turn["reward"]) for turn in one.turns]
        for one in done.records
    }


class Numbers:
    """Every reply is 7; counts its calls and the seats in each."""

    name = "numbers"

    def __init__(self):
        self.calls = []

    def act(self, seats):
        self.calls.append(len(seats))
        return [Reply("7", {"tokens_read": 10, "tokens_written": 2, "seconds": 0.5}) for _ in seats]


def test_jobs_are_pairs_of_item_and_seed_played_as_often_as_asked():
    env = adding()
    assert jobs(env, episodes=3, seeds=2) == [
        Job("eval", "eval/0", 0, 0),
        Job("eval", "eval/1", 1, 0),
        Job("eval", "eval/0", 2, 0),
        Job("eval", "eval/0", 0, 1),
        Job("eval", "eval/1", 1, 1),
        Job("eval", "eval/0", 2, 1),
    ]
    assert len(jobs(env)) == 2
    assert len(jobs(env, split="train")) == 3
    with pytest.raises(ValueError, match="at least 1, got 0 and 1"):
        jobs(env, episodes=0)


def test_all_seats_of_a_policy_are_asked_at_once_and_ended_episodes_make_room():
    env, policy = adding(), Numbers()
    evaluate(env, dict.fromkeys(env.possible_agents, policy), jobs(env, episodes=10), at_once=4)
    assert policy.calls == [8] * 8 + [4] * 4


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_the_size_of_the_batch_changes_nothing_that_is_played(at_once):
    env = adding()
    todo = jobs(env, episodes=10, seeds=2)
    done = evaluate(env, players(env), todo, at_once=at_once)
    assert played(done) == played(evaluate(env, players(env), todo))
    assert set(played(done)) == set(todo)
    assert {replay(one).status for one in done.records} == {"equal"}


def test_repetitions_of_a_pair_differ_and_the_same_evaluation_does_not():
    env = adding()
    first = evaluate(env, players(env, "random"), jobs(env, episodes=1, seeds=2))
    one, two = played(first).values()
    assert one != two
    assert first.records[0].turns[0]["prompts"] == first.records[1].turns[0]["prompts"]


def test_what_is_already_in_the_folder_is_not_played_again(tmp_path):
    env, policy = adding(), Numbers()
    both = dict.fromkeys(env.possible_agents, policy)
    evaluate(env, both, jobs(env, episodes=3), tmp_path)
    before = (tmp_path / "records.jsonl").read_text()
    policy.calls.clear()
    heard = []
    done = evaluate(env, both, jobs(env, episodes=5), tmp_path, notify=heard.append)
    assert policy.calls == [4] * 4
    assert (len(done.records), len(heard)) == (5, 5)
    assert (tmp_path / "records.jsonl").read_text().startswith(before)
    assert not (tmp_path / "calls.jsonl").exists()


def test_a_line_that_a_kill_cut_short_is_played_again(tmp_path):
    env = adding()
    todo = jobs(env, episodes=4)
    whole = evaluate(env, players(env), todo, tmp_path)
    path = tmp_path / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "calls.jsonl").write_text('["half a li')
    assert played(evaluate(env, players(env), todo, tmp_path)) == played(whole)
    assert len(list(read(path))) == 4


@pytest.mark.parametrize("what", ["agents", "kwargs", "max_cycles", "hash"])
def test_a_folder_with_another_evaluation_is_refused(tmp_path, what):
    env = adding()
    evaluate(env, players(env), jobs(env), tmp_path)
    other = {
        "agents": (env, players(env, "expert")),
        "kwargs": (adding(num_agents=3), players(adding(num_agents=3))),
        "max_cycles": (adding(max_cycles=2), players(env)),
        "hash": (adding(items=[{"goal": 1}]), players(env)),
    }[what]
    with pytest.raises(ValueError, match="holds another evaluation: "):
        evaluate(*other, jobs(other[0]), tmp_path)
    assert len(list(read(tmp_path / "records.jsonl"))) == 2


@pytest.mark.parametrize("wrong", ["", '{"env": "toy', "[1]"])
def test_a_folder_whose_claim_cannot_be_read_is_refused_by_its_name(tmp_path, wrong):
    env = adding()
    evaluate(env, players(env), jobs(env), tmp_path)
    claim = tmp_path / "eval.json"
    claim.write_text(wrong)
    with pytest.raises(ValueError, match=f"{re.escape(str(claim))} cannot be read"):
        evaluate(env, players(env), jobs(env), tmp_path)


def test_a_kill_while_a_folder_is_claimed_leaves_no_half_a_claim(tmp_path, monkeypatch):
    env = adding()

    def kill(path, text, **how):
        path.write_bytes(text.encode()[:10])
        raise Stopped

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(Path, "write_text", kill)
        evaluate(env, players(env), jobs(env), tmp_path)
    assert len(evaluate(env, players(env), jobs(env), tmp_path).records) == 2
    assert json.loads((tmp_path / "eval.json").read_text())["env"] == env.spec.id
    assert {path.name for path in tmp_path.iterdir()} == {"eval.json", "records.jsonl"}


class Surrogates(Numbers):
    """What it says of its reply holds halves of characters."""

    name = "surrogates"

    def act(self, seats):
        usage = {"drafts": ["a\ud800"], "finish_reason": "\udfff", "more": {"\ud800": ("\ud800",)}}
        return [Reply("7\ud800", usage) for _ in seats]


def test_what_a_policy_says_of_a_reply_is_mended_like_its_text(tmp_path):
    env = adding()
    evaluate(env, dict.fromkeys(env.possible_agents, Surrogates()), jobs(env, episodes=1), tmp_path)
    (one,) = read(tmp_path / "records.jsonl")
    said = one.turns[0]["usage"]["agent_0"]
    assert one.turns[0]["texts"]["agent_0"] == "7\ufffd"
    assert (said["drafts"], said["finish_reason"]) == (["a\ufffd"], "\ufffd")
    assert said["more"] == {"\ufffd": ["\ufffd"]}


def endpoint(url, **kwargs):
    return OpenAI(url, "m", **{"pause_s": 0.001, "timeout_s": 60.0, "concurrency": 4, **kwargs})


class Stopped(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 8])
def test_a_run_that_is_stopped_and_started_again_pays_for_no_call_twice(tmp_path, after):
    env = adding()
    todo = jobs(env, episodes=10)

    def stop(outcome):
        heard.append(outcome)
        if len(heard) == after:
            raise Stopped

    with serve(lambda body, seen: "good") as stub:
        both = dict.fromkeys(env.possible_agents, endpoint(stub.url))
        heard = []
        with pytest.raises(Stopped):
            evaluate(env, both, todo, tmp_path, at_once=3, notify=stop)
        done = evaluate(env, both, todo, tmp_path, at_once=5)
    assert len(done.records) == 10
    assert len(stub.paid) == 10 * 4 * 2
    assert set(stub.paid.values()) == {1}


RUN = """
import sys
sys.path.insert(0, {tests!r})
import toy_task, collm_envs
from collm_envs.policies.openai import OpenAI
from collm_envs.evaluation import evaluate, jobs
env = collm_envs.make("toy_task:Adding-v0")
policy = OpenAI({url!r}, "m", concurrency=4)
evaluate(env, dict.fromkeys(env.possible_agents, policy), jobs(env, episodes=12), {out!r}, at_once=6)
"""


def test_a_run_killed_with_9_goes_on_and_repeats_only_the_calls_that_were_under_way(tmp_path):
    killed = threading.Event()

    def answer_forty_before_the_kill(body, seen):
        if sum(stub.paid.values()) >= 40:
            killed.wait(600)  # so long takes nothing that works, however busy the machine
        return "good"

    with serve(answer_forty_before_the_kill) as stub:
        code = RUN.format(tests=str(SUPPORT), url=stub.url, out=str(tmp_path))
        first = subprocess.Popen([sys.executable, "-c", code])
        while sum(stub.paid.values()) < 40:
            assert first.poll() is None
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        killed.set()
        while stub.under_way:
            time.sleep(0.01)
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    records = list(read(tmp_path / "records.jsonl"))
    assert len(records) == len({one.seed for one in records}) == 12
    assert len(stub.paid) == 12 * 4 * 2
    assert sum(stub.paid.values()) - len(stub.paid) <= 4


def test_an_episode_without_a_text_is_no_score_and_is_tried_again_by_the_next_run(tmp_path):
    env = adding()
    todo = jobs(env, episodes=4)
    refused = True

    def plan(body, seen):
        long = len(body["messages"]) == 3 and "Goal: 7." in body["messages"][0]["content"]
        return "status:400" if refused and long else "good"

    with serve(plan) as stub:
        both = dict.fromkeys(env.possible_agents, endpoint(stub.url))
        done = evaluate(env, both, todo, tmp_path)
        assert 0 < len(done.failures) < 4
        assert len(done.records) + len(done.failures) == 4
        assert done.failures[0].error.startswith("HTTP 400")
        assert (tmp_path / "calls.jsonl").exists()
        refused = False
        again = evaluate(env, both, todo, tmp_path)
    assert (len(again.records), len(again.failures)) == (4, 0)
    assert set(stub.paid.values()) == {1}
    assert len(list(read(tmp_path / "records.jsonl"))) == 4


def test_an_agent_without_a_policy_is_refused_before_anything_is_played():
    env = adding()
    with pytest.raises(ValueError, match=r"need a policy for each of .*, got \['agent_0'\]"):
        evaluate(env, {"agent_0": Numbers()}, jobs(env))


def test_an_endpoint_that_refuses_everything_ends_the_run_soon(tmp_path):
    env = adding()
    with serve(lambda body, seen: "status:401") as stub:
        both = dict.fromkeys(env.possible_agents, endpoint(stub.url))
        error = rf"no more texts from agent_0: HTTP 401.* \(of openai:{stub.url}.*\)"
        with pytest.raises(RuntimeError, match=error):
            evaluate(env, both, jobs(env, episodes=100), tmp_path, at_once=4)
    assert sum(stub.seen.values()) == 4 * 2


def test_an_endpoint_that_goes_away_ends_the_run_after_two_silent_rounds(tmp_path):
    env = adding()
    with serve(lambda body, seen: "good" if sum(stub.seen.values()) <= 8 else "status:404") as stub:
        both = dict.fromkeys(env.possible_agents, endpoint(stub.url))
        with pytest.raises(RuntimeError, match="no more texts from agent_0: HTTP 404"):
            evaluate(env, both, jobs(env, episodes=100), tmp_path, at_once=4)
    assert sum(stub.paid.values()) == 8
    assert sum(stub.seen.values()) == 8 + 2 * 8


def test_what_happened_to_each_call_stands_in_the_record(tmp_path):
    env = adding()
    with serve(lambda body, seen: "good" if seen else "status:503") as stub:
        policies = {"agent_0": endpoint(stub.url), "agent_1": Scripted("expert")}
        evaluate(env, policies, jobs(env, episodes=1), tmp_path)
    (one,) = read(tmp_path / "records.jsonl")
    said = one.turns[0]["usage"]["agent_0"]
    assert said["attempts"] == 2
    assert said["errors"] == ['HTTP 503 Service Unavailable: {"error": "told to send 503"}']
    assert (said["tokens_read"], said["finish_reason"]) == (11, "stop")
    assert list(one.turns[0]["usage"]["agent_1"]) == ["seconds"]
    assert one.agents == {"agent_0": f"openai:{stub.url}#m", "agent_1": "expert"}


def test_measures_of_an_episode_by_hand():
    env = adding(items=[{"goal": 20}])
    (one,) = evaluate(env, dict.fromkeys(env.possible_agents, Numbers()), jobs(env, episodes=1)).records
    goal = int(one.turns[0]["prompts"]["agent_0"].split("Goal: ")[1].split(".")[0])
    reward = 1 - (goal - 14) / goal
    assert measures(one) == {
        "score": reward,
        "return": 4 * reward,
        "gap": goal - 14,
        "seconds_sequential": 4.0,
        "seconds_parallel": 2.0,
        "tokens_read": 80.0,
        "tokens_written": 16.0,
    }


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [((30, 10), [0.75, 0.25]), ((30, None), [0.5, 0.5]), ((0, 0), [0.5, 0.5]), (("30", 10), [0.5, 0.5])],
)
def test_the_time_of_a_batch_is_divided_by_the_tokens_written(tokens, wanted):
    replies = [Reply("", {} if count is None else {"tokens_written": count}) for count in tokens]
    assert shares(replies) == wanted


def test_a_tasks_own_metric_named_score_is_the_score():
    env = collm_envs.make("TLDR-v0")
    (one,) = evaluate(env, players(env, "expert"), jobs(env, episodes=1)).records
    last = one.turns[-1]
    assert measures(one)["score"] == last["metrics"]["score"] == pytest.approx(last["reward"] / 3, abs=1e-9)


def test_a_measure_that_a_policy_does_not_know_is_left_out():
    env = adding()
    policies = {"agent_0": Numbers(), "agent_1": Scripted("expert")}
    (one,) = evaluate(env, policies, jobs(env, episodes=1)).records
    assert "tokens_read" not in measures(one)
    assert "seconds_parallel" in measures(one)


@pytest.mark.parametrize("wrong", ["11", True, -1, None, [1], float("nan"), 10**400])
def test_a_count_or_a_time_that_is_none_is_left_out_of_the_table(wrong):
    env = adding()
    (one,) = evaluate(env, dict.fromkeys(env.possible_agents, Numbers()), jobs(env, episodes=1)).records
    said = one.turns[0]["usage"]["agent_1"]
    said.update(tokens_read=wrong, seconds=wrong)
    found = measures(one)
    assert not {"tokens_read", "seconds_parallel", "seconds_sequential"} & set(found)
    assert found["tokens_written"] == 16.0
    said.update(seconds=1.0, waited=wrong)
    assert "seconds_parallel" not in measures(one)
    assert measures(one)["seconds_sequential"] == 4.5


def test_the_table_counts_repetitions_of_a_pair_once_by_their_mean():
    env = adding()
    done = evaluate(env, players(env, "random"), jobs(env, episodes=3, seeds=4))
    rows = {row.measure: row for row in measure_table(done.records)}
    by_pair = {}
    for one in done.records:
        by_pair.setdefault((one.item, one.seed), []).append(one.turns[-1]["reward"])
    means = [np.mean(some) for some in by_pair.values()]
    assert rows["score"].mean == pytest.approx(np.mean(means), abs=1e-12)
    assert rows["score"].n == 3
    assert list(rows) == ["score", "return", "gap", "seconds_sequential", "seconds_parallel"]


def test_evaluating_touches_no_global_generator():
    before = json.dumps([str(np.random.get_state())])
    env = adding()
    measure_table(evaluate(env, players(env), jobs(env, episodes=2)).records)
    assert json.dumps([str(np.random.get_state())]) == before
