"""StrBuild: what agents read, in full and terse, and the rows they may draw."""

from random import Random

import pytest
from building_play import play_once, rejected_of

import collm_envs


def test_target_is_shown_unless_hidden():
    shown = collm_envs.make("StrBuild-v0", items=[{"string": "L"}]).reset(seed=0)[0]["agent_1"]
    hidden = collm_envs.make("StrBuild-v0", items=[{"string": "L"}], show_target=False).reset(seed=0)[0][
        "agent_1"
    ]
    assert "4 #....\n" in shown
    assert "0 #####\n" in shown
    assert "#" not in hidden
    other = collm_envs.make("StrBuild-v0", items=[{"string": "I"}], show_target=False).reset(seed=0)[0][
        "agent_1"
    ]
    assert other == hidden
    terse = collm_envs.make("StrBuild-v0", items=[{"string": "L"}], show_target=False, prompts="terse")
    assert terse.reset(seed=0)[0]["agent_1"] == "2/2 150 1=white_concrete 2=obsidian\n5x5"


def test_terse_prompt_of_a_word():
    env = collm_envs.make("StrBuild-v0", items=[{"string": "TL"}], prompts="terse", local_z=3, spacing=1)
    assert env.reset(seed=0)[0]["agent_0"].splitlines() == [
        "1/2 150 1=oak_planks 2=stone z=3",
        "4 #####.#....",
        "3 ..#...#....",
        "2 ..#...#....",
        "1 ..#...#....",
        "0 ..#...#####",
    ]


def test_drawn_rows_build_the_same_world_as_commands():
    drawn = "4 ...1\n2) 0 -2.........1\n3 ....\n/setblock 1 1 0 stone"
    commands = ["3 4 0 oak_planks", "0 0 0 air", "1 0 0 stone", "11 0 0 oak_planks", "1 1 0 stone"]
    task = collm_envs.make_task("StrBuild-v0", items=[{"string": "TT"}], prompts="terse")
    state = task.start(task.items("train")[0], 0)
    short = task.play(state, {"agent_0": drawn, "agent_1": ""})
    long = task.play(state, {"agent_0": "\n".join(f"/setblock {c}" for c in commands), "agent_1": ""})
    assert short.score == long.score
    assert short.blocks == long.blocks
    assert short.score.accepted["agent_0"] == [f"/setblock {c}" for c in commands]
    assert short.score.rejected["agent_0"] == []


@pytest.mark.parametrize(
    ("row", "rejected"),
    [
        ("4 .c", [("/setblock 1 4 0 c", "not allowed")]),
        ("4 c.d", [("/setblock 0 4 0 c", "not allowed"), ("/setblock 2 4 0 d", "not allowed")]),
        ("5 1", [("/setblock 0 5 0 oak_planks", "outside")]),
        ("9 c", [("/setblock 0 9 0 c", "not allowed")]),
        ("4 ......", [("4 ......", "unsupported")]),
        ("4  1", [("4  1", "unsupported")]),
        ("04 1", [("04 1", "unsupported")]),
        ("٤ 1", [("٤ 1", "unsupported")]),
        ("4 1A", [("4 1A", "unsupported")]),
    ],
)
def test_drawn_cells_are_checked_as_commands(row, rejected):
    accepted, got = rejected_of(row, prompts="terse")
    assert accepted == []
    assert [line for line, _ in got] == [line for line, _ in rejected]
    assert all(kind in why for (_, kind), (_, why) in zip(rejected, got, strict=True))


def test_drawn_cells_count_towards_the_limit():
    accepted, rejected = rejected_of("4 1212\n3 2", max_commands=6, prompts="terse")
    assert accepted == [f"/setblock {k} 4 0 {b}" for k, b in enumerate(["oak_planks", "stone", "oak_planks"])]
    assert [line for line, _ in rejected] == ["/setblock 3 4 0 stone", "/setblock 0 3 0 stone"]
    assert all("exceeds" in why for _, why in rejected)


def test_rows_are_not_read_in_the_published_grammar():
    assert rejected_of("4 1.2") == ([], [("4 1.2", "unsupported command '4'")])


@pytest.mark.parametrize("feedback", ["position", "perfect", "score", "none"])
def test_full_and_terse_prompts_earn_the_same(feedback):
    tasks = [collm_envs.make_task("StrBuild-v0", feedback=feedback, prompts=p) for p in ("full", "terse")]
    full, terse = (task.start(task.items("train")[4], 0) for task in tasks)
    rng = Random(0)
    for _ in range(4):
        texts = {agent: tasks[0].players["noisy"](tasks[0], full, agent, rng) for agent in tasks[0].agents}
        full, terse = tasks[0].play(full, texts), tasks[1].play(terse, texts)
        assert full.score == terse.score
        longer, shorter = tasks[0].prompt(full, "agent_1"), tasks[1].prompt(terse, "agent_1")
        assert len(shorter) < len(longer)


def test_terse_feedback_by_hand():
    texts = ["2 ..2", "2 .1\n4 ...2"]
    wants = {
        "perfect": [
            "2\n4 #.#.#\n3 .....\n2 ..#..\n1 .....\n0 #.#.#",
            "2\n4 .#...\n3 ..#..\n2 .-...\n1 ..#..\n0 .#.#.",
        ],
        "score": ["2\n-0.0673"] * 2,
        "none": ["2"] * 2,
        "position": ["2\n4 #####\n3 ..#..\n2 ..#..\n1 ..#..\n0 #####"] * 2,
    }
    for feedback, want in wants.items():
        env = collm_envs.make("StrBuild-v0", items=[{"string": "I"}], prompts="terse", feedback=feedback)
        assert list(play_once(env, texts)[0].values()) == want


def test_self_contained_prompts_repeat_the_task_and_the_last_text():
    env = collm_envs.make("StrBuild-v0", items=[{"string": "L"}], self_contained=True, feedback="score")
    opening = env.reset(seed=0)[0]
    later = env.step({"agent_0": "/setblock 0 0 0 stone\n", "agent_1": " "})[0]
    assert opening["agent_0"] in later["agent_0"]
    assert later["agent_0"].endswith("/setblock 0 0 0 stone")
    assert later["agent_1"].endswith(opening["agent_1"])
    half = collm_envs.make("StrBuild-v0", self_contained=True, original_prompt=False)
    assert not half.task.frame.repeats_prompt
    assert half.task.frame.repeats_response
