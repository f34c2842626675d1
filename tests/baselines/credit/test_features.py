"""Named features of a joint turn: numbers worked by hand, whose text moves what, and what a function gets."""

import pytest
import torch
from credit_games import played
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_task import Adding

from baselines.credit.features import CTX, FEAT, PAIR, extract, turn
from baselines.credit.language import Refused
from baselines.credit.written import Written, masked
from baselines.play.replays import Replays
from baselines.search.turns import check_own_text, gather, scripted
from collm_envs.registry import make_task


def two_turns(**task):
    made = Adding(items=[{"goal": 10}], **task)
    item = made.items("train")[0]
    seed = next(s for s in range(50) if made.start(item, s).goal == 10)
    texts = [{"agent_0": "4\nx", "agent_1": "3"}, {"agent_0": "", "agent_1": "5\n2"}]
    return made, played(made, texts, item, seed)


def test_features_of_two_turns_worked_by_hand():
    task, nodes = two_turns()
    found = extract(Replays(task), nodes, pairs=True)
    assert found.ctx["agents"].tolist() == [2, 2]
    assert found.ctx["turn"].tolist() == [0, 1]
    assert found.ctx["last"].tolist() == pytest.approx([0, 0.7])
    assert found.ctx["last_accepted"].tolist() == [[0, 0], [1, 1]]
    assert found.ctx["last_rejected"].tolist() == [[0, 0], [1, 0]]
    assert found.ctx["silent"].tolist() == [0, 0]
    assert found.feat["reward"].tolist() == [pytest.approx([0.4, 0.3]), pytest.approx([0, 0.7])]
    assert found.feat["gap"].tolist() == [[6, 7], [10, 3]]
    assert found.feat["accepted"].tolist() == [[1, 1], [0, 2]]
    assert found.feat["rejected"].tolist() == [[1, 0], [1, 0]]
    assert found.feat["chars"].tolist() == [[3, 1], [0, 3]]
    assert found.pair["reward"][0].tolist() == [pytest.approx([0.4, 0.7]), pytest.approx([0.7, 0.3])]
    assert found.silent["gap"].tolist() == [[10, 10], [10, 10]]
    assert {x.dtype for x in found.feat.values()} == {torch.float64}


def test_every_feature_has_a_meaning_for_whoever_writes_the_function():
    task, nodes = two_turns()
    row = extract(Replays(task), nodes, pairs=True).rows()[0]
    assert set(row.ctx) == set(CTX)
    assert set(FEAT) <= set(row.feat)
    assert set(row.feat) - set(FEAT) == {"gap"}  # the task's own metric
    assert set(row.pair) == set(PAIR)


def test_a_turn_takes_one_replay_for_each_agent_and_one_for_silence():
    task, nodes = two_turns()
    replays = Replays(task, nodes)
    extract(replays, nodes)
    assert replays.played <= 2 * 3
    extract(replays, nodes)
    assert replays.played <= 2 * 3


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.text("0123456789x\n", max_size=6), min_size=3, max_size=3),
    other=st.text("12\n", max_size=4),
)
def test_a_text_moves_its_own_features_alone(texts, other):
    task = Adding(num_agents=3)
    item, before = task.items("train")[0], dict(zip(task.agents, texts, strict=True))
    one = extract(Replays(task), played(task, [before], item))
    two = extract(Replays(task), played(task, [{**before, "agent_1": other}], item))
    assert all(torch.equal(one.ctx[name], two.ctx[name]) for name in one.ctx)
    assert all(torch.equal(one.silent[name], two.silent[name]) for name in one.silent)
    for name in one.feat:
        assert torch.equal(one.feat[name][:, [0, 2]], two.feat[name][:, [0, 2]])


