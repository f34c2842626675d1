"""StrBuild: rewards by hand, the reading of text, players, settings."""

import pickle
from random import Random

import pytest
from building_play import play_once, rejected_of

import collm_envs
from collm_envs.building.strbuild.corrections import reference_blocks


def reward_of(texts, word="I", **kwargs):
    env = collm_envs.make("StrBuild-v0", items=[{"string": word}], num_agents=len(texts), **kwargs)
    return play_once(env, texts)[1]["agent_0"]


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


def test_the_reference_plan_earns_what_was_published_and_not_the_maximum():
    task = collm_envs.make_task("StrBuild-v0")
    state = task.start(task.items("train")[3], 0)
    plan = reference_blocks(state.word, task.blocks)
    assert state.word.text == "L"
    assert {block for _, block in plan.values()} == {"oak_planks", "obsidian"}
    texts = {
        agent: "\n".join(f"/setblock {x} {y} {z} {b}" for (x, y, z), (owner, b) in plan.items() if owner == k)
        for k, agent in enumerate(task.agents)
    }
    assert task.play(state, texts).score.reward == pytest.approx(1.5)
