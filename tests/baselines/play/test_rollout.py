"""Lockstep play: who reads what, which branches grow, and what the seeds fix."""

from dataclasses import replace

import pytest
import torch
from lm_fixtures import tiny_lm, words_tokenizer
from tabular import Tabular, tabular_team
from toy_games import Answer, Game, every_step_game, two_step_game

from baselines.lm.history import Message
from baselines.lm.sampling import Sampling
from baselines.play.episode import episodes, rollout_metrics, walk
from baselines.play.rollout import eval_starts, play, starts
from collm_envs import Item

TOKENIZER = words_tokenizer(Answer.vocabulary())


def lms(task, seed=0, **kwargs):
    """A policy of its own for every agent."""
    return {a: tiny_lm("qwen3", TOKENIZER, seed + k, **kwargs) for k, a in enumerate(task.agents)}


def texts(roots):
    return [{a: (move.ids, move.logp, move.text) for a, move in n.moves.items()} for n in walk(roots)]


def test_every_node_is_what_the_task_makes_of_its_texts():
    task = Answer(turns=3)
    for node in walk(play(task, starts(task, 0, 0, 5), lms(task), "s")):
        before = task.start(node.item, node.seed) if node.parent is None else node.parent.after
        assert node.before == before
        assert node.after == task.play(before, {a: move.text for a, move in node.moves.items()})
        assert node.score == task.score(node.after)
        for agent, move in node.moves.items():
            assert isinstance(move.parent, Message)
            assert move.parent.text == node.prompts[agent] == task.prompt(before, agent)
            assert move.parent.parent is (None if node.parent is None else node.parent.moves[agent])


def test_episodes_of_unequal_length_leave_the_batch_when_they_end():
    task = replace(every_step_game(5), over=lambda state: state.said[-1][0] == "1")
    team = tabular_team(task)
    paths = episodes(play(task, [(task.rows[0], 0)] * 40, team.policies, "s"))
    assert len(paths) == 40
    assert {len(path) for path in paths} == {1, 2, 3, 4, 5}
    for path in paths:
        ones = [node.moves["agent_0"].text == "1" for node in path]
        assert not any(ones[:-1])
        assert ones[-1] or len(path) == 5


def test_a_start_grows_a_group_or_a_tree():
    task = two_step_game()
    policies = tabular_team(task).policies
    some = [(task.rows[0], k) for k in range(3)]
    assert len(play(task, some, policies, "s")) == 3
    group = play(task, some, policies, "s", copies=4)
    assert [node.seed for node in group] == [0] * 4 + [1] * 4 + [2] * 4
    assert all(len(node.children) == 1 for node in group)
    tree = play(task, some, policies, "s", copies=[2, 3])
    assert len(tree) == 6
    assert all(len(node.children) == 3 for node in tree)
    assert len(episodes(tree)) == 18
    cross = play(task, some[:1], policies, "s", copies=[2, 3], joint="cross")
    assert len(cross) == 4
    assert all(len(node.children) == 9 for node in cross)


def test_aligned_texts_stand_side_by_side_and_crossed_ones_meet_all_others():
    task = two_step_game()
    script = {"agent_0": [[0, 1, 0]], "agent_1": [[1, 0, 0]]}
    for joint, wanted in (
        ("aligned", [("0", "1"), ("1", "0"), ("0", "0")]),
        ("cross", [(a, b) for a in "010" for b in "100"]),
    ):
        policies = {a: Tabular(a, task.words, script=script[a]) for a in task.agents}
        short = replace(task, max_turns=1)
        nodes = play(short, [(task.rows[0], 0)], policies, "s", copies=[3], joint=joint)
        assert [tuple(move.text for move in node.moves.values()) for node in nodes] == wanted
        moves = {id(node.moves["agent_0"]) for node in nodes}
        assert len(moves) == 3  # a text is one object, however many joint turns it is part of


def test_branches_share_their_past():
    task = Answer(turns=2)
    tree = play(task, starts(task, 0, 0, 2), lms(task), "s", copies=[3, 2])
    for node in tree:
        for child in node.children:
            assert child.before is node.after
            for agent in task.agents:
                assert child.moves[agent].parent.parent is node.moves[agent]


def test_the_seed_fixes_every_text_and_another_one_changes_them():
    task = Answer(turns=2)
    some = starts(task, 0, 0, 6)
    runs = [texts(play(task, some, lms(task), seed, copies=2)) for seed in ("a", "a", "b")]
    assert runs[0] == runs[1] != runs[2]


