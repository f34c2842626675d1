"""Hostile texts against the v1 tasks: whatever is written, a step takes it and earns a reward in range."""

from random import Random

import pytest
from hostile_texts import hostile

import collm_envs

TOKENS = """
/setblock /fill /guard kill 0 1 2 3 -1 1e9 0x1 ~ ^1 oak_planks minecraft:stone stone air bricks ``` y0 . !
AAB/.. 1=C 2=#...#/..#../#####/..... spider facts 1.1 4 1.1 40050A the cat [PARAGRAPH_SPLIT]
\u0663 \ud83d \x00 é
"""
WORDS = TOKENS.split()
WAYS = (
    {},
    {"prompts": "terse", "talk": 1},
    {"num_agents": 3, "order": "sequential"},
    {"num_agents": 1},
    {"self_contained": True, "talk": 2, "order": "sequential"},
)


def written(rng):
    """A text of one of six kinds."""
    kind, many = rng.randrange(6), rng.randrange(12)
    if kind == 0:
        return "".join(chr(rng.randrange(1, 0x3000)) for _ in range(3 * many))
    if kind == 1:
        place = "/setblock {} {} 0 {}".format
        blocks = ("oak_planks", "stone", "air")
        return "\n".join(
            place(rng.randint(-1, 13), rng.randint(-1, 5), rng.choice(blocks)) for _ in range(2 * many)
        )
    if kind == 2:
        corners = (" ".join(str(rng.randint(-1, 4)) for _ in range(6)) for _ in range(many))
        return "\n".join(f"/fill {six} {rng.choice(('oak_planks', 'stone', 'air'))}" for six in corners)
    if kind == 3:
        return f"/guard {rng.randint(-1, 4)} {rng.randint(-1, 4)}\n" * (many // 3)
    return rng.choice((" ", "\n")).join(rng.choice(WORDS) for _ in range(5 * many))


def play_hostile(id, texts):
    """Play until so many texts have been written."""
    rng = Random(id)
    envs = [collm_envs.make(id, **way) for way in WAYS]
    while texts > 0:
        env = rng.choice(envs)
        env.reset(seed=rng.randrange(1000))
        low, high = env.task.reward_range
        while env.agents:
            texts -= len(env.agents)
            rewards = env.step({agent: written(rng) for agent in env.agents})[1]
            assert all(low - 1e-9 <= reward <= high + 1e-9 for reward in rewards.values())


IDS = ("StrBuild-v1", "HouseBuild-v1", "TLDR-v1")


@pytest.mark.parametrize("id", IDS)
def test_a_thousand_hostile_texts_are_taken(id):
    play_hostile(id, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
def test_a_hundred_thousand_hostile_texts_are_taken(id):
    play_hostile(id, 100_000)


@pytest.mark.parametrize("id", IDS)
def test_texts_made_to_cost_time_are_answered_briefly(id):
    task = collm_envs.make_task(id)
    for text in hostile(65_536).values():
        state = task.play(task.start(task.items("train")[0], 0), dict.fromkeys(task.agents, text))
        assert task.reward_range[0] <= task.score(state).reward <= task.reward_range[1]
        assert len(task.prompt(state, "agent_0")) < 20_000
