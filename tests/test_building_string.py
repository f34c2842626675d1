"""StrBuild: the published numbers, the reading of text, prompts, players, data, settings."""

import json
import pickle
import re
from pathlib import Path
from random import Random

import pytest

import collm_envs
from collm_envs.building.words import FONT, lay_out

GOLDEN = json.loads((Path(__file__).parent / "golden" / "strbuild.json").read_text())
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


def play_once(env, texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.possible_agents, texts, strict=True)))


def reward_of(texts, word="I", **kwargs):
    env = collm_envs.make("StrBuild-v0", items=[{"string": word}], num_agents=len(texts), **kwargs)
    return play_once(env, texts)[1]["agent_0"]


def rejected_of(text, word="I", **kwargs):
    env = collm_envs.make("StrBuild-v0", items=[{"string": word}], **kwargs)
    info = play_once(env, [text, ""])[4]["agent_0"]
    return info["accepted"], [(line["line"], line["why"]) for line in info["rejected"]]


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


def test_every_letter_is_five_by_five_and_no_two_are_alike():
    assert len(FONT) == 26
    assert len(set(FONT.values())) == 26
    assert all(len(rows) == 5 and all(len(row) == 5 for row in rows) for rows in FONT.values())


def test_published_words_have_the_published_numbers_of_cells():
    task = collm_envs.make_task("StrBuild-v0")
    words = [item.data["string"] for split in ("train", "eval") for item in task.items(split)]
    assert words == ["I", "C", "M", "L", "MC", "CM", "LI", "LLM", "ICML", "CLIM"]
    cells = [len(lay_out(word, 2, 0).cells) for word in words]
    assert cells == [13, 11, 13, 9, 24, 24, 22, 31, 46, 46]
    assert [item.id for item in task.items("eval")] == ["str_build_0009", "str_build_0010"]


def test_reward_worked_by_hand():
    # L has 9 cells and 16 others; 3 covered, 1 extra, 4 pairs of which 2 are stone on stone
    text = (
        "/setblock 0 0 0 stone\n/setblock 0 1 0 obsidian\n/setblock 1 1 0 stone\n/setblock 1 0 0 cobblestone"
    )
    palettes = [["stone", "cobblestone", "obsidian"], ["oak_planks"]]
    env = collm_envs.make("StrBuild-v0", items=[{"string": "L"}], palettes=palettes)
    _, rewards, _, _, infos = play_once(env, [text, ""])
    parts = {"coverage": 2 * 3 / 9, "extra": -1.5 / 16, "adjacency": -2 / 4, "palette": -0.25}
    assert infos["agent_1"]["reward_parts"] == pytest.approx(parts)
    assert rewards["agent_1"] == pytest.approx(sum(parts.values()))


def test_docstring_example_is_right():
    assert reward_of(["/setblock 2 2 0 stone", "/setblock 2 3 0 obsidian"]) == pytest.approx(
        -0.1923, abs=5e-5
    )


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("setblock 0 0 0 stone", None),
        ("/SETBLOCK 0 0 0 minecraft:stone extra words", None),
        ("- /setblock +0 0 -0 air", None),
        ("12) / setblock 0 0 0 oak_planks", None),
        ("/setblock ٠ 0 0 stone", None),
        ("/fill 0 0 0 stone", "unsupported command"),
        ("- - /setblock 0 0 0 stone", "unsupported command"),
        ("//setblock 0 0 0 stone", "unsupported command"),
        ("/setblock 0 0 0", "too few words"),
        ("/setblock 0 0.0 0 stone", "coordinates"),
        ("/setblock ~ 0 0 stone", "coordinates"),
        ("/setblock ^1 0 0 stone", "coordinates"),
        (f"/setblock {10**4299}0 0 0 stone", "coordinates"),
        ("/setblock 0 0 0 Stone", "not allowed"),
        ("/setblock 0 0 0 minecraft:minecraft:stone", "not allowed"),
        ("/setblock 9 9 9 obsidian", "not allowed"),
        ("/setblock 0 0 1 stone", "outside"),
        ("/setblock -1 0 0 stone", "outside"),
        ("/setblock 5 0 0 stone", "outside"),
        (f"/setblock {10**4298} 0 0 stone", "outside"),
        ("4 1", "unsupported command"),
    ],
)
def test_lines_are_accepted_or_rejected_for_the_published_reason(line, kind):
    accepted, rejected = rejected_of(line)
    assert len(accepted) + len(rejected) == 1
    assert bool(accepted) == (kind is None)
    assert all(kind in why for _, why in rejected)


