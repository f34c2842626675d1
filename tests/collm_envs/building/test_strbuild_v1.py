"""StrBuild-v1: private letters, private blocks, a wall that lasts."""

import pytest
from building_texts import TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_returns import returned

import collm_envs
from collm_envs.building.strbuild_v1.words import SEEN
from collm_envs.record import record
from collm_envs.replay import replay

LI = [{"string": "LI"}]


def played(*turns, **kwargs):
    """The environment after these turns, each a list of one text an agent."""
    env = collm_envs.make("StrBuild-v1", **{"items": LI, **kwargs})
    env.reset(seed=0)
    for texts in turns:
        env.step(dict(zip(env.possible_agents, texts, strict=True)))
    return env


def test_golden_turns_worked_by_hand():
    env = played(
        ["/setblock 0 0 0 oak_planks", "/setblock 1 0 0 stone"],
        ["/setblock 6 0 0 oak_planks", ""],
        ["/setblock 6 0 0 air\n/setblock 0 4 0 oak_planks", "/setblock 0 3 0 stone"],
        ["/setblock 0 3 0 oak_planks", "/setblock 0 3 0 air"],
    )
    # LI: 9 + 13 cells, 38 others; the last turn puts wood above wood: of pairs (0,0)-(1,0) and (0,3)-(0,4)
    worth = [4 / 22, 4 / 22 - 4 / 38, 8 / 22, 8 / 22 - 1 / 2]
    assert [turn.score.metrics["worth"] for turn in env.turns] == pytest.approx(worth)
    shares = [turn.score.metrics["score"] for turn in env.turns]
    assert shares == pytest.approx([max(0.0, value / 2) for value in worth])
    rewards = [turn.score.reward for turn in env.turns]
    assert rewards == pytest.approx([worth[0], worth[1] - worth[0], worth[2] - worth[1], worth[3] - worth[2]])


def test_the_final_reward_is_the_worth_at_the_end_and_the_dense_one_sums_to_it():
    texts = ["/setblock 0 0 0 oak_planks", "/setblock 1 0 0 stone"]
    final = played(texts, *[["", ""]] * 5, reward="final")
    dense = played(texts, *[["", ""]] * 5)
    assert [turn.score.reward for turn in final.turns] == pytest.approx([0, 0, 0, 0, 0, 4 / 22])
    assert sum(turn.score.reward for turn in dense.turns) == pytest.approx(4 / 22)
    assert not final.agents
    assert not dense.agents


def test_an_agent_sees_its_letters_and_where_the_others_stand():
    full, terse = played(), played(prompts="terse")
    assert "4 #......?????" in full.history("agent_0")[0]
    assert terse.history("agent_1")[0] == (
        "2/2 1=stone:21\n4 ?????..#####\n3 ?????....#..\n2 ?????....#..\n1 ?????....#..\n0 ?????..#####"
    )
    assert "?" not in played(view="all").history("agent_1")[0]
    alone = played(num_agents=1).history("agent_0")[0]
    assert "?" not in alone
    assert "oak_planks" in alone
    assert "stone" in alone


def test_nothing_that_an_agent_reads_depends_on_what_the_others_did():
    mine = [
        "/setblock 9 2 0 stone\n/setblock 0 0 0 stone",
        "/setblock 9 2 0 air",
        "bad\n/setblock 9 1 0 stone",
    ]
    theirs = ["/setblock 9 2 0 oak_planks\n/setblock 0 0 0 oak_planks", "/setblock 9 1 0 oak_planks", ""]
    for prompts in ("full", "terse"):
        with_them = played(*zip(theirs, mine, strict=True), prompts=prompts)
        without = played(*zip(["", "", ""], mine, strict=True), prompts=prompts)
        assert with_them.history("agent_1") == without.history("agent_1")


def test_with_feedback_on_letters_agents_see_each_others_blocks_in_their_own_letters():
    env = played(
        ["/setblock 7 0 0 oak_planks\n/setblock 0 0 0 oak_planks", "/setblock 8 0 0 stone"],
        prompts="terse",
        feedback="letters",
    )
    assert env.history("agent_1")[-1].splitlines()[-1] == "0 ?????..+1..."
    assert env.history("agent_0")[-1].splitlines()[-1] == "0 1......1????"


def test_a_block_behind_another_waits_until_that_one_goes():
    env = played(
        ["/setblock 7 0 0 oak_planks", "/setblock 7 0 0 stone"],
        ["/setblock 7 0 0 air", ""],
    )
    refused = env.turns[0].score.rejected["agent_1"]
    assert [tuple(r) for r in refused] == [("/setblock 7 0 0 stone", "held by agent_0")]
    assert env.turns[0].score.metrics["wasted"] == 1.0
    assert env.task.scene(env.snapshot).blocks == {(7, 0, 0): "stone"}


