"""Turns played again with agents silent: what is replayed, how often, and the values that come of it."""

import threading
from dataclasses import replace
from random import Random

import pytest
import torch
from credit_games import fractions_game, played
from tabular import tabular_team
from toy_games import Game, additive_bandit

import collm_envs
from baselines.credit.coalitions import counterfactual_rewards, difference_rewards, shapley_values
from baselines.lm.history import Move
from baselines.play.replays import Replays, texts_of
from baselines.play.rollout import play, play_turns
from collm_envs import silence

INTERACTION = Game(
    3,
    1,
    ("0", "1"),
    lambda state, k: "choose",
    lambda state: 3 * (state.said[0][0] == "1") + 6 * (state.said[0][0] == state.said[0][1] == "1"),
)
"""R = 3 a_1 + 6 a_1 a_2; the third agent's word does not matter"""


def test_shapley_divides_an_interaction_and_the_difference_counts_it_twice():
    nodes = played(INTERACTION, [dict.fromkeys(INTERACTION.agents, "1")])
    replays = Replays(INTERACTION, nodes)
    assert nodes[0].reward == 9
    assert shapley_values(replays, nodes).tolist() == [[6, 3, 0]]
    assert difference_rewards(replays, nodes).tolist() == [[9, 6, 0]]


QUICK = {"timeout_s": 0.2, "max_timeouts": 1}
ENVS = {
    "StrBuild-v0": ("StrBuild-v0", {"max_turns": 2}, ["no command", "no command"]),
    "StrBuild-v0, three": ("StrBuild-v0", {"num_agents": 3, "max_turns": 2}, ["no command", ""]),
    "HouseBuild-v0": ("HouseBuild-v0", {"max_turns": 2}, ["no command", "/fill 0 0 0"]),
    "HouseBuild-v0, three": ("HouseBuild-v0", {"num_agents": 3}, ["no command"]),
    "TLDR-v0": ("TLDR-v0", {}, [None]),
    "ArXiv-v0": ("ArXiv-v0", {}, [None]),
    "TLDR-v0, three": ("TLDR-v0", {"num_agents": 3}, [None]),
    "CoopHE-v0": ("CoopHE-v0", QUICK, [None]),
    "CoopHE-v0, three": ("CoopHE-v0", {"num_agents": 3, **QUICK}, ["this text is not read"]),
    "CoopHE-v1": ("CoopHE-v1", QUICK, [None]),
    "CoopHE-v1, three": ("CoopHE-v1", {"num_agents": 3, **QUICK}, [None]),
}
"""name -> environment, keywords, and texts of agent_1 that change nothing (None: its silence), by turn"""


SLOW = ("CoopHE-v0, three", "CoopHE-v1, three")
CASES = [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ENVS]


@pytest.mark.parametrize("name", CASES)
def test_shapley_values_sum_to_the_reward_less_that_of_the_silent_team_and_give_a_dummy_nothing(name):
    env, kwargs, nothing = ENVS[name]
    task = collm_envs.make(env, **kwargs).task
    for k, item in enumerate(task.items("eval")[: 1 if "Coop" in env else 4]):
        for dummy in (False, True):
            nodes = episode(task, item, k, len(nothing), nothing if dummy else [])
            replays = Replays(task, nodes)
            phi, D = shapley_values(replays, nodes), difference_rewards(replays, nodes)
            for node, row, without in zip(nodes, phi.tolist(), D.tolist(), strict=True):
                silent = {agent: silence(task, node.before, agent) for agent in task.agents}
                least = task.score(task.play(node.before, silent)).reward
                assert sum(row) == pytest.approx(node.reward - least, abs=1e-9)
                if dummy:
                    assert row[1] == pytest.approx(0, abs=1e-9)
                    assert without[1] == pytest.approx(0, abs=1e-9)
            assert dummy or phi.abs().sum() > 0.01  # there was something to divide
            assert replays.played <= len(nodes) * (2 ** len(task.agents) - 1)


def episode(task, item, seed, turns, nothing):
    """Turns written by the task's noisy players; agent_1 writes `nothing` where that is given."""
    texts, rng = [], Random(seed)
    state = task.start(item, seed)
    for t in range(turns):
        some = {agent: task.players["noisy"](task, state, agent, rng) for agent in task.agents}
        if nothing:
            some["agent_1"] = silence(task, state, "agent_1") if nothing[t] is None else nothing[t]
        texts.append(some)
        state = task.play(state, some)
    return played(task, texts, item, seed)


