"""How far an agent's text reaches: nothing where nobody reads it, else what both readings say it is."""

import pytest
from lm_fixtures import alone, tiny_lm, words_tokenizer
from toy_games import aliased_game

from baselines.lm.history import Message, Move
from baselines.lm.policy import Context
from baselines.lm.sampling import Sampling
from baselines.play.influence import text_influence
from baselines.play.rollout import play

TOKENIZER = words_tokenizer(["first", "second", "A", "B", "0", "1"])


def team(history="full"):
    """Two policies that differ, of one token a text."""
    context = Context(history=history)
    return {
        agent: tiny_lm("qwen3", TOKENIZER, seed, Sampling(temperature=8.0, max_new_tokens=1), context)
        for seed, agent in enumerate(("agent_0", "agent_1"))
    }


@pytest.mark.parametrize("history", ["full", "last turn"])
def test_influence_is_the_log_probability_that_a_text_loses_where_the_one_before_it_is_blanked(history):
    """agent_1's second message tells whether agent_0 wrote 1, silence counts as 0; agent_0 reads nobody."""
    task, policies = aliased_game(), team(history)
    nodes = play(task, [(task.rows[0], 0)] * 40, policies, "seed")
    reader, gaps = policies["agent_1"], []
    for node in nodes:
        move = node.children[0].moves["agent_1"]
        ids = reader.renderer.following("second A", False) if history == "full" else None
        before = node.moves["agent_1"] if history == "full" else None
        other = Message(before, ids or reader.renderer.first("second A"), "second A")
        gaps.append(float(alone(reader, move).sum() - alone(reader, Move(other, move.ids)).sum()))
    assert {node.moves["agent_0"].text == "1" for node in nodes} == {True, False}
    assert any(abs(gap) > 1e-3 for gap in gaps)
    measured = text_influence(task, nodes, policies, turns=40)
    assert measured["influence/agent_0"] == pytest.approx(sum(gaps) / 40, abs=1e-4)
    assert measured["influence/agent_1"] == 0.0


def test_nothing_follows_the_last_turn():
    task, policies = aliased_game(), team()
    leaves = [child for node in play(task, [(task.rows[0], 0)] * 2, policies, "s") for child in node.children]
    assert text_influence(task, leaves, policies, turns=8) == {}