@pytest.mark.parametrize(
    "id", ["StrBuild-v0", "HouseBuild-v0", "TLDR-v0", "ArXiv-v0", "CoopHE-v0", "CoopHE-v1"]
)
def test_in_every_environment_texts_move_their_own_features_alone(id):
    task = make_task(id)
    contexts = gather(task, scripted(task, 2, seed=5))  # raises where they do not
    assert len(contexts.changes) == 2 * len(contexts.rows)
    assert any(change.row.feat != contexts.rows[change.turn].feat for change in contexts.changes)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("ctx", r"ctx\['turn'\] of turn 0 changed with the text of agent 0"),
        ("silent", r"silent\['gap'\] of turn 0 changed"),
        ("feat", r"feat\['gap'\]\[1\] of turn 0 went from 7 to 8 when only agent 0 wrote another text"),
    ],
)
def test_a_feature_that_sees_somebody_elses_text_is_found(place, reason):
    task = Adding()
    contexts = gather(task, scripted(task, 2, seed=0))
    row = contexts.rows[0]._replace(feat={"gap": (6.0, 7.0)})
    leaks = {
        "ctx": {**row.ctx, "turn": 9.0},
        "silent": {**row.silent, "gap": (9.0, 9.0)},
        "feat": {"gap": (6.0, 8.0)},
    }
    change = contexts.changes[0]._replace(row=row._replace(**{place: leaks[place]}))
    check_own_text([row], [contexts.changes[0]._replace(row=row)])
    with pytest.raises(Refused, match=reason):
        check_own_text([row], [change])


def test_agents_that_exchange_are_told_from_those_that_do_not():
    adding, letters = Adding(num_agents=3), make_task("StrBuild-v0")
    assert gather(adding, scripted(adding, 3, 0)).exchange
    assert not gather(letters, scripted(letters, 3, 0)).exchange  # each has blocks of its own


def test_the_truth_is_the_reward_minus_the_reward_without_the_text():
    task, nodes = two_turns()
    contexts = gather(task, [[turn(node)] for node in nodes])
    assert contexts.truth[0].tolist() == pytest.approx([0.7 - 0.3, 0.7 - 0.4])


def test_a_baseline_gets_its_own_row_as_silence_and_no_reward():
    task, nodes = two_turns()
    features, seen = extract(Replays(task), nodes[:1]), []

    def baseline(ctx, feat, me):
        seen.append((me, feat["gap"], feat["chars"]))
        return float(me)

    b = Written("it", "baseline", baseline).credit(features, torch.tensor([0.7]))
    assert seen == [(0, (10, 7), (0, 1)), (1, (6, 10), (3, 0))]
    assert b.tolist() == [[0, 1]]
    assert b.dtype == torch.float32
    assert masked(features.rows()[0], 1)["gap"] == (6, 10)


@pytest.mark.parametrize(
    ("w", "reason"),
    [
        ([1.2, -0.2], "negative weight -0.2"),
        ([0.99, 0.01], r"saturated, N \* w = 0.02 is below the floor 0.1"),
        ([0.9, 0.9], "must sum to 1"),
        ([float("nan"), 0.5], "not finite"),
        ([0.3, 0.3, 0.4], "2 numbers wanted, one for each agent, got 3"),
    ],
)
def test_weights_that_would_mislead_stop_training_with_the_reason(w, reason):
    task, nodes = two_turns()
    features = extract(Replays(task), nodes)
    with pytest.raises(Refused, match=f"it: .*{reason}"):
        Written("it", "weights", lambda ctx: w).credit(features, torch.zeros(2))


def test_a_baseline_that_is_not_finite_stops_training_and_says_where():
    task, nodes = two_turns()
    features = extract(Replays(task), nodes)
    with pytest.raises(Refused, match="it: baseline of turn 1, agent 0 is inf"):
        Written(
            "it", "baseline", lambda ctx, feat, me: float("inf") if ctx["turn"] and not me else 0.0
        ).credit(features, torch.zeros(2))


def test_equal_weights_times_their_number_are_exactly_one():
    for n in (2, 3, 5, 7):
        task = Adding(num_agents=n)
        nodes = played(task, [dict.fromkeys(task.agents, "1")])
        w = Written("it", "weights", lambda ctx: [1 / int(ctx["agents"])] * int(ctx["agents"]))
        credit = w.credit(extract(Replays(task), nodes), torch.zeros(1, dtype=torch.float64))
        assert torch.equal(n * credit, torch.ones(1, n, dtype=torch.float64))