def test_accepted_lines_are_written_in_one_way():
    accepted, _ = rejected_of("1. SetBlock  +3 004 0 minecraft:stone  please")
    assert accepted == ["/setblock 3 4 0 stone"]


def test_blank_lines_and_lone_slashes_count_neither_way():
    assert rejected_of("\n  \n/\n- \n") == ([], [])


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("ignored\n```\n/setblock 0 0 0 stone\n```\n/setblock 1 0 0 stone\n```more```", 1),
        ("```mcfunction\n/setblock 0 0 0 stone\n```", 1),
        ("```/setblock 0 0 0 stone```", 1),
        ("```/setblock 0 0 0 stone", 0),
        ("```\n/setblock 0 0 0 stone", 1),
        ("``````/setblock 0 0 0 stone", 0),
    ],
)
def test_only_the_first_closed_fence_counts(text, lines):
    assert len(rejected_of(text)[0]) == lines


def test_limit_is_checked_before_anything_else_and_rejected_lines_cost_nothing():
    accepted, rejected = rejected_of(
        "nonsense\n/setblock 0 0 0 stone\n/setblock 1 0 0 stone\nnonsense\n/setblock 2 0 0 stone",
        max_commands=3,
    )
    assert accepted == ["/setblock 0 0 0 stone", "/setblock 1 0 0 stone"]
    assert [why.split()[0] for _, why in rejected] == ["unsupported", "exceeds", "exceeds"]


def test_budget_is_shared_and_the_first_agent_gets_the_remainder():
    for total, n, want in [(300, 2, [150, 150]), (7, 2, [4, 3]), (11, 3, [5, 3, 3]), (5, 1, [5])]:
        task = collm_envs.make_task("StrBuild-v0", max_commands=total, num_agents=n)
        assert [seat.limit for seat in task.seats] == want


def test_the_world_is_empty_again_at_every_turn():
    env = collm_envs.make("StrBuild-v0", items=[{"string": "I"}], feedback="none")
    first = play_once(env, ["/setblock 0 0 0 stone", ""])[1]["agent_0"]
    assert env.step({"agent_0": "", "agent_1": ""})[1]["agent_0"] == -0.5 < first


def test_later_agents_overwrite_and_erase():
    assert reward_of(["/setblock 2 2 0 stone", "/setblock 2 2 0 air"]) == -0.5


@pytest.mark.parametrize("prompts", ["full", "terse"])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize(
    "words", [{}, {"words": "generated", "n": 40, "n_eval": 20}, {"items": [{"string": "X"}]}]
)
def test_expert_earns_the_maximum_in_one_turn(n, prompts, words):
    task = collm_envs.make_task("StrBuild-v0", num_agents=n, prompts=prompts, **words)
    for item in [*task.items("train"), *task.items("eval")]:
        assert first_reward(task, item, "expert", Random(0)) == pytest.approx(2.0, abs=1e-12), item.id


def first_reward(task, item, player, rng):
    state = task.start(item, 0)
    texts = {agent: task.players[player](task, state, agent, rng) for agent in task.agents}
    state = task.play(state, texts)
    assert player == "random" or not any(task.score(state).rejected.values())
    return task.score(state).reward


def test_noisy_play_is_valid_and_between_random_and_expert():
    task = collm_envs.make_task("StrBuild-v0", words="generated", length=(1, 2), prompts="terse")
    rng = Random("noisy")
    rewards = {
        player: [first_reward(task, item, player, rng) for item in task.items("train")]
        for player in ("noisy", "random")
    }
    mean = {player: sum(some) / len(some) for player, some in rewards.items()}
    assert mean["random"] < 0 < 0.6 < mean["noisy"] < 1.3
    assert min(rewards["noisy"]) < 0.3
    assert max(rewards["noisy"]) > 1.5


