"""Protocols: who reads whom, what it costs, how long it takes, and that nothing is paid twice."""

import json
from dataclasses import replace

import pytest
from chat_stub import serve

import collm_envs
from baselines.cli import main
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.evaluation.measures import measures
from collm_envs.policies.local import Scripted
from collm_envs.policies.openai import OpenAI
from collm_envs.policies.protocols import CALLS, Discussion, Pipeline, protocol_keywords, seated
from collm_envs.policies.seat import Reply, Seat
from collm_envs.record import read
from collm_envs.replay import replay

ADDING = "toy_task:Adding-v0"
AGENTS = ("agent_0", "agent_1", "agent_2")
SEATS = [Seat(agent, (f"message {k}",), 10 * k + n) for k in range(2) for n, agent in enumerate(AGENTS)]


class Echo:
    """Writes its name and a number of its own for each call; the n-th takes `seconds[n]`."""

    def __init__(self, name, seconds=(1.0,), fails=()):
        self.name, self.calls, self.seconds, self.fails = name, [], seconds, fails

    def act(self, seats):
        replies = []
        for seat in seats:
            n = sum(seat.agent == before.agent for before in self.calls)
            self.calls.append(seat)
            usage = {"tokens_read": 10, "tokens_written": 3, "seconds": self.seconds[n % len(self.seconds)]}
            error = "gone" if (seat.agent, n) in self.fails else ""
            replies.append(Reply("" if error else f"{self.name}{n}", usage, error))
        return replies


def team(*each):
    return {
        agent: Echo(f"t{k}-", seconds) for k, (agent, seconds) in enumerate(zip(AGENTS, each, strict=True))
    }


def test_in_a_pipeline_each_reads_those_before_it_in_its_own_episode_and_no_others():
    policies = team((1.0,), (2.0,), (4.0,))
    replies = Pipeline(policies).act(SEATS)
    assert [reply.text for reply in replies] == ["t0-0", "t1-0", "t2-0", "t0-1", "t1-1", "t2-1"]
    first, second, third = ([seat.history[-1] for seat in policies[agent].calls] for agent in AGENTS)
    assert first == ["message 0", "message 1"]
    assert second[1].startswith("message 1")
    assert ("t0-1" in second[1], "t0-0" in second[1]) == (True, False)
    assert ("t0-0" in third[0], "t1-0" in third[0], "-1" in third[0]) == (True, True, False)


def test_a_pipelines_agents_wait_for_those_before_them():
    replies = Pipeline(team((1.0,), (2.0,), (4.0,))).act(SEATS[:3])
    assert [reply.usage["waited"] for reply in replies] == [0.0, 1.0, 3.0]
    assert [reply.usage["seconds"] for reply in replies] == [1.0, 2.0, 4.0]


def test_in_a_discussion_all_read_all_drafts_of_the_round_before():
    policies = team((1.0,), (1.0,), (1.0,))
    replies = Discussion(policies, rounds=2).act(SEATS[:3])
    assert [reply.text for reply in replies] == ["t0-2", "t1-2", "t2-2"]
    drafts, once, twice = ([policies[agent].calls[n].history[-1] for agent in AGENTS] for n in range(3))
    assert drafts == ["message 0"] * 3
    assert all(f"t{k}-0" in message for message in once for k in range(3))
    assert all(f"t{k}-1" in message and f"t{k}-0" not in message for message in twice for k in range(3))
    assert "you are agent_1" in once[1]


def test_drafts_are_paid_for_and_a_discussion_lasts_as_long_as_the_slowest_of_each_round():
    replies = Discussion(team((1.0, 5.0), (3.0, 1.0), (2.0, 2.0))).act(SEATS[:3])
    assert [reply.usage["tokens_read"] for reply in replies] == [20, 20, 20]
    assert [reply.usage["tokens_written"] for reply in replies] == [6, 6, 6]
    assert [reply.usage["seconds"] for reply in replies] == [6.0, 4.0, 4.0]
    assert [reply.usage["waited"] for reply in replies] == [2.0, 0.0, 1.0]
    assert replies[1].usage["drafts"] == ["t1-0"]


