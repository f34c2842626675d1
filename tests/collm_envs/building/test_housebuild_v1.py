"""HouseBuild-v1: private layers, private blocks, spiders of which one agent knows."""

import pytest
from building_texts import TEXTS
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_returns import returned

import collm_envs
from collm_envs.building.housebuild_v1.players import boxes
from collm_envs.building.housebuild_v1.spiders import draw
from collm_envs.record import record
from collm_envs.replay import replay

SMALL = [{"layers": [["AB", "BA"], ["CD", ".D"]]}]
"""7 cells: A, C (agent_0): oak_planks, white_concrete; B, D (agent_1): stone, obsidian"""


def played(*turns, seed=0, **kwargs):
    """The environment after these turns, each a list of one text an agent."""
    env = collm_envs.make("HouseBuild-v1", **{"items": SMALL, "spiders": 0, **kwargs})
    env.reset(seed=seed)
    for texts in turns:
        env.step(dict(zip(env.possible_agents, texts, strict=True)))
    return env


def test_golden_turns_worked_by_hand():
    env = played(
        ["/fill 0 0 0 0 0 0 oak_planks\n/fill 1 0 1 1 0 1 oak_planks", "/fill 0 0 1 0 0 1 stone"],
        ["/fill 0 1 1 0 1 1 oak_planks\n/fill 0 1 0 0 1 0 oak_planks", "/fill 1 1 0 1 1 1 obsidian"],
        ["/fill 0 1 1 0 1 1 air\n/fill 0 1 0 0 1 0 white_concrete", ""],
    )
    worth = [2 * 3 / 7, 2 * 5 / 7 - 2 / 7, 2 * 6 / 7]
    assert [turn.score.metrics["worth"] for turn in env.turns] == pytest.approx(worth)
    assert [turn.score.reward for turn in env.turns] == pytest.approx(
        [worth[0], worth[1] - worth[0], worth[2] - worth[1]]
    )
    assert [turn.score.metrics["score"] for turn in env.turns] == pytest.approx([w / 2 for w in worth])
    assert env.turns[1].score.metrics["iou"] == pytest.approx(5 / 8)
    assert env.turns[1].score.metrics["iou_blind"] == pytest.approx(6 / 8)


def one_spider(strength):
    """(seed, spider) of the first episode with a spider of that strength at turn 2, seen by agent_0."""
    for seed in range(1000):
        (spider,) = draw(seed, 1, 4, 2, 2, 2, 2)
        if (spider.turn, spider.strength, spider.watch) == (2, strength, 0):
            return seed, spider
    raise AssertionError


def test_an_unmet_spider_takes_two_points_a_turn_and_the_last_one_ends_all():
    seed, _ = one_spider(2)
    env = played(*[["", ""]] * 4, seed=seed, spiders=1)
    assert [turn.score.reward for turn in env.turns] == pytest.approx([0, -0.1, -0.1, -1.0])
    assert [turn.score.metrics["hp"] for turn in env.turns] == [5, 3, 1, 0]
    assert env.turns[-1].score.metrics["survived"] == env.turns[-1].score.metrics["score"] == 0.0
    assert not env.agents
    final = played(*[["", ""]] * 4, seed=seed, spiders=1, reward="final", player_hp=20)
    assert [turn.score.reward for turn in final.turns] == pytest.approx([0, 0, 0, -0.3])


def test_a_spider_leaves_when_as_many_as_its_strength_guard_its_cell_in_one_turn():
    seed, spider = one_spider(2)
    guard = f"/guard {spider.x} {spider.z}"
    kwargs = {"seed": seed, "spiders": 1}
    met = played(["", ""], [guard, f"/fill 0 0 0 0 0 0 stone\n{guard}"], ["", ""], **kwargs)
    assert [turn.score.metrics["hp"] for turn in met.turns] == [5, 5, 5]
    assert met.turns[1].score.metrics["spiders_met"] == 1.0
    assert [tuple(r) for r in met.turns[1].score.rejected["agent_1"]] == [
        ("/fill 0 0 0 0 0 0 stone", "on guard")
    ]
    alone = played(["", ""], [guard, "/guard 5 5"], **kwargs)
    assert alone.turns[1].score.metrics["hp"] == 3.0
    assert alone.turns[1].score.metrics["guards_wasted"] == 1.0
    too_early = played([guard, guard], ["", ""], **kwargs)
    assert too_early.turns[1].score.metrics["hp"] == 3.0
    assert too_early.turns[0].score.metrics["guards_wasted"] == 2.0


def test_only_the_watch_reads_of_a_spider_from_the_turn_before_until_it_has_left():
    seed, spider = one_spider(1)
    guard = f"/guard {spider.x} {spider.z}"
    env = played(["", ""], ["", ""], [guard, ""], seed=seed, spiders=1, prompts="terse")
    line = f"spider 2 {spider.x},{spider.z} 1"
    read = env.history("agent_0")[::2]
    assert [line in prompt for prompt in read] == [True, True, True, False]
    assert not any("spider" in prompt for prompt in env.history("agent_1")[::2])


