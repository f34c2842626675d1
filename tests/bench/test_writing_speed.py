"""Steps per second of the writing environments, prompts made (target: 2,000 on one core)."""

import statistics
import time
from random import Random

import pytest

import collm_envs


def steps_per_second(env, player, seconds=1.0):
    """Median of five runs; the texts of 20 plays of every train item are made beforehand."""
    task, rng = env.task, Random(player)
    texts = {}
    for item in task.items("train"):
        state = task.start(item, 0)
        plays = [{a: task.players[player](task, state, a, rng) for a in task.agents} for _ in range(20)]
        texts[item.id] = plays
    rates = []
    for _ in range(5):
        steps, start = 0, time.process_time()
        while time.process_time() < start + seconds / 5:
            env.reset(seed=steps)
            env.step(texts[env.item.id][steps % 20])
            steps += 1
        rates.append(steps / (time.process_time() - start))
    return statistics.median(rates)


@pytest.mark.bench
@pytest.mark.parametrize("player", ["expert", "noisy", "random"])
@pytest.mark.parametrize("kwargs", [{}, {"prompts": "terse"}, {"num_agents": 1}], ids=str)
@pytest.mark.parametrize("id", ["TLDR-v0", "ArXiv-v0"])
def test_writing_takes_2000_steps_a_second(id, kwargs, player, capsys):
    rate = steps_per_second(collm_envs.make(id, **kwargs), player)
    with capsys.disabled():
        print(f"\n{id} {kwargs} {player}: {rate:,.0f} steps/s, {rate / 2000:.1f} times the target")
    assert rate > 2000


@pytest.mark.bench
@pytest.mark.parametrize("id", ["TLDR-v0", "ArXiv-v0"])
def test_the_longest_texts_take_less_than_a_fifth_of_a_second(id, capsys):
    env, times = collm_envs.make(id), []
    hostile = [
        "x " * 40_000,
        "\u0130\u03a3" * 40_000,
        "as so if " * 9_000,
        "[PARAGRAPH_SPLIT]" * 5_000,
        "\n" * 70_000,
    ]
    for text in hostile:
        env.reset(seed=0)
        start = time.process_time()
        env.step(dict.fromkeys(env.agents, text))
        times.append(time.process_time() - start)
    with capsys.disabled():
        print(f"\n{id}, two texts cut to 65,536 characters: {max(times) * 1000:.0f} ms at most")
    assert max(times) < 0.2
