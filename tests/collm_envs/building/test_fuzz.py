"""Any text at all: both building tasks must take it and agree with a plain second reading of it."""

import re
import sys

import pytest
from building_texts import TEXTS
from hostile_texts import hostile
from hypothesis import given, settings
from hypothesis import strategies as st

import collm_envs

ENVS = {
    f"{id} {kwargs}": collm_envs.make(id, **kwargs)
    for id, kwargs in [
        ("StrBuild-v0", {"feedback": "perfect", "max_commands": 41}),
        ("StrBuild-v0", {"prompts": "terse", "words": "generated", "num_agents": 3}),
        ("StrBuild-v0", {"feedback": "score", "self_contained": True, "num_agents": 1}),
        ("HouseBuild-v0", {"feedback": "perfect", "max_commands": 41}),
        ("HouseBuild-v0", {"feedback": "resource_schedule", "prompts": "terse", "num_agents": 3}),
        ("HouseBuild-v0", {"feedback": "rect_modification", "reward": "appendix", "self_contained": True}),
        ("HouseBuild-v0", {"feedback": "position_modification", "limited_resource": False, "num_agents": 1}),
    ]
}


@pytest.mark.parametrize("name", ENVS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_text_is_played_and_earns_a_reward_in_range(name, data):
    env = ENVS[name]
    env.reset(seed=data.draw(st.integers(0, 9)))
    low, high = env.task.reward_range
    for _ in range(2):
        texts = {agent: data.draw(TEXTS) for agent in env.agents}
        prompts, rewards, _, _, infos = env.step(texts)
        assert all(isinstance(prompt, str) and prompt for prompt in prompts.values())
        reward = rewards["agent_0"]
        assert low - 1e-9 <= reward <= high + 1e-9
        assert sum(infos["agent_0"]["reward_parts"].values()) == pytest.approx(reward)
        again = {agent: "\n".join(infos[agent]["accepted"]) for agent in infos}
        assert_accepted_lines_mean_the_same(env, again, reward)


def assert_accepted_lines_mean_the_same(env, texts, reward):
    """What counted, written again, counts in full and earns the same."""
    state = env.task.play(env.task.start(env.item, env.seed), texts)
    assert env.task.score(state).reward == pytest.approx(reward)
    assert {agent: "\n".join(lines) for agent, lines in state.score.accepted.items()} == texts
    assert not any(state.score.rejected.values())


def read_plainly(text, limit, palette, width):
    """A second reading of /setblock texts, written for clarity: [(x, y, block)], number of lost lines."""
    pieces = text.split("```")
    body = pieces[1].strip() if len(pieces) >= 3 else text
    if len(pieces) >= 3:
        body = re.sub(r"\A[A-Za-z0-9_-]+\s*\n", "", body)
    placed, lost = [], 0
    for line in body.splitlines():
        line = re.sub(r"\A(?:[-*]+|\d+[.)])\s*", "", line.strip())
        if not line:
            continue
        if len(placed) == limit:
            lost += 1
            continue
        words = (line[1:] if line.startswith("/") else line).split()
        if not words:
            continue
        try:
            assert words[0].lower() == "setblock"
            x, y, z = (int(word) for word in words[1:4])
            block = words[4].removeprefix("minecraft:")
            assert block in {*palette, "air"}
            assert 0 <= x < width
            assert 0 <= y < 5
            assert z == 0
        except (AssertionError, ValueError, IndexError):
            lost += 1
        else:
            placed.append((x, y, block))
    return placed, lost


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(TEXTS, min_size=2, max_size=2))
def test_words_are_read_and_scored_as_by_a_plain_second_reading(texts):
    env = ENVS["StrBuild-v0 {'feedback': 'perfect', 'max_commands': 41}"]
    env.reset(seed=0, options={"item": "str_build_0005"})
    rows = env.snapshot.word.rows
    world, lost = {}, []
    palettes = (["oak_planks", "stone"], ["white_concrete", "obsidian"])
    for text, limit, palette in zip(texts, (21, 20), palettes, strict=True):
        placed, rejected = read_plainly(text, limit, palette, len(rows[0]))
        world |= {(x, y): block for x, y, block in placed}
        lost.append(rejected)
    world = {cell: block for cell, block in world.items() if block != "air"}
    wanted = {(x, 4 - r) for r, row in enumerate(rows) for x, mark in enumerate(row) if mark == "#"}
    pairs = [
        {world[x, y], world[near]} for x, y in world for near in ((x + 1, y), (x, y + 1)) if near in world
    ]
    want = 2 * len(wanted & set(world)) / len(wanted)
    want -= 1.5 * len(set(world) - wanted) / (5 * len(rows[0]) - len(wanted))
    want -= sum(len(pair) == 1 for pair in pairs) / max(1, len(pairs))
    want -= sum(0.25 for palette in palettes if not set(palette) <= set(world.values()))
    _, rewards, _, _, infos = env.step(dict(zip(env.agents, texts, strict=True)))
    assert rewards["agent_0"] == pytest.approx(want, abs=1e-9)
    assert [len(info["rejected"]) for info in infos.values()] == lost


@pytest.mark.parametrize("prompts", ["full", "terse"])
@pytest.mark.parametrize("id", ["StrBuild-v0", "HouseBuild-v0"])
@pytest.mark.parametrize("kind", hostile(0))
def test_hostile_text_is_played_and_answered_briefly(id, kind, prompts):
    task = collm_envs.make_task(id, prompts=prompts, feedback="perfect")
    state = task.start(task.items("train")[4], 0)
    state = task.play(state, dict.fromkeys(task.agents, hostile(65_536)[kind]))
    assert len(task.prompt(state, "agent_0")) < 20_000
    assert task.reward_range[0] <= task.score(state).reward <= task.reward_range[1]
    assert len(state.score.accepted["agent_0"]) <= 300


def test_numbers_are_limited_even_where_python_has_no_limit_on_digits():
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        task = collm_envs.make_task("StrBuild-v0")
        state = task.start(task.items("train")[0], 0)
        text = f"/setblock {'0' * 4301} 0 0 stone"
        state = task.play(state, dict.fromkeys(task.agents, text))
        assert "whole numbers" in state.score.rejected["agent_0"][0].why
    finally:
        sys.set_int_max_str_digits(limit)


def test_reasons_stay_short_however_long_the_line():
    for id in ("StrBuild-v0", "HouseBuild-v0"):
        task = collm_envs.make_task(id)
        long = "w" * 50_000
        texts = [
            long,
            f"/setblock 0 0 0 {long}",
            f"/fill 0 0 0 0 0 0 {long}",
            f"/fill 0 0 0 0 0 0 air {long}",
        ]
        state = task.start(task.items("train")[0], 0)
        state = task.play(state, dict.fromkeys(task.agents, "\n".join(texts)))
        assert len(state.score.rejected["agent_0"]) == 4
        assert max(len(rejected.why) for rejected in state.score.rejected["agent_0"]) < 80
