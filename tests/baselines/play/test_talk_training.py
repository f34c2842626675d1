"""Trainers on tasks with message rounds and with agents that write one after the other."""

import pytest
from lm_fixtures import save, tiny_lm, words_tokenizer
from toy_games import Answer

from baselines import maac, magrpo, reinforce
from baselines.lm.history import Message
from baselines.play.episode import episodes, walk
from baselines.play.records import to_record
from baselines.play.rollout import play, starts
from collm_envs import make, writers
from collm_envs.replay import replay
from collm_envs.wrappers.order import Sequential
from collm_envs.wrappers.talk import Talk

TOKENIZER = words_tokenizer([*Answer.vocabulary(), "Messages", "agent_0", "say", "act", ":", "1", "2", "/"])


def wrapped(order, rounds=1):
    task = Answer(turns=2)
    if rounds:
        task = Talk(task, rounds, 20, terse=True)
    return Sequential(task, terse=True) if order else task


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("talkers") / "one", "qwen3", TOKENIZER)


@pytest.mark.parametrize(("order", "rounds"), [(False, 1), (True, 0), (True, 1)])
def test_only_writers_have_moves_and_each_follows_what_its_agent_last_read_and_wrote(order, rounds):
    task = wrapped(order, rounds)
    shared = tiny_lm("qwen3", TOKENIZER, 0)
    nodes = play(task, starts(task, 0, 0, 3), dict.fromkeys(task.agents, shared), "s", copies=2)
    for path in episodes(nodes):
        assert len(path) == task.max_turns
        last = dict.fromkeys(task.agents)
        for node in path:
            assert set(node.moves) == set(writers(task, node.before))
            for agent, move in node.moves.items():
                assert isinstance(move.parent, Message)
                assert move.parent.text == node.prompts[agent] == task.prompt(node.before, agent)
                assert move.parent.parent is last[agent]
                last[agent] = move


CREDITS = ("shared", "difference", "shapley", "counterfactual", "learned")


@pytest.mark.parametrize("credit", CREDITS)
def test_trainers_take_steps_in_order_and_with_talk_under_every_credit(credit, folder):
    algorithm = maac if credit == "difference" else reinforce
    task = wrapped(order=True)
    extra = {} if algorithm is maac else {"group": 2, "baseline": "mean"}
    config = algorithm.Config(
        model=folder, device="cpu", max_new_tokens=2, steps=1, episodes=4, credit=credit, **extra
    )
    (metrics,) = algorithm.train(config, task, algorithm.team(config, task))
    assert metrics["turns"] == 8.0
    assert metrics["grad_norm"] == metrics["grad_norm"]


def test_what_supposes_that_all_write_at_once_is_refused_in_order(folder):
    task, base = wrapped(order=True), {"model": folder, "device": "cpu"}
    with pytest.raises(ValueError, match="critic='decentral'"):
        maac.team(maac.Config(**base, critic="decentral"), task)
    with pytest.raises(ValueError, match="joint='cross'"):
        magrpo.team(magrpo.Config(**base, joint="cross"), task)
    config = magrpo.Config(**base, max_new_tokens=2, steps=1, group=2, episodes=4)
    task = Sequential(Answer())
    (metrics,) = magrpo.train(config, task, magrpo.team(config, task))
    assert metrics["turns"] == 2.0


def test_a_rollout_in_order_becomes_a_record_that_replays():
    env = make("StrBuild-v0", order="sequential", talk=1, max_turns=1, prompts="terse")
    chars = sorted(set("1234567890 .#=/:-abcdefghijklmnopqrstuvwxyz_\n"))
    lm = tiny_lm("qwen3", words_tokenizer(chars), 0)
    nodes = play(env.task, starts(env.task, 0, 0, 1), dict.fromkeys(env.task.agents, lm), "s")
    record = to_record(env, list(walk(nodes)), dict.fromkeys(env.task.agents, "tiny"))
    assert replay(record).status == "equal"
    assert [sum(map(bool, turn["usage"].values())) for turn in record.turns] == [1, 1, 1, 1]
