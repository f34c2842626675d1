"""StrBuild: what the published code earned, rejected and fed back."""

import json
import re

import folders
import pytest
from building_play import play_once

import collm_envs
from collm_envs.building.strbuild.words import lay_out

GOLDEN = json.loads((folders.GOLDEN / "strbuild.json").read_text())


EPISODES = [case for case in GOLDEN if "completions" in case["input"]]


COORDINATES = re.compile(r"\((-?\d+), (-?\d+), (-?\d+)\)")


KINDS = {"unsupported command": "unsupported command", "exceeds max_commands": "exceeds the limit"}


def golden_env(case, **kwargs):
    given = case["input"]
    return collm_envs.make(
        "StrBuild-v0",
        items=[{"string": given["text"], "difficulty": 1}],
        palettes=given["palettes"],
        num_agents=given["num_agents"],
        max_commands=given["max_commands_total"],
        spacing=given["spacing"],
        local_z=given["local_z"],
        **kwargs,
    )


@pytest.mark.parametrize("case", EPISODES, ids=lambda case: case["name"])
def test_golden_episode_holds_through_the_public_environment(case):
    want = case["output"]
    _, rewards, _, _, infos = play_once(golden_env(case), case["input"]["completions"])
    info = infos["agent_0"]
    assert rewards["agent_0"] == pytest.approx(want["reward"], abs=1e-9)
    assert sum(info["reward_parts"].values()) == pytest.approx(want["reward"], abs=1e-9)
    names = {
        "iou": "iou",
        "adj": "adjacent_same_color_ratio",
        "coverage": "coverage_ratio",
        "extra": "extra_ratio",
        "missing_palettes": "missing_agent_palette_count",
        "covered_blocks": "covered",
        "extra_blocks": "extra_blocks",
        "target_blocks": "target_total",
        "same_pairs": "adjacent_same_color_pairs",
        "pairs": "adjacent_color_pairs",
        "raw_reward": "score_total",
    }
    for ours, theirs in names.items():
        assert info["metrics"][ours] == pytest.approx(want["metrics"][theirs], abs=1e-9), ours
    for k, agent in enumerate(infos):
        assert infos[agent]["accepted"] == want["accepted"][k]
        rejected = infos[agent]["rejected"]
        assert [line["line"] for line in rejected] == [line for line, _ in want["rejected_line_reason"][k]]
        for line, (_, reason) in zip(rejected, want["rejected_line_reason"][k], strict=True):
            assert line["why"].startswith(KINDS[reason])


def found_cells(text):
    return [[int(k) for k in cell] for cell in COORDINATES.findall(text)]


@pytest.mark.parametrize(
    "case", [c for c in EPISODES if "perfect_feedback" in c["output"]], ids=lambda c: c["name"]
)
def test_golden_feedback_names_the_published_cells(case):
    want, texts = case["output"], case["input"]["completions"]
    prompts = play_once(golden_env(case, feedback="perfect"), texts)[0]
    for k, agent in enumerate(prompts):
        wrong, _, extra = prompts[agent].partition("should be empty")
        assert found_cells(wrong) == want["perfect_feedback"]["wrong_positions_per_agent"][k]
        if k == len(prompts) - 1:
            assert found_cells(extra) == want["perfect_feedback"]["extra_positions_last_agent"]
        else:
            assert extra == ""
    for k, prompt in enumerate(play_once(golden_env(case, feedback="position"), texts)[0].values()):
        position = want["position_feedback"]
        assert found_cells(prompt) == position["all_positions"]
        assert f"about {position['target_size_hint']} " in prompt
        assert f"up to {position['max_commands'][k]} commands" in prompt
    for prompt in play_once(golden_env(case, feedback="score"), texts)[0].values():
        assert f" {want['score_feedback']['reward_text']} " in prompt


@pytest.mark.parametrize(
    "case", [c for c in GOLDEN if c["name"] == "glyph_rows"], ids=lambda c: repr(c["input"])
)
def test_golden_rows_of_letters(case):
    rows = lay_out(case["input"]["text"], case["input"]["spacing"], 0).rows
    assert list(rows) == case["output"]["rows_topdown"]
