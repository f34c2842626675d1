"""HouseBuild: what agents read, in full and terse, and the short form they may write."""

from random import Random

import pytest
from building_play import play_once, small_house

import collm_envs


def test_attacks_are_told_and_so_is_how_to_stop_them():
    prompt = collm_envs.make("HouseBuild-v0", threat=[2, 1, 3]).reset(seed=0)[0]["agent_1"]
    assert "3 spiders attack the player, who has 5 health points; they take 2, 1, 3, 6 in all." in prompt
    assert "/kill" in prompt
    assert "spider" not in collm_envs.make("HouseBuild-v0", threat=[]).reset(seed=0)[0]["agent_1"]


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
