"""HouseBuild: rewards by hand, the reading of text, stocks, spiders, players, settings."""

import pickle
from random import Random

import pytest
from building_play import ROWS, play_once, played_by, small_house

import collm_envs


def played(texts, item="house_build_0002", **kwargs):
    """(reward, info of the first agent) of one turn on a published house with fixed attacks."""
    kwargs = {"threat": [1, 1, 1], "num_agents": len(texts), **kwargs}
    env = collm_envs.make("HouseBuild-v0", items=[ROWS[item]], **kwargs)
    _, rewards, _, _, infos = play_once(env, texts)
    return rewards["agent_0"], infos["agent_0"]


def test_reward_worked_by_hand():
    # of 16 cells 7 are air; 3 stones right, 1 plank where stone belongs, 1 stone where air belongs
    text = "/fill 0 0 0 2 0 0 stone\n/fill 3 0 0 3 0 0 oak_planks\n/fill 1 1 1 1 1 1 stone"
    kwargs = {"threat": [1, 1], "player_hp": 8, "limited_resource": False}
    env = collm_envs.make("HouseBuild-v0", items=[small_house()], **kwargs)
    _, rewards, _, _, infos = play_once(env, [text, ""])
    info = infos["agent_1"]
    assert info["reward_parts"] == pytest.approx({"match": (3 + 6) / 16, "threat": -0.1 * 2 / 8})
    assert rewards["agent_0"] == pytest.approx(9 / 16 - 0.025)
    assert info["metrics"]["iou"] == pytest.approx(4 / 10)
    assert info["metrics"]["coverage"] == pytest.approx(4 / 9)
    assert info["metrics"]["redundancy"] == pytest.approx(1 / 9)
    assert info["metrics"]["hp"] == 6
    assert info["metrics"]["hp_share"] == 0.75
    assert info["metrics"]["damage"] == 2


def test_docstring_example_is_right():
    assert played(["", ""], threat=[2, 1, 3])[0] == pytest.approx(0.3150, abs=5e-5)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("fill 0 0 0 0 0 0 obsidian", None),
        ("2. / FILL +3 0 1 0 00 1 minecraft:stone_bricks", None),
        ("/fill 5 6 6 0 0 0 air", None),
        ("/kill", None),
        ("KILL @e[type=spider] now", None),
        ("/killall", "unsupported command"),
        ("/setblock 0 0 0 obsidian", "unsupported command"),
        ("/fill 0 0 0 0 0 obsidian", "too few words"),
        ("/fill 0 0 0 0 0.5 0 obsidian", "whole numbers"),
        ("/fill ~ 0 0 0 0 0 obsidian", "whole numbers"),
        (f"/fill {10**4299}0 0 0 0 0 0 stone", "whole numbers"),
        ("/fill 0 0 0 0 0 0 Obsidian replace", "not allowed"),
        ("/fill 9 9 9 9 9 9 gold_block replace", "'gold_block' not allowed"),
        ("/fill 0 0 0 0 7 0 obsidian replace", "outside the box"),
        ("/fill -1 0 0 0 0 0 obsidian", "outside the box"),
        ("/fill 0 0 0 0 0 0 obsidian replace", "mode 'replace' not allowed"),
        ("/fill 0 0 0 5 6 6 obsidian replace", "mode 'replace' not allowed"),
        ("/fill 0 0 0 5 0 6 obsidian", "exceeds the stock of obsidian: 42 > 9"),
        ("00000A", "unsupported command"),
    ],
)
def test_lines_are_accepted_or_rejected_for_the_published_reason(line, kind):
    info = played([line, ""])[1]
    assert len(info["accepted"]) + len(info["rejected"]) == 1
    assert bool(info["accepted"]) == (kind is None)
    assert all(kind in rejected["why"] for rejected in info["rejected"])


def test_accepted_lines_are_written_in_one_way():
    info = played(["* fill +5 0 01 0 0 1 minecraft:obsidian\n- Kill  them   all", ""])[1]
    assert info["accepted"] == ["/fill 5 0 1 0 0 1 obsidian", "/kill them all"]


def test_stock_counts_every_filled_cell_and_a_smaller_fill_may_still_pass():
    fills = ["0 0 0 4 0 0", "0 0 0 4 0 0", "0 0 0 3 0 0", "0 0 0 0 0 0"]
    info = played(["\n".join(f"/fill {fill} obsidian" for fill in fills), ""])[1]
    assert info["accepted"] == [f"/fill {fills[0]} obsidian", f"/fill {fills[2]} obsidian"]
    assert [line["why"] for line in info["rejected"]] == [
        "exceeds the stock of obsidian: 10 > 9",
        "exceeds the stock of obsidian: 10 > 9",
    ]
    free = played(["\n".join(f"/fill {fill} obsidian" for fill in fills), ""], limited_resource=False)[1]
    assert len(free["accepted"]) == 4


