"""HouseBuild: the published numbers, blueprints, stocks, spiders, feedback, houses of our own, players."""

import copy
import json
import pickle
import re
from pathlib import Path
from random import Random

import pytest

import collm_envs
from collm_envs.building.blueprints import House, layers, published, row
from collm_envs.building.plan import read_plan

GOLDEN = json.loads((Path(__file__).parent / "golden" / "housebuild.json").read_text())
EPISODES = [case for case in GOLDEN if "completions" in case["input"]]
ROWS = {row["task_id"]: row for some in published().values() for row in some}
KINDS = {
    "exceeds resource limit": "exceeds the stock",
    "block not allowed": "not allowed",
    "unsupported command": "unsupported command",
    "exceeds max_commands": "exceeds the limit",
}
CELL = re.compile(r"^\((-?\d+), (-?\d+), (-?\d+)\) (\w+)$", re.M)
BOX = re.compile(r"\((-?\d+), (-?\d+), (-?\d+), (-?\d+), (-?\d+), (-?\d+) (\w+)\)")


def golden_env(case, **kwargs):
    given = case["input"]
    return collm_envs.make(
        "HouseBuild-v0",
        items=[ROWS[given["task_id"]]],
        num_agents=given["num_agents"],
        threat=given["spider_atk_values"],
        player_hp=given["player_hp"],
        limited_resource=given["limited_resource"],
        max_commands=given["max_commands_total"],
        allowed_blocks=given["allowed_blocks"],
        **kwargs,
    )


def play_once(env, texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.possible_agents, texts, strict=True)))


def played(texts, item="house_build_0002", **kwargs):
    """(reward, info of the first agent) of one turn on a published house with fixed attacks."""
    kwargs = {"threat": [1, 1, 1], "num_agents": len(texts), **kwargs}
    env = collm_envs.make("HouseBuild-v0", items=[ROWS[item]], **kwargs)
    _, rewards, _, _, infos = play_once(env, texts)
    return rewards["agent_0"], infos["agent_0"]


def small_house(**changes):
    """4 x 2 x 2: a floor of stone on y=0, one plank on y=1."""
    spec = {
        "layers": [
            {"y": 0, "rows": ["SSSS", "SSSS"]},
            {"y": 1, "rows": ["P...", "...."]},
        ]
    }
    return {"inventory": {"S": "stone", "P": "oak_planks", ".": "air"}, "target_spec": spec, **changes}


@pytest.mark.parametrize("case", EPISODES, ids=lambda case: case["name"])
def test_golden_episode_holds_through_the_public_environment(case):
    want = case["output"]
    _, rewards, _, _, infos = play_once(golden_env(case), case["input"]["completions"])
    info = infos["agent_0"]
    assert rewards["agent_0"] == pytest.approx(want["reward"], abs=1e-9)
    assert info["reward_parts"]["match"] == pytest.approx(want["metrics"]["score_match"], abs=1e-9)
    assert info["reward_parts"]["threat"] == pytest.approx(-want["spider_penalty"], abs=1e-9)
    assert info["metrics"]["iou"] == pytest.approx(want["metrics"]["iou"], abs=1e-9)
    assert info["metrics"]["correct_cells"] == want["metrics"]["match_correct"]
    assert info["metrics"]["cells"] == want["metrics"]["match_total"]
    for k, agent in enumerate(infos):
        assert infos[agent]["accepted"] == want["accepted"][k]
        rejected, theirs = infos[agent]["rejected"], want["rejected_line_reason"][k]
        assert [line["line"] for line in rejected] == [line for line, _ in theirs]
        for line, (_, reason) in zip(rejected, theirs, strict=True):
            assert next(ours for kind, ours in KINDS.items() if reason.startswith(kind)) in line["why"]


