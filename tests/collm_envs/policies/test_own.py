"""Policies of the user's own: `py:module:factory`."""

import sys

import pytest

import collm_envs
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.seat import Seat
from collm_envs.policies.specs import parse, seat_all
from collm_envs.record import read
from collm_envs.replay import replay

SOURCE = """
import random
from collm_envs.policies import Reply

LIMIT = 3

def echo(observation):
    return observation[:2]

def typed(x: str) -> str:
    return x.upper()

def make(seed):
    return lambda observation: f"{seed}"

def plain():
    return echo

class Mine:
    def act(self, seats):
        return [Reply(seat.agent, {"tokens_written": 1}) for seat in seats]

class Seeded:
    def __init__(self, seed=7):
        self.seed = seed
    def act(self, seats):
        return [str(self.seed)] * len(seats)

def numbers(observation):
    return 7

def few():
    class Few:
        def act(self, seats):
            return []
    return Few()

def nothing():
    return None

def wants(model, size):
    return echo
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine_policies.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mine_policies", None)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("echo", "ab"),
        ("typed", "ABC"),
        ("make", "0"),
        ("make?seed=3", "3"),
        ("plain", "ab"),
        ("Mine", "agent_0"),
        ("Seeded?seed=5", "5"),
        ("Seeded", "0"),
    ],
)
def test_functions_factories_and_classes_play(mine, name, text):
    policy = parse(f"py:mine_policies:{name}")
    (reply,) = policy.act([Seat("agent_0", ("abc",), 1)])
    assert (reply.text, policy.name) == (text, f"py:mine_policies:{name}")


@pytest.mark.parametrize(
    ("name", "error", "match"),
    [
        ("mine_policies", ValueError, "need py:package.module:factory"),
        ("mine_policies:eco", ValueError, "did you mean 'echo'"),
        ("mine_policies:LIMIT", ValueError, "is int, need a function or class"),
        ("mine_policies:nothing", ValueError, "made NoneType; need a function observation -> text"),
        ("mine_policies:wants", ValueError, "needs model, size; a factory takes seed or nothing"),
        ("mine_policies:make?sed=3", ValueError, "py: no setting 'sed'; there are seed"),
        ("mine_policies:make?seed=x", ValueError, "py: seed must be int, got 'x'"),
        ("no_such_module:make", ImportError, "no_such_module"),
    ],
)
def test_what_makes_no_policy_is_refused_by_name(mine, name, error, match):
    with pytest.raises(error, match=match):
        parse(f"py:{name}")


@pytest.mark.parametrize(("name", "match"), [("numbers", "got int"), ("few", "list of 1 replies, got 0")])
def test_what_is_no_text_is_refused_when_it_comes(mine, name, match):
    with pytest.raises(TypeError, match=match):
        parse(f"py:mine_policies:{name}").act([Seat("agent_0", ("abc",), 1)])


def test_records_name_it_and_replay_without_it_and_other_code_does_not_add_to_them(mine, tmp_path):
    env = collm_envs.make("TLDR-v0")
    policies = seat_all(env.task, "py:mine_policies:echo", {})
    evaluate(env, policies, jobs(env, episodes=2), tmp_path / "e")
    records = list(read(tmp_path / "e/records.jsonl"))
    assert records[0].agents["agent_0"] == "py:mine_policies:echo"
    assert [replay(one).status for one in records] == ["equal", "equal"]
    (mine / "mine_policies.py").write_text(SOURCE + "\n")
    sys.modules.pop("mine_policies")
    with pytest.raises(ValueError, match=r"agent_0 \(py:mine_policies:echo\) has other weights or"):
        evaluate(env, seat_all(env.task, "py:mine_policies:echo", {}), jobs(env, episodes=3), tmp_path / "e")