def test_blocks_outside_the_inventory_are_unlimited_where_they_are_allowed():
    info = played(["/fill 0 0 0 5 6 6 gold_block", ""], allowed_blocks=["gold_block"])[1]
    assert len(info["accepted"]) == 1
    assert info["metrics"]["match"] == 0.0
    assert info["metrics"]["coverage"] == 1.0
    for_each = [["gold_block"], ["obsidian", "air"]]
    env = collm_envs.make("HouseBuild-v0", items=[ROWS["house_build_0002"]], allowed_blocks=for_each)
    infos = play_once(env, ["/fill 0 0 0 0 0 0 obsidian", "/fill 0 0 0 0 0 0 obsidian"])[4]
    assert [len(info["accepted"]) for info in infos.values()] == [0, 1]


def test_kill_takes_a_command_and_is_lost_beyond_the_limit():
    fill = "/fill 0 0 1 0 0 1 white_concrete"
    for text, cut in ((f"/kill\n{fill}", 0.0), (f"{fill}\n/kill", -0.06)):
        reward, info = played([text, ""], max_commands=2)
        assert len(info["accepted"]) == 1
        assert info["reward_parts"]["threat"] == pytest.approx(cut)
        assert reward == pytest.approx(info["metrics"]["match"] + cut)


@pytest.mark.parametrize(
    ("attacks", "texts", "threat", "hp"),
    [
        ([2, 1, 1], ["", ""], -0.08, 1),
        ([3, 3, 3], ["", ""], -0.1, 0),
        ([3, 3, 3], ["", "/kill"], 0.0, 5),
        ([3, 3, 3], ["/kill", "/kill"], 0.0, 5),
        ([2, 1], [""], 0.0, 2),
        ([2, 1], ["", "", ""], -0.06, 2),
        ([], ["", ""], 0.0, 5),
        ([0, 0], ["", ""], 0.0, 5),
    ],
)
def test_spiders_take_health_until_somebody_stops_them(attacks, texts, threat, hp):
    _, info = played(texts, threat=attacks)
    assert info["reward_parts"]["threat"] == pytest.approx(threat)
    assert info["metrics"]["hp"] == hp
    assert info["metrics"]["hp_share"] == hp / 5


def test_threat_is_drawn_from_the_seed_of_the_episode():
    task = collm_envs.make_task("HouseBuild-v0", spiders=4)
    item = task.items("train")[0]
    drawn = {task.start(item, seed).attacks for seed in range(60)}
    assert len(drawn) > 30
    assert {attack for attacks in drawn for attack in attacks} == {1, 2, 3}
    assert task.start(item, 7).attacks == task.start(item, 7).attacks
    assert all(len(attacks) == 4 for attacks in drawn)
    fixed = collm_envs.make_task("HouseBuild-v0", threat=[2, 1, 3])
    assert {fixed.start(item, seed).attacks for seed in range(9)} == {(2, 1, 3)}
    run = collm_envs.make_task("HouseBuild-v0", threat="run")
    assert len({run.start(item, seed).attacks for seed in range(9)}) == 1


def test_the_world_is_empty_again_at_every_turn_and_later_agents_overwrite():
    env = collm_envs.make("HouseBuild-v0", items=[small_house()], threat=[])
    texts = {"agent_0": "/fill 0 0 0 1 0 0 stone", "agent_1": "/fill 0 0 0 0 0 0 air"}
    env.reset(seed=0)
    assert env.step(texts)[1]["agent_0"] == pytest.approx(8 / 16)
    assert env.task.scene(env.snapshot).blocks == {(1, 0, 0): "stone"}
    assert env.step({"agent_0": "", "agent_1": ""})[1]["agent_0"] == pytest.approx(7 / 16)


@pytest.mark.parametrize("prompts", ["full", "terse"])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "houses", [{}, {"houses": "generated", "n": 12, "n_eval": 4, "size": ((4, 12), (5, 9), (5, 12))}]
)
def test_expert_builds_every_house_within_the_limits(n, prompts, houses):
    task = collm_envs.make_task("HouseBuild-v0", num_agents=n, prompts=prompts, **houses)
    for item in [*task.items("train"), *task.items("eval")]:
        state = played_by(task, item, "expert", Random(0))
        assert state.score.reward == pytest.approx(1.0, abs=1e-12), item.id
        assert state.score.metrics["hp"] == 5
        assert not any(state.score.rejected.values())