@pytest.mark.parametrize(
    "case", [c for c in EPISODES if "third_party_paper_variant" in c["output"]], ids=lambda case: case["name"]
)
def test_golden_reward_of_the_appendix(case):
    want = case["output"]["third_party_paper_variant"]
    env = golden_env(case, reward="appendix")
    _, rewards, _, _, infos = play_once(env, case["input"]["completions"])
    assert rewards["agent_0"] == pytest.approx(want["reward"], abs=1e-9)
    assert infos["agent_0"]["metrics"]["coverage"] == pytest.approx(want["coverage_rate"], abs=1e-9)
    assert infos["agent_0"]["metrics"]["redundancy"] == pytest.approx(want["redundancy_rate"], abs=1e-9)


def cells_in(text):
    return [[int(x), int(y), int(z), block] for x, y, z, block in CELL.findall(text)]


def boxes_in(text):
    """As golden lists them: y, x1, z1, x2, z2, block."""
    found = [(*map(int, numbers), block) for *numbers, block in BOX.findall(text)]
    assert all(y1 == y2 for _, y1, _, _, y2, _, _ in found)
    return [[y, x1, z1, x2, z2, block] for x1, y, z1, x2, _, z2, block in found]


@pytest.mark.parametrize(
    "case", [c for c in EPISODES if "score_feedback_text" in c["output"]], ids=lambda case: case["name"]
)
def test_golden_feedback_of_every_mode(case):
    want = case["output"]
    modes = [
        "position_modification",
        "rect_modification",
        "resource_schedule",
        "perfect",
        "position",
        "score",
    ]
    prompts = {
        mode: [*play_once(golden_env(case, feedback=mode), case["input"]["completions"])[0].values()]
        for mode in modes
    }
    for k in range(case["input"]["num_agents"]):
        assert cells_in(prompts["perfect"][k]) == want["perfect_feedback_wrong_per_agent"][k]
        assert cells_in(prompts["position_modification"][k]) == want["position_modification_limit20"]
        boxes = boxes_in(prompts["rect_modification"][k])
        assert boxes == want["rect_modification_limit20_y_x1_z1_x2_z2_block"][k]
        assert boxes_in(prompts["resource_schedule"][k]) == want["resource_schedule_suggested"][k]
        assert f" {want['score_feedback_text']} " in prompts["score"][k]
        count, hint = want["position_feedback_count_and_hint"]
        assert len(cells_in(prompts["position"][k])) == count
        assert f"these {count} blocks. Choose about {hint} " in prompts["position"][k]
        for line in want["accepted"][k]:
            assert line in prompts["rect_modification"][k]
            assert line in prompts["resource_schedule"][k]


def test_what_is_named_as_left_is_what_the_commands_left():
    case = next(c for c in EPISODES if c["name"] == "resource_limit_rejects_later_fill")
    env = golden_env(case, feedback="resource_schedule")
    first, second = play_once(env, case["input"]["completions"])[0].values()
    assert "obsidian 9, planks 1, stone_bricks 31, stone_stairs 18, white_concrete 3." in first
    assert "obsidian 9, planks 1, stone_bricks 1, stone_stairs 18, white_concrete 51." in second


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["name"] == "spider_attack_draws"], ids=str)
def test_golden_attacks_of_a_run(case):
    given = case["input"]
    task = collm_envs.make_task(
        "HouseBuild-v0", threat="run", threat_seed=given["seed"], spiders=given["num"]
    )
    state = task.start(task.items("train")[0], 5)
    assert list(state.attacks) == case["output"]["atk_values"]


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["name"] == "resource_limits"], ids=str)
def test_golden_stocks(case):
    plan = read_plan("x", ROWS[case["input"]["task_id"]])
    assert plan.stock(case["input"]["num_agents"]) == case["output"]["limits"]
    counts = {block: count for block, count in case["output"]["counts"].items() if block != "air"}
    assert plan.counts == counts


@pytest.mark.parametrize("case", [c for c in GOLDEN if c["name"].startswith("layer_rect")], ids=str)
def test_golden_boxes_of_the_blueprint(case):
    item = ROWS[case["input"]["task_id"]]
    want = case["output"]["y_x1_z1_x2_z2_block"]
    assert [list(rect) for rect in read_plan("x", item).rectangles] == want
    prompt = collm_envs.make("HouseBuild-v0", items=[item]).reset(seed=0)[0]["agent_1"]
    assert boxes_in(prompt) == want