def test_what_torchs_global_generator_holds_does_not_matter():
    task = Answer()
    runs = []
    for seed in (1, 2):
        policies = lms(task)
        torch.manual_seed(seed)
        runs.append(texts(play(task, starts(task, 0, 0, 6), policies, "a")))
    assert runs[0] == runs[1]


def test_agents_draw_independently_of_each_other():
    task = every_step_game(1)
    policies = {agent: Tabular(agent, task.words) for agent in task.agents}
    nodes = play(task, [(task.rows[0], 0)] * 400, policies, "s")
    both = [tuple(move.text for move in node.moves.values()) for node in nodes]
    for pair in (("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")):
        assert 70 < both.count(pair) < 130


def test_agents_that_share_a_policy_write_different_texts():
    task = replace(every_step_game(1), words=tuple("0123456789"))
    shared = Tabular("shared", task.words)
    nodes = play(task, [(task.rows[0], 0)] * 50, dict.fromkeys(task.agents, shared), "s")
    assert [n.moves["agent_0"].text for n in nodes] != [n.moves["agent_1"].text for n in nodes]


def test_an_actor_cannot_see_what_another_one_wrote():
    task = Answer(turns=3)
    some = starts(task, 0, 0, 6)
    runs = []
    for other in (2, 9):
        policies = {"agent_0": lms(task)["agent_0"], "agent_1": tiny_lm("qwen3", TOKENIZER, other)}
        runs.append([*walk(play(task, some, policies, "s"))])
    for a, b in zip(*runs, strict=True):
        assert a.moves["agent_0"].ids == b.moves["agent_0"].ids
        assert a.moves["agent_0"].logp == b.moves["agent_0"].logp
    assert [n.moves["agent_1"].ids for n in runs[0]] != [n.moves["agent_1"].ids for n in runs[1]]


def test_starts_are_a_function_of_seed_and_step():
    task = Answer(questions=4)
    assert starts(task, 0, 3, 4) == starts(task, 0, 3, 4)
    assert starts(task, 0, 3, 4) != starts(task, 0, 4, 4)
    assert starts(task, 0, 3, 4) != starts(task, 1, 3, 4)
    assert sorted(item.id for item, _ in starts(task, 0, 0, 4)) == ["0", "1", "2", "3"]  # none twice
    assert len(starts(task, 0, 0, 50)) == 50


def test_neighbouring_seeds_share_no_episode():
    task = Answer()
    episodes_of = [{seed for step in range(50) for _, seed in starts(task, run, step, 2)} for run in (1, 2)]
    assert not episodes_of[0] & episodes_of[1]


def test_an_evaluation_takes_the_same_episodes_every_time():
    task = Answer(questions=3)
    assert eval_starts(task, 5) == [(task.items("eval")[k % 3], k) for k in range(5)]


def test_the_summary_counts_episodes_turns_tokens_and_the_last_turns_metrics():
    rows = (Item("0", {}),)
    task = Game(1, 2, ("1", "2"), lambda s, k: "x", lambda s: int(s.said[-1][0]) + len(s.said), rows=rows)
    policies = {"agent_0": Tabular("agent_0", task.words, script=[[0, 1], [1, 1]])}
    out = rollout_metrics(play(task, [(rows[0], 0)] * 2, policies, "s"))
    assert out["return"] == ((1 + 1) + (2 + 2) + (2 + 1) + (2 + 2)) / 2
    assert out["turns"] == 2
    assert out["tokens"] == 4
    assert out["text_tokens"] == 1
    assert out["metric/pay"] == 4
    lm = {"agent_0": tiny_lm("qwen3", TOKENIZER, sampling=Sampling(max_new_tokens=1))}
    small = Answer(num_agents=1)
    closed = [n.moves["agent_0"].closed for n in play(small, starts(small, 0, 0, 30), lm, "s")]
    assert rollout_metrics(play(small, starts(small, 0, 0, 30), lm, "s"))["closed"] == sum(closed) / 30


def test_a_shared_language_model_plays_all_agents_in_one_batch(monkeypatch):
    task = Answer(num_agents=3)
    lm = tiny_lm("qwen3", TOKENIZER)
    sizes = []
    forward = lm.engine.forward
    monkeypatch.setattr(
        lm.engine, "forward", lambda ids, *rest: sizes.append(len(ids)) or forward(ids, *rest)
    )
    play(task, starts(task, 0, 0, 7), dict.fromkeys(task.agents, lm), "s", copies=2)
    assert sizes[0] == 3 * 7  # a group's prompt is read once for all its members
    assert sizes[1] == pytest.approx(3 * 7 * 2, abs=12)
