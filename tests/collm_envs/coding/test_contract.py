"""CoopHE under the contract of every environment: conformance, hostile text, records, many at once."""

import json
import os
from dataclasses import replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import collm_envs
from collm_envs.record import Record, record
from collm_envs.replay import replay
from collm_envs.testing import check_env

IDS = ("CoopHE-v0", "CoopHE-v1")
ROW = {
    "task_id": "t/0",
    "prompt": "def double(x):\n    '''Twice x.\n    >>> double(2)\n    4\n    '''\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n",
    "entry_point": "double",
    "aux": "def aux(x):\n    return abs(x) * 2\n",
    "main": "def double(x):\n    result = aux(x)\n    return result if x > 0 else -result\n",
}
QUICK = {"items": [ROW], "timeout_s": 0.2, "max_timeouts": 1}


@pytest.mark.parametrize("id", IDS)
def test_check_env_finds_nothing(id):
    check_env(lambda: collm_envs.make(id, **QUICK), seeds=(0, 1))


LINES = [
    "def aux(x):",
    "def double(x):",
    "def double(\n    x,\n):",
    "    return aux(x)",
    "    return x + x",
    "    '''Doc.",
    "    '''",
    "```python",
    "```",
    "~~~",
    "@cache",
    "class A:",
    "    def aux(self): return 1",
    "import os",
    "    while True: pass",
    "    raise SystemExit",
    "    return object()",
    "    x = aux (1)",
    "\x00",
    "\r",
    "\x0c",
    "\u2028",
    "\ud800",
    "aux = 1",
    "    import sys; sys.exit(0)",
    "\tdouble(",
    "Prose, plainly.",
    "    yield x",
    "    return double(x)",
    "    return 10 ** 10 ** 7",
    "    return [x] * 10 ** 9",
    "# coding: utf-7",
    "",
    "    return " + "(" * 300,
    "-" * 5000 + "1",
    "f" + "()" * 5000,
]
TEXT = st.one_of(
    st.text(st.characters(), max_size=300),
    st.lists(st.sampled_from(LINES), max_size=9).map("\n".join),
    st.builds(
        lambda text, at, piece: text[:at] + piece + text[at:],
        st.sampled_from((ROW["aux"], ROW["main"])),
        st.integers(0, 60),
        st.sampled_from(LINES),
    ),
)


@pytest.mark.parametrize("id", IDS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.tuples(TEXT, TEXT), prompts=st.sampled_from(["full", "terse"]))
def test_no_text_makes_step_raise_or_the_reward_leave_its_range(id, texts, prompts):
    env = collm_envs.make(id, prompts=prompts, **QUICK)
    env.reset(seed=0)
    for _ in range(2):
        observations, rewards, _, _, infos = env.step(dict(zip(env.agents, texts, strict=True)))
    low, high = env.metadata["reward_range"]
    assert low <= rewards["agent_0"] <= high
    assert json.dumps([observations, infos])
    assert infos["agent_0"]["metrics"]["pass_rate"] <= 1.0


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_same_texts_earn_the_same_whatever_was_played_before(id, n):
    env = collm_envs.make(id, num_agents=n, **QUICK)
    scores = []
    for between in ("", "import sys\nsys.modules.clear()\ndef double(x):\n    return 4\n"):
        env.reset(seed=0)
        env.step(dict.fromkeys(env.agents, between))
        env.reset(seed=0)
        expert = env.task.players["expert"]
        env.step({agent: expert(env.task, env.snapshot, agent, Random(0)) for agent in env.agents})
        scores.append(env.turns[-1].score)
    assert scores[0] == scores[1]
    assert scores[0].reward == pytest.approx(env.metadata["reward_range"][1])


def episode(id, *turns):
    env = collm_envs.make(id, **QUICK)
    env.reset(seed=0)
    for texts in turns:
        env.step(dict(zip(env.agents, texts, strict=True)))
    return Record.from_json(record(env).to_json())


@pytest.mark.parametrize("id", IDS)
def test_records_replay_and_a_planted_reward_is_found(id):
    played = episode(id, ("junk", ROW["main"]), (ROW["aux"], ROW["main"]))
    assert replay(played).status == "equal"
    forged = replace(played, turns=[{**played.turns[0], "reward": 4.0}, played.turns[1]])
    found = replay(forged)
    assert (found.status, found.turn, found.field) == ("differs", 1, "reward")


@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize(
    "slow", ["    while x < 0: pass\n    return x + x\n", "    while True: pass\n    return 1\n"]
)
def test_a_difference_confined_to_tests_that_timed_out_is_inconclusive(id, slow):
    """Recorded on a machine that was fast enough for what hangs here, or the other way round."""
    slow = f"def double(x):\n{slow}"
    hung = episode(id, ("", slow))
    words = hung.turns[0]["verdicts"]
    quicker = dict.fromkeys(words, "ok")
    assert "timeout" in words.values()
    elsewhere = replace(hung, turns=[{**hung.turns[0], "verdicts": quicker, "reward": 9.0}])
    assert replay(elsewhere).status == "inconclusive"
    wrong = {test: "raised:NameError" if word == "ok" else word for test, word in words.items()}
    if wrong != words:
        assert replay(replace(hung, turns=[{**hung.turns[0], "verdicts": wrong}])).status == "differs"


@pytest.mark.parametrize("id", IDS)
def test_a_vector_grades_in_threads_what_one_grades_in_turn(id):
    texts = [
        {"agent_0": ROW["aux"], "agent_1": ROW["main"].replace("x > 0", f"x > {limit}")}
        for limit in range(-2, 4)
    ]
    vec = collm_envs.make_vec(id, len(texts), **QUICK)
    vec.reset(seed=0)
    rewards = [one["agent_0"] for one in vec.step(texts)[1]]
    alone = []
    for some in texts:
        env = collm_envs.make(id, **QUICK)
        env.reset(seed=0)
        alone.append(env.step(some)[1]["agent_0"])
    assert rewards == alone
    assert len(set(rewards)) == 2


def test_two_environments_share_a_sandbox_and_nothing_else():
    envs = [collm_envs.make(id, **QUICK) for id in IDS]
    for env in envs:
        env.reset(seed=0)
    for env, other in (envs, envs[::-1]):
        before = other.snapshot
        env.step({"agent_0": ROW["aux"], "agent_1": ROW["main"]})
        assert other.snapshot is before
    assert [env.turns[0].score.reward for env in envs] == pytest.approx([4.0, 4.0])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # threads are about: that is the point
def test_a_forked_process_opens_a_sandbox_of_its_own():
    env = collm_envs.make("CoopHE-v0", **QUICK)
    env.reset(seed=0)
    env.step({"agent_0": ROW["aux"], "agent_1": ROW["main"]})
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        env.reset(seed=0)
        reward = env.step({"agent_0": ROW["aux"], "agent_1": ROW["main"]})[1]["agent_0"]
        os.write(write, str(round(reward, 6)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "4.0"
    assert os.waitpid(child, 0)[1] == 0
    env.reset(seed=0)
    assert env.step({"agent_0": ROW["aux"], "agent_1": ROW["main"]})[1]["agent_0"] == pytest.approx(4.0)