def test_players_draw_from_the_given_generator_only():
    task = collm_envs.make_task("StrBuild-v0")
    state = task.start(task.items("train")[4], 0)
    for player in task.players.values():
        texts = [player(task, state, "agent_1", Random(seed)) for seed in (3, 3)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize("length", [(1, 1), (1, 2), (2, 3), (4, 4)])
def test_generated_words_are_distinct_disjoint_and_of_the_asked_length(length):
    kwargs = {"words": "generated", "length": length, "n": 20, "n_eval": 6}
    task = collm_envs.make_task("StrBuild-v0", **kwargs)
    words = {split: [item.data["string"] for item in task.items(split)] for split in ("train", "eval")}
    assert [len(words["train"]), len(words["eval"])] == [20, 6]
    assert len({*words["train"], *words["eval"]}) == 26
    assert all(length[0] <= len(word) <= length[1] for some in words.values() for word in some)
    again = collm_envs.make_task("StrBuild-v0", **kwargs)
    assert task.items("train") == again.items("train")
    more = collm_envs.make_task("StrBuild-v0", **{**kwargs, "n": 12, "n_eval": 6})
    assert more.items("eval") == task.items("eval")
    other = collm_envs.make_task("StrBuild-v0", **kwargs, words_seed=1)
    assert other.items("eval") != task.items("eval")


def test_generated_words_use_only_the_given_letters_and_all_of_them():
    task = collm_envs.make_task(
        "StrBuild-v0", words="generated", letters="ABC", length=(1, 2), n=10, n_eval=2
    )
    words = [item.data["string"] for split in ("train", "eval") for item in task.items(split)]
    assert len(set(words)) == 12
    assert set("".join(words)) == set("ABC")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"items": []}, "empty"),
        ({"items": [{"difficulty": 1}]}, "str_build_0001"),
        ({"items": [{"string": "A"}, {"string": 7}]}, "str_build_0002"),
        ({"items": ["A"]}, "mapping"),
        ({"items": [{"string": "A", "task_id": "x"}] * 2}, "'x' occurs 2 times"),
        ({"items": [{"string": "A1"}]}, "'1'"),
        ({"items": [{"string": " "}]}, "one or more of the letters"),
        ({"items": [{"string": "A"}], "words": "generated"}, "not both"),
        ({"palettes": [["stone"]], "num_agents": 2}, "palettes"),
        ({"palettes": []}, "palettes"),
        ({"palettes": ["stone"]}, "palettes\\[0\\]"),
        ({"palettes": [["stone"], ["air"]]}, "palettes\\[1\\]"),
        ({"palettes": [["oak planks"]]}, "one word"),
        ({"num_agents": 0}, "num_agents"),
        ({"max_commands": 0}, "max_commands"),
        ({"max_turns": True}, "max_turns"),
        ({"spacing": -1}, "spacing"),
        ({"feedback": "Position"}, "feedback"),
        ({"feedback": ["position"]}, "feedback"),
        ({"prompts": "short"}, "prompts"),
        ({"show_target": 1}, "show_target"),
        ({"reward_scale": float("nan")}, "reward_scale"),
        ({"stop_above": "high"}, "stop_above"),
        ({"words": "generated", "length": (2, 1)}, "length"),
        ({"words": "generated", "length": 3}, "length"),
        ({"words": "generated", "length": (1, 1)}, "26 words"),
        ({"words": "generated", "letters": "AAB"}, "letters"),
    ],
)
def test_bad_settings_are_refused_by_name(kwargs, message):
    with pytest.raises(ValueError, match=message):
        collm_envs.make("StrBuild-v0", **kwargs)


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
    assert not half.task.frame.original_prompt
    assert half.task.frame.previous_response


def test_scale_and_shift_change_the_reward_and_not_the_feedback():
    env = collm_envs.make(
        "StrBuild-v0", items=[{"string": "I"}], reward_scale=2, reward_shift=-2, feedback="score"
    )
    prompts, rewards, _, _, infos = play_once(env, ["", ""])
    assert rewards["agent_0"] == -3.0
    assert sum(infos["agent_0"]["reward_parts"].values()) == -3.0
    assert infos["agent_0"]["metrics"]["raw_reward"] == -0.5
    assert "-0.5000" in prompts["agent_0"]
    assert env.task.reward_range == (-8.0, 2.0)


def test_an_episode_stops_strictly_above_the_threshold():
    for threshold, ended in ((-0.5, False), (-0.51, True), (None, False)):
        env = collm_envs.make("StrBuild-v0", items=[{"string": "I"}], stop_above=threshold)
        assert play_once(env, ["", ""])[2]["agent_0"] is ended


def test_an_episode_has_four_turns_and_state_survives_pickling():
    env = collm_envs.make("StrBuild-v0", feedback="perfect")
    env.reset(seed=3)
    ends = []
    while env.agents:
        env = pickle.loads(pickle.dumps(env))
        ends.append(env.step(dict.fromkeys(env.agents, "/setblock 0 0 0 stone"))[2]["agent_0"])
    assert ends == [False, False, False, True]


def test_scene_shows_the_wall_at_depth_zero():
    env = collm_envs.make("StrBuild-v0", items=[{"string": "I"}], local_z=7)
    play_once(env, ["/setblock 2 2 7 stone", ""])
    scene = env.task.scene(env.snapshot)
    assert scene.size == (5, 5, 1)
    assert scene.blocks == {(2, 2, 0): "stone"}
    assert len(scene.target) == 13
    assert set(scene.target.values()) == {""}