@pytest.mark.parametrize("env", ["TLDR-v0", "ArXiv-v0", "CoopHE-v0", "CoopHE-v1"])
def test_where_the_empty_text_undoes_the_others_work_a_task_has_a_better_silence(env):
    task = collm_envs.make(env).task
    state = task.start(task.items("eval")[0], 0)
    expert = {agent: task.players["expert"](task, state, agent, Random(0)) for agent in task.agents}
    for agent in task.agents:
        reward = {}
        for text in ("", silence(task, state, agent)):
            reward[text] = task.score(task.play(state, {**expert, agent: text})).reward
        assert reward[""] < 0.9 * reward.pop(silence(task, state, agent))


@pytest.mark.parametrize("env", ["StrBuild-v0", "HouseBuild-v0"])
def test_builders_are_silent_with_the_empty_text(env):
    task = collm_envs.make(env).task
    assert silence(task, task.start(task.items("eval")[0], 0), "agent_1") == ""


def test_a_lone_writers_silence_is_two_paragraphs():
    task = collm_envs.make("TLDR-v0", num_agents=1).task
    state = task.start(task.items("eval")[0], 0)
    assert task.score(task.play(state, {"agent_0": silence(task, state, "agent_0")})).reward > 2


def test_silence_enters_no_content_hash(monkeypatch):
    from collm_envs.writing.tldr import TLDR

    before = collm_envs.make("TLDR-v0").spec.content_hash
    monkeypatch.setattr(TLDR, "default_text", lambda self, state, agent: "nothing")
    assert collm_envs.make("TLDR-v0").spec.content_hash == before


def test_a_turn_is_replayed_by_itself_from_the_state_the_others_turns_left():
    task = fractions_game()
    nodes = played(task, [{"agent_0": "2", "agent_1": "1"}, {"agent_0": "1", "agent_1": "2"}])
    # turn 1: (a + 2 b + a b) / 8; turn 2: (a + 2 b + 2 a b) / 8
    v = [{"01": 6 / 8, "0": 2 / 8, "1": 2 / 8}, {"01": 9 / 8, "0": 1 / 8, "1": 4 / 8}]
    wanted = [[one["01"] - one["1"], one["01"] - one["0"]] for one in v]
    assert difference_rewards(Replays(task, nodes), nodes).tolist() == wanted


def test_nothing_is_played_twice():
    calls = []
    game = additive_bandit(3)
    task = replace(game, pay=lambda state: calls.append(state.said) or game.pay(state))
    team = tabular_team(task, scripts={a: [[1, 1, 0]] for a in task.agents})
    group = play(task, [(task.rows[0], 0)], team.policies, "s", copies=3)
    calls.clear()
    replays = Replays(task, group)
    shapley_values(replays, group)
    # words 1 1 1 (twice) and 0 0 0: of each the coalitions but the whole team, the empty one shared
    assert len(calls) == replays.played == 13
    difference_rewards(replays, group)
    assert len(calls) == 13


def test_other_states_with_the_same_texts_are_other_turns():
    task = fractions_game()
    same = {"agent_0": "1", "agent_1": "1"}
    nodes = played(task, [same, same])
    replays = Replays(task, nodes)
    assert difference_rewards(replays, nodes)[0].tolist() != difference_rewards(replays, nodes)[1].tolist()
    assert replays.played == 4


def test_turns_that_wait_are_played_side_by_side_and_come_back_in_order():
    gate = threading.Barrier(2, timeout=600)

    class Slow:
        parallel_play = True

        def play(self, state, texts):
            gate.wait()  # passes only when two turns wait at once
            return state, texts

    turns = [(k, {"agent_0": str(k)}) for k in range(6)]
    assert play_turns(Slow(), turns) == turns


def test_alternatives_are_weighed_with_the_others_texts_as_played():
    task = additive_bandit(3)
    (node,) = nodes = played(task, [{"agent_0": "1", "agent_1": "0", "agent_2": "1"}])
    others = {"agent_0": "0010", "agent_1": "11", "agent_2": "0"}
    node.alternatives.update(
        {a: [Move(None, [], text=word) for word in words] for a, words in others.items()}
    )
    b = counterfactual_rewards(Replays(task, nodes), nodes)
    assert b.tolist() == [[0.25, 2.0, 1.0]]
    assert texts_of(node) == {"agent_0": "1", "agent_1": "0", "agent_2": "1"}


def test_values_are_doubles():
    nodes = played(INTERACTION, [dict.fromkeys(INTERACTION.agents, "1")])
    assert shapley_values(Replays(INTERACTION, nodes), nodes).dtype == torch.float64
