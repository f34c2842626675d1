"""HouseBuild: what the published code earned, rejected, drew and fed back."""

import json

import folders
import pytest
from building_play import ROWS, boxes_in, cells_in, play_once

import collm_envs
from collm_envs.building.housebuild.plan import read_plan

GOLDEN = json.loads((folders.GOLDEN / "housebuild.json").read_text())


EPISODES = [case for case in GOLDEN if "completions" in case["input"]]


KINDS = {
    "exceeds resource limit": "exceeds the stock",
    "block not allowed": "not allowed",
    "unsupported command": "unsupported command",
    "exceeds max_commands": "exceeds the limit",
}


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