def test_generator_makes_the_published_rows_cell_for_cell(real_data):
    theirs = json.loads((real_data / "house_build.json").read_text())
    ours = [row for some in published().values() for row in some]
    assert len(ours) == 10
    for one, other in zip(ours, theirs, strict=True):
        assert one == other, one["task_id"]


def test_published_split_keeps_one_roof_for_evaluation():
    task = collm_envs.make_task("HouseBuild-v0")
    houses = {
        split: {json.dumps(item.data["target_spec"]) for item in task.items(split)}
        for split in ("train", "eval")
    }
    assert [len(houses["train"]), len(houses["eval"])] == [4, 1]
    assert not houses["train"] & houses["eval"]
    assert [item.id for item in task.items("eval")] == ["house_build_0108", "house_build_0109"]


def test_default_house_is_the_gable_and_other_settings_change_what_they_say():
    gable = layers(House())
    assert gable[1] == ["AAAAAA", "OCDDCO", "CAAAAC", "CAAAAC", "CAAAAC", "OCCCCO", "AAAAAA"]
    assert gable[6] == ["AAAAAA", "AAAAAA", "SSSSSS", "BBBBBB", "SSSSSS", "AAAAAA", "AAAAAA"]
    other = layers(House("hip", width=7, depth=8, walls=2, roof_layers=3, door=1, door_width=1))
    assert [len(other), len(other[0]), len(other[0][0])] == [7, 8, 7]
    assert other[1][1] == "ODCCCCO"
    assert other[2][1] == "OACCCCO"
    assert other[4][1] == "ASSSSSA"
    assert other[6] == ["A" * 7, "A" * 7, "A" * 7, "AAABAAA", "AAABAAA", "A" * 7, "A" * 7, "A" * 7]


def test_generated_houses_are_different_disjoint_and_of_the_asked_size():
    size = ((4, 7), 6, (5, 8))
    kwargs = {"houses": "generated", "n": 40, "n_eval": 10, "size": size}
    task = collm_envs.make_task("HouseBuild-v0", **kwargs)
    looks = {
        split: [json.dumps([i.data["target_spec"], i.data["inventory"]]) for i in task.items(split)]
        for split in ("train", "eval")
    }
    assert [len(looks["train"]), len(looks["eval"])] == [40, 10]
    assert len({*looks["train"], *looks["eval"]}) == 50
    for item in [*task.items("train"), *task.items("eval")]:
        width, height, depth = item.data["target_spec"]["size"]
        assert 4 <= width <= 7
        assert height == 6
        assert 5 <= depth <= 8
        top = item.data["target_spec"]["layers"][-1]["rows"]
        assert set("".join(top)) != {"A"}, "the roof must reach the top of the box"
    assert collm_envs.make_task("HouseBuild-v0", **kwargs).items("train") == task.items("train")
    assert collm_envs.make_task("HouseBuild-v0", **{**kwargs, "n": 5}).items("eval") == task.items("eval")
    assert collm_envs.make_task("HouseBuild-v0", **kwargs, houses_seed=1).items("eval") != task.items("eval")


def test_generated_rows_can_be_given_back_as_items():
    rows = [
        item.data for item in collm_envs.make_task("HouseBuild-v0", houses="generated", n=3).items("train")
    ]
    again = collm_envs.make_task("HouseBuild-v0", items=json.loads(json.dumps(rows)))
    assert [item.data for item in again.items("train")] == rows


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


def test_attacks_are_told_and_so_is_how_to_stop_them():
    prompt = collm_envs.make("HouseBuild-v0", threat=[2, 1, 3]).reset(seed=0)[0]["agent_1"]
    assert "3 spiders attack the player, who has 5 health points; they take 2, 1, 3, 6 in all." in prompt
    assert "/kill" in prompt
    assert "spider" not in collm_envs.make("HouseBuild-v0", threat=[]).reset(seed=0)[0]["agent_1"]


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