def test_every_call_of_a_seat_has_dice_of_its_own_and_the_answer_those_of_the_seat():
    policies = team((1.0,), (1.0,), (1.0,))
    Discussion(policies, rounds=2).act(SEATS)
    seeds = [seat.seed for policy in policies.values() for seat in policy.calls]
    assert len(set(seeds)) == len(seeds) == 18
    assert [policies["agent_1"].calls[k].seed for k in (4, 5)] == [1, 11]
    again = team((1.0,), (1.0,), (1.0,))
    Discussion(again, rounds=2).act(SEATS)
    assert [seat.seed for policy in again.values() for seat in policy.calls] == seeds


@pytest.mark.parametrize("protocol", [Pipeline, Discussion])
def test_after_a_failure_nothing_more_is_asked_in_that_episode(protocol):
    policies = {agent: Echo("t", fails={("agent_0", 0)}) for agent in AGENTS}
    replies = protocol(policies).act(SEATS)
    assert [reply.error for reply in replies[:3]] == ["gone"] * 3
    assert [reply.error for reply in replies[3:]] == [""] * 3
    asked = [seat.history[-1] for policy in policies.values() for seat in policy.calls]
    assert sum("message 0" in message for message in asked) == {Pipeline: 1, Discussion: 3}[protocol]


def test_only_the_newest_message_changes():
    policy = Echo("t")
    seats = [replace(seat, history=("one", "mine", "two")) for seat in SEATS[:3]]
    Pipeline(dict.fromkeys(AGENTS, policy)).act(seats)
    assert all(seat.history[:2] == ("one", "mine") for seat in policy.calls)
    assert all(seat.history[2].startswith("two") for seat in policy.calls)


def test_a_protocol_needs_all_agents_of_an_episode():
    with pytest.raises(ValueError, match="needs all agents of an episode at once, in the order"):
        Pipeline(team((1.0,), (1.0,), (1.0,))).act(SEATS[:4])


def test_scripted_players_read_no_messages_and_are_refused(tmp_path):
    policies = {"agent_0": Scripted("expert")}
    with pytest.raises(ValueError, match="discussion: 'expert' is a scripted player"):
        seated("discussion", policies, tmp_path).__enter__()
    with seated("parallel", policies, tmp_path) as alone:
        assert alone == policies


def test_the_name_says_who_talks_how():
    assert Discussion(dict.fromkeys(AGENTS, Echo("m"))).name == "discussion:m"
    assert Pipeline(team((1,), (1,), (1,))).name == "pipeline:agent_0=t0-,agent_1=t1-,agent_2=t2-"


@pytest.mark.parametrize(
    ("protocol", "parallel", "sequential", "written"),
    [("parallel", 3.0, 5.0, 6.0), ("pipeline", 5.0, 5.0, 6.0), ("discussion", 6.0, 10.0, 12.0)],
)
def test_the_table_counts_time_and_tokens_of_a_protocol(protocol, parallel, sequential, written, tmp_path):
    env = collm_envs.make(ADDING, turns=1)
    policies = {"agent_0": Echo("3", (2.0,)), "agent_1": Echo("4", (3.0,))}
    with seated(protocol, policies, tmp_path) as chairs:
        done = evaluate(env, chairs, jobs(env, episodes=4))
    for one in done.records:
        found = measures(one)
        assert (found["seconds_parallel"], found["seconds_sequential"]) == (parallel, sequential)
        assert found["tokens_written"] == written
        assert replay(one).status == "equal"