def test_an_agent_sees_its_layers_and_nothing_of_what_the_others_build():
    mine = ["20101B\n/fill 0 1 0 1 1 0 obsidian", "10101-"]
    theirs = ["/fill 0 0 0 1 0 1 oak_planks", "/fill 0 1 0 1 1 1 white_concrete"]
    for prompts in ("full", "terse"):
        together = played(*zip(theirs, mine, strict=True), prompts=prompts)
        apart = played(*zip(["", ""], mine, strict=True), prompts=prompts)
        assert together.history("agent_1") == apart.history("agent_1")
    first = together.history("agent_1")[0]
    assert "y1 CD/.D" in first
    assert "AB" not in first
    assert "y0 AB/BA" in played(view="all", prompts="terse").history("agent_1")[0]


def test_stock_limits_and_refusals():
    many = "/fill 0 0 0 1 1 1 oak_planks\n/fill 0 0 0 1 0 1 oak_planks\n/fill 0 0 0 0 0 0 air"
    env = played([many + "\n/kill\n/guard 9 9\n/fill 0 0 0 0 0 0 stone", "/fill 0 0 0 0 0 0 stone\n" * 9])
    score = env.turns[0].score
    assert score.accepted["agent_0"] == ["/fill 0 0 0 1 0 1 oak_planks", "/fill 0 0 0 0 0 0 air"]
    assert [r.why for r in score.rejected["agent_0"]] == [
        "unsupported command 'kill'",
        "outside the box",
        "block 'stone' not allowed",
        "exceeds the stock of oak_planks: 8 > 5",
    ]
    assert score.rejected["agent_1"][0].why == "exceeds the limit of 8 commands"
    held = played(["/fill 0 0 0 0 0 0 oak_planks", "/fill 0 0 0 0 0 0 stone"])
    assert held.turns[0].score.rejected["agent_1"][0].why == "held by agent_0"


def test_every_layer_needs_two_builders_and_no_stock_tells_of_a_house():
    for difficulty in range(1, 7):
        task = collm_envs.make_task("HouseBuild-v1", difficulty=difficulty, num_agents=3, n=30, n_eval=9)
        houses = [item.data["layers"] for split in ("train", "eval") for item in task.items(split)]
        assert len({str(layers) for layers in houses}) == 39
        for layers in houses:
            for rows in layers:
                assert len({"ABCDEF".index(letter) % 3 for letter in "".join(rows) if letter != "."}) > 1
        assert len({task.start(item, 0).stock for item in task.items("train")}) == 1


@given(st.dictionaries(st.tuples(*[st.integers(0, 4)] * 3), st.sampled_from("ab"), max_size=40))
def test_boxes_cover_their_cells_exactly(cells):
    covered = {}
    for y, x1, z1, x2, z2, block in boxes(cells):
        for x in range(x1, x2 + 1):
            for z in range(z1, z2 + 1):
                assert (x, y, z) not in covered
                covered[x, y, z] = block
    assert covered == cells


@pytest.mark.parametrize("num_agents", [2, 4])
@pytest.mark.parametrize("difficulty", [1, 3, 6])
def test_talk_reaches_the_maximum_and_silence_does_not(difficulty, num_agents):
    kwargs = {"difficulty": difficulty, "num_agents": num_agents, "seeds": range(4), "n": 1, "n_eval": 4}
    assert returned("HouseBuild-v1", "expert", talk=1, **kwargs) == pytest.approx(2.0)
    assert returned("HouseBuild-v1", "expert", talk=1, prompts="terse", **kwargs) == pytest.approx(2.0)
    assert returned("HouseBuild-v1", "mute", **kwargs) < 1.4
    alone = {**kwargs, "num_agents": 1, "builders": num_agents}
    assert returned("HouseBuild-v1", "solo", **alone) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"items": [{"layers": [["AE"]]}]}, "with the letters ABCD for blocks"),
        ({"items": [{"layers": [["A"], ["AB"]]}]}, "must be like"),
        ({"items": [{"layers": [[".."]]}]}, "not all of them air"),
        ({"spiders": -1}, "spiders: need an int of at least 0"),
        ({"builders": 3}, "builders: need 2, as many as there are agents, got 3"),
    ],
)
def test_a_wrong_keyword_is_refused(kwargs, match):
    with pytest.raises(ValueError, match=match):
        collm_envs.make("HouseBuild-v1", **kwargs)


GUARD = st.tuples(st.just("/guard"), st.integers(-1, 3).map(str), st.integers(-1, 3).map(str)).map(" ".join)


@pytest.mark.parametrize("way", [{}, {"prompts": "terse", "num_agents": 3}, {"num_agents": 1}], ids=str)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_text_is_played_and_the_accounts_stay_right(way, data):
    env = collm_envs.make("HouseBuild-v1", **way)
    env.reset(seed=data.draw(st.integers(0, 9)))
    low, high = env.task.reward_range
    for _ in range(2):
        prompts, rewards, *_ = env.step({agent: data.draw(TEXTS | GUARD) for agent in env.agents})
        assert all(prompts.values())
        assert low <= rewards["agent_0"] <= high
        assert env.turns[-1].score.metrics["stock_left"] >= 0
    assert replay(record(env)).status == "equal"