def played_by(task, item, player, rng):
    state = task.start(item, rng.getrandbits(31))
    texts = {agent: task.players[player](task, state, agent, rng) for agent in task.agents}
    return task.play(state, texts)


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


BREAKS = {
    "inventory must": lambda row: row.update(inventory={}),
    "single characters": lambda row: row["inventory"].update(XY="stone"),
    "inventory\\['S'\\]": lambda row: row["inventory"].update(S="two words"),
    "target_spec must": lambda row: row.pop("target_spec"),
    "layers must": lambda row: row["target_spec"].update(layers=[]),
    "layer number 1": lambda row: row["target_spec"]["layers"][1].pop("rows"),
    "layer number 0: y": lambda row: row["target_spec"]["layers"][0].update(y=0.5),
    "layer y=0 is there twice": lambda row: row["target_spec"]["layers"][1].update(y=0),
    "layer y=1 is missing": lambda row: row["target_spec"]["layers"][1].update(y=2),
    "layer y=1: need 2 rows, got 1": lambda row: row["target_spec"]["layers"][1].update(rows=["...."]),
    "layer y=1, row 1: need 4 characters, got 3": lambda row: row["target_spec"]["layers"][1].update(
        rows=["....", "..."]
    ),
    "layer y=0, row 1: '\\?' is not in the inventory": lambda row: row["target_spec"]["layers"][0].update(
        rows=["SSSS", "SS?S"]
    ),
    "layer y=0, row 0: need a string": lambda row: row["target_spec"]["layers"][0].update(rows=[5, "SSSS"]),
    "target_spec.size": lambda row: row["target_spec"].update(size=[4, 2, 3]),
    "bbox must": lambda row: row.update(bbox={"from": [0, 0, 0]}),
    "bbox .* large": lambda row: row.update(bbox={"from": [0, 0, 0], "to": [4, 1, 1]}),
    "nothing but air": lambda row: row["target_spec"].update(layers=[{"y": 0, "rows": ["...."]}]),
    "need a mapping": lambda row: row.clear() or row.update(task_id="brief"),
}


@pytest.mark.parametrize("message", BREAKS)
def test_broken_blueprint_is_refused_by_task_layer_and_row(message):
    broken = copy.deepcopy(small_house(task_id="my_house"))
    BREAKS[message](broken)
    items = [broken] if message != "need a mapping" else ["not a row"]
    with pytest.raises(ValueError, match=message) as raised:
        collm_envs.make("HouseBuild-v0", items=items)
    assert "my_house" in str(raised.value) or message == "need a mapping"


def test_layers_may_be_a_mapping_and_the_box_may_lie_anywhere():
    spec = {"layers": {"11": ["P...", "...."], "10": ["SSSS", "SSSS"]}}
    item = small_house(target_spec=spec, bbox={"from": [1, 11, -4], "to": [-2, 10, -5]})
    env = collm_envs.make("HouseBuild-v0", items=[item], threat=[], feedback="perfect")
    _, rewards, *_ = play_once(env, ["/fill -2 10 -5 1 10 -4 stone", ""])
    assert rewards["agent_0"] == pytest.approx(7 / 16)
    whole = play_once(env, ["/fill -2 10 -5 1 10 -5 stone", "/fill -2 10 -4 1 10 -4 stone"])
    assert whole[1]["agent_0"] == pytest.approx(15 / 16)
    assert cells_in(whole[0]["agent_0"]) == [[-2, 11, -5, "oak_planks"]]
    assert cells_in(whole[0]["agent_1"]) == []
    assert env.task.scene(env.snapshot).size == (4, 2, 2)
    assert env.task.scene(env.snapshot).target[0, 1, 0] == "oak_planks"


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