def test_stock_is_spent_by_placing_and_comes_back():
    place = "\n".join(f"/setblock {x} {y} 0 oak_planks" for y in range(5) for x in range(12))
    env = played([place, ""], [f"/setblock 0 0 0 air\n{place}", ""])
    first, second = (turn.score for turn in env.turns)
    assert len(first.accepted["agent_0"]) == 21
    assert first.rejected["agent_0"][0].why == "no oak_planks left"
    assert second.accepted["agent_0"] == ["/setblock 0 0 0 air", "/setblock 0 0 0 oak_planks"]
    assert "it stands there already" in {r.why for r in second.rejected["agent_0"]}
    assert second.metrics["stock_left"] == 21.0


def test_what_cannot_be_used_is_refused_with_its_reason():
    lines = ["/setblock 0 0 0 stone", "/setblock 12 0 0 oak_planks", "/setblock 0 0 0 air", "hello"]
    env = played(["\n".join(lines), ""])
    assert [r.why for r in env.turns[0].score.rejected["agent_0"]] == [
        "block 'stone' not allowed",
        "outside the box",
        "unsupported command 'hello'",
        "no block of yours stands there",
    ]


def test_a_stock_tells_nothing_of_the_word():
    for difficulty in range(1, 7):
        task = collm_envs.make_task("StrBuild-v1", difficulty=difficulty, num_agents=3)
        for split in ("train", "eval"):
            assert len({task.start(item, 0).stock for item in task.items(split)}) == 1


def test_difficulty_sets_letters_and_splits_never_share_an_item():
    for difficulty, letters in ((1, 3), (3, 4), (5, 5), (6, 5)):
        task = collm_envs.make_task("StrBuild-v1", difficulty=difficulty, num_agents=3)
        kind = "signs" if difficulty == 6 else "string"
        train, held = ([tuple(item.data[kind]) for item in task.items(s)] for s in ("train", "eval"))
        assert {len(word) for word in train + held} == {letters}
        assert not set(train) & set(held)
        assert len(set(train)) == 128
        if kind == "string":
            assert {letter for word in train for letter in word} <= set(SEEN)
            assert all(set(word) - set(SEEN) for word in held) == (difficulty == 5)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"difficulty": 7}, "difficulty: need 1 to 6, got 7"),
        ({"builders": 3}, "builders: need 2, as many as there are agents, got 3"),
        ({"num_agents": 9}, "need at most 8, got 9"),
        ({"slack": 0.5}, "slack: need a number of 1 to 100"),
        ({"items": [{"string": "A1"}]}, "must be like"),
        ({"items": [{"signs": ["#"]}]}, "must be like"),
        ({"n": 200}, "found"),
        ({"reward": "sparse"}, "reward: need one of 'dense', 'final'"),
    ],
)
def test_a_wrong_keyword_is_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        collm_envs.make("StrBuild-v1", **kwargs)


@pytest.mark.parametrize("num_agents", [2, 3, 4])
@pytest.mark.parametrize("difficulty", [1, 5, 6])
def test_talk_reaches_the_maximum_and_silence_does_not(difficulty, num_agents):
    kwargs = {"difficulty": difficulty, "num_agents": num_agents, "max_turns": 2, "n": 1, "n_eval": 6}
    assert returned("StrBuild-v1", "expert", talk=1, **kwargs) == pytest.approx(2.0)
    assert returned("StrBuild-v1", "mute", talk=1, **kwargs) < 1.5
    assert returned("StrBuild-v1", "mute", **kwargs) == returned("StrBuild-v1", "expert", **kwargs)
    alone = {"difficulty": difficulty, "num_agents": 1, "builders": num_agents, "max_turns": 2, "n": 1}
    assert returned("StrBuild-v1", "solo", **alone) == pytest.approx(2.0)
    assert returned("StrBuild-v1", "expert", **alone) == pytest.approx(2.0)


@pytest.mark.parametrize("way", [{}, {"prompts": "terse", "num_agents": 3}, {"num_agents": 1}], ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_text_is_played_and_the_accounts_stay_right(way, data):
    env = collm_envs.make("StrBuild-v1", feedback="letters", **way)
    env.reset(seed=data.draw(st.integers(0, 9)))
    low, high = env.task.reward_range
    for _ in range(2):
        prompts, rewards, *_ = env.step({agent: data.draw(TEXTS) for agent in env.agents})
        assert all(prompts.values())
        assert low <= rewards["agent_0"] <= high
        assert env.turns[-1].score.metrics["stock_left"] >= 0
    assert replay(record(env)).status == "equal"