@pytest.mark.parametrize("id", ["StrBuild-v0", "HouseBuild-v0", "TLDR-v0", "ArXiv-v0", "CoopHE-v0"])
def test_single_is_the_environment_with_one_agent(id):
    env = collm_envs.make(id, **protocol_keywords("single"))
    assert env.possible_agents == ["agent_0"]
    assert protocol_keywords("pipeline") == {}


@pytest.mark.parametrize("protocol", ["pipeline", "discussion"])
def test_after_a_kill_no_call_is_paid_again(protocol, tmp_path):
    env = collm_envs.make(ADDING, turns=1)
    with serve(lambda body, n: "good") as stub:
        policies = dict.fromkeys(env.possible_agents, OpenAI(stub.url, "m"))
        todo = jobs(env, episodes=3)
        with seated(protocol, policies, tmp_path) as chairs:
            first = evaluate(env, chairs, todo)
        calls = len(stub.bodies)
        with (tmp_path / CALLS).open("a") as file:
            file.write('["cut sho')
        with seated(protocol, policies, tmp_path) as chairs:
            again = evaluate(env, chairs, todo)
        assert len(stub.bodies) == calls == {"pipeline": 6, "discussion": 12}[protocol]
        assert [one.turns for one in again.records] == [one.turns for one in first.records]


@pytest.mark.parametrize("protocol", ["pipeline", "discussion"])
def test_a_draft_with_half_a_character_loses_no_episode_and_is_read_mended(protocol, tmp_path):
    choice = {"message": {"content": "3 \ud83d"}, "finish_reason": "stop\ud800"}
    env = collm_envs.make(ADDING, turns=1)
    with serve(lambda body, n: "say:" + json.dumps({"choices": [choice]})) as stub:
        policies = dict.fromkeys(env.possible_agents, OpenAI(stub.url, "m"))
        for _ in range(2):  # from the endpoint, then from the file
            with seated(protocol, policies, tmp_path) as chairs:
                evaluate(env, chairs, jobs(env, episodes=1), tmp_path)
            (one,) = read(tmp_path / "records.jsonl")
            (tmp_path / "records.jsonl").unlink()
            assert one.turns[0]["texts"]["agent_0"] == "3 \ufffd"
            assert one.turns[0]["usage"]["agent_0"].get("drafts", ["3 \ufffd"]) == ["3 \ufffd"]
        calls = [body["messages"][-1]["content"] for body in stub.bodies]
    assert len(calls) == {"pipeline": 2, "discussion": 4}[protocol]
    assert any("3 \ufffd" in message for message in calls)
    assert not any("\ud83d" in message for message in calls)


def test_the_command_line_plays_a_protocol_and_records_it(tmp_path, capsys):
    with serve(lambda body, n: "good") as stub:
        asked = [
            "eval",
            ADDING,
            "--policy",
            f"openai:{stub.url}#m",
            "--episodes",
            "2",
            "--out",
            str(tmp_path),
        ]
        assert main.main([*asked, "--protocol", "discussion", "--env-kwargs", '{"turns": 1}']) == 0
    assert "tokens written" in capsys.readouterr().out
    for one in read(tmp_path / "records.jsonl"):
        assert one.agents["agent_1"] == f"discussion:openai:{stub.url}#m"
        assert one.turns[0]["usage"]["agent_0"]["tokens_written"] == 14
        assert len(one.turns[0]["usage"]["agent_0"]["drafts"]) == 1


def test_the_command_line_plays_single_and_refuses_scripted_players_that_cannot_talk(tmp_path, capsys):
    asked = ["eval", ADDING, "--policy", "expert", "--episodes", "2", "--out", str(tmp_path)]
    assert main.main([*asked, "--protocol", "single"]) == 0
    assert [list(one.agents) for one in read(tmp_path / "records.jsonl")] == [["agent_0"]] * 2
    assert main.main([*asked, "--protocol", "pipeline"]) == 2
    assert "pipeline: 'expert' is a scripted player, which reads no messages" in capsys.readouterr().err