def test_terse_prompt_of_a_small_house():
    env = collm_envs.make("HouseBuild-v0", items=[small_house()], prompts="terse", threat=[2, 1])
    assert env.reset(seed=0)[0]["agent_1"].splitlines() == [
        "2/2 300 hp=5 spiders=2,1",
        "4x2x2",
        "A=stone:6 B=oak_planks:1",
        "00031A",
        "10000B",
    ]
    wide = small_house(target_spec={"layers": [{"y": -1, "rows": ["S" * 11]}]})
    free = {"threat": [], "limited_resource": False, "num_agents": 1}
    env = collm_envs.make("HouseBuild-v0", items=[wide], prompts="terse", **free)
    assert env.reset(seed=0)[0]["agent_0"].splitlines() == [
        "1/1 600",
        "11x1x1 from 0,-1,0",
        "A=stone B=oak_planks",
        "-1 0 0 10 0 A",
    ]


def test_terse_lines_build_the_same_world_as_fill():
    task = collm_envs.make_task("HouseBuild-v0", items=[small_house()], prompts="terse")
    state = task.start(task.items("train")[0], 0)
    terse = "00030A\n0 0 1 2 1 A\n10000B\n1. 00010-\n00000C\n90000A\n00031A"
    short = task.play(state, {"agent_0": terse, "agent_1": ""})
    lines = [
        "0 0 0 3 0 0 stone",
        "0 0 1 2 0 1 stone",
        "0 1 0 0 1 0 oak_planks",
        "0 0 0 1 0 0 air",
        "0 0 0 0 0 0 C",
        "0 9 0 0 9 0 stone",
        "0 0 0 3 0 1 stone",
    ]
    long = task.play(state, {"agent_0": "\n".join(f"/fill {line}" for line in lines), "agent_1": ""})
    assert short.score == long.score
    assert short.world == long.world
    rejected = [(line.line, line.why) for line in short.score.rejected["agent_0"]]
    assert [line for line, _ in rejected] == [f"/fill {lines[k]}" for k in (1, 4, 5, 6)]
    kinds = ("exceeds the stock", "not allowed", "outside", "exceeds the stock")
    assert all(kind in why for kind, (_, why) in zip(kinds, rejected, strict=True))


@pytest.mark.parametrize(
    ("feedback", "want"),
    [
        ("score", "2\n0.7500"),
        ("perfect", "2\n10000B\n02121A"),
        ("position", "2\n00031A\n10000B"),
        ("position_modification", "2\n00101A\n02121A"),
        ("rect_modification", "2\n00031A\n10000B"),
        ("resource_schedule", "2\nB:1 A:4\n10000B\n00030A"),
        ("none", "2"),
    ],
)
def test_terse_feedback_by_hand(feedback, want):
    env = collm_envs.make(
        "HouseBuild-v0", items=[small_house()], prompts="terse", feedback=feedback, threat=[], lim=2
    )
    assert play_once(env, ["00010A", "02030A\n01111A"])[0]["agent_0"] == want


@pytest.mark.parametrize("feedback", ["score", "perfect", "position", "rect_modification", "none"])
def test_full_and_terse_prompts_earn_the_same(feedback):
    tasks = [collm_envs.make_task("HouseBuild-v0", feedback=feedback, prompts=p) for p in ("full", "terse")]
    full, terse = (task.start(task.items("train")[4], 9) for task in tasks)
    rng = Random(0)
    for _ in range(4):
        texts = {agent: tasks[0].players["noisy"](tasks[0], full, agent, rng) for agent in tasks[0].agents}
        full, terse = tasks[0].play(full, texts), tasks[1].play(terse, texts)
        assert full.score == terse.score
        assert len(tasks[1].prompt(terse, "agent_1")) < len(tasks[0].prompt(full, "agent_1"))


def test_self_contained_prompts_repeat_the_task_and_the_last_text():
    env = collm_envs.make("HouseBuild-v0", self_contained=True)
    opening = env.reset(seed=4)[0]
    later = env.step({"agent_0": "/kill\n", "agent_1": ""})[0]
    assert opening["agent_0"] in later["agent_0"]
    assert later["agent_0"].endswith("\n/kill")
    assert later["agent_1"].endswith(opening["agent_1"])


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


def test_row_of_a_house_counts_its_blocks():
    made = row(House("steep"), task_id="x")
    assert made["count"] == {"C": 68, "O": 12, "S": 24, "B": 42, "D": 2, "A": 146}