def test_noisy_play_is_valid_and_between_nothing_and_expert():
    task, rng = collm_envs.make_task("HouseBuild-v0", houses="generated", prompts="terse"), Random("noisy")
    scores = {
        player: [played_by(task, item, player, rng).score for item in task.items("train")]
        for player in ("noisy", "random")
    }
    mean = {player: sum(s.reward for s in some) / len(some) for player, some in scores.items()}
    assert mean["random"] < 0.4 < 0.6 < mean["noisy"] < 0.85
    lines = [[sum(map(len, kind.values())) for kind in (s.accepted, s.rejected)] for s in scores["noisy"]]
    accepted, rejected = (sum(column) for column in zip(*lines, strict=True))
    assert rejected < 0.05 * accepted
    killed = [s.metrics["hp"] == 5 for s in scores["noisy"]]
    assert 0.5 < sum(killed) / len(killed) < 0.95


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"items": []}, "empty"),
        ({"items": [small_house()], "houses": "generated"}, "not both"),
        ({"items": [small_house(task_id="x")] * 2}, "'x' occurs 2 times"),
        ({"threat": "always"}, "threat"),
        ({"threat": 3}, "threat"),
        ({"threat": [1, -1]}, "threat"),
        ({"threat": "run", "threat_seed": "a"}, "threat_seed"),
        ({"spiders": -1}, "spiders"),
        ({"player_hp": 0}, "player_hp"),
        ({"limited_resource": "yes"}, "limited_resource"),
        ({"max_commands": 0}, "max_commands"),
        ({"allowed_blocks": []}, "allowed_blocks"),
        ({"allowed_blocks": "stone"}, "allowed_blocks"),
        ({"allowed_blocks": [["stone"]]}, "each of 2 agents"),
        ({"allowed_blocks": ["air"]}, "not air"),
        ({"feedback": "all"}, "feedback"),
        ({"feedback": "resource_schedule", "limited_resource": False}, "limited_resource"),
        ({"lim": -1}, "lim"),
        ({"reward": "paper"}, "reward"),
        ({"houses": "generated", "size": (3, 7, 7)}, "width"),
        ({"houses": "generated", "size": (6, 7)}, "size"),
        ({"houses": "generated", "size": (6, (9, 7), 7)}, "smallest, largest"),
        ({"houses": "generated", "size": (4, 5, 5), "n": 100_000}, "different houses"),
        ({"prompts": "terse", "allowed_blocks": [f"b{k}" for k in range(30)]}, "letters"),
    ],
)
def test_bad_settings_are_refused_by_name(kwargs, message):
    with pytest.raises(ValueError, match=message):
        collm_envs.make("HouseBuild-v0", **kwargs)


def test_scale_and_shift_change_the_reward_and_not_the_feedback():
    env = collm_envs.make("HouseBuild-v0", items=[small_house()], threat=[], reward_scale=2, reward_shift=-1)
    prompts, rewards, _, _, infos = play_once(env, ["", ""])
    assert rewards["agent_0"] == pytest.approx(2 * 7 / 16 - 1)
    assert sum(infos["agent_0"]["reward_parts"].values()) == pytest.approx(rewards["agent_0"])
    assert "0.4375" in prompts["agent_0"]
    assert env.task.reward_range == pytest.approx((-1.2, 1.0))


def test_reward_range_of_the_appendix_is_that_of_the_airiest_house():
    task = collm_envs.make_task("HouseBuild-v0", reward="appendix", items=[small_house()])
    assert task.reward_range == pytest.approx((-1.5 * 7 / 9 - 0.2, 2.0))


def test_an_episode_has_four_turns_and_state_survives_pickling():
    env = collm_envs.make("HouseBuild-v0", feedback="resource_schedule")
    env.reset(seed=3)
    twin, ends = collm_envs.make("HouseBuild-v0", feedback="resource_schedule"), []
    twin.reset(seed=3)
    while env.agents:
        env = pickle.loads(pickle.dumps(env))
        texts = dict.fromkeys(env.agents, "/fill 0 0 1 5 0 5 white_concrete")
        got, want = env.step(texts), twin.step(texts)
        assert got[:2] == want[:2]
        assert env.snapshot == twin.snapshot
        ends.append(got[2]["agent_0"])
    assert ends == [False, False, False, True]
