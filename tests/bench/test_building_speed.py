"""Steps per second of the building environments, prompts and feedback made (target: 5,000 on one core)."""

import statistics
import time
from random import Random

import pytest
from hostile_texts import hostile

import collm_envs


def steps_per_second(env, player, seconds=1.0):
    """Median of five runs; the texts of 20 plays of every word are made beforehand."""
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
            while env.agents:
                env.step(texts[env.item.id][steps % 20])
                steps += 1
        rates.append(steps / (time.process_time() - start))
    return statistics.median(rates)


@pytest.mark.bench
@pytest.mark.parametrize("player", ["expert", "noisy", "random"])
@pytest.mark.parametrize(
    "kwargs",
    [{}, {"prompts": "terse"}, {"feedback": "perfect"}, {"words": "generated", "length": (4, 4)}],
    ids=str,
)
def test_strbuild_takes_5000_steps_a_second(player, kwargs, capsys):
    rate = steps_per_second(collm_envs.make("StrBuild-v0", **kwargs), player)
    with capsys.disabled():
        print(f"\nStrBuild-v0 {kwargs} {player}: {rate:,.0f} steps/s, {rate / 5000:.1f} times the target")
    assert rate > 5000


@pytest.mark.bench
@pytest.mark.parametrize("player", ["expert", "noisy"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"prompts": "terse"},
        *(
            {"feedback": f}
            for f in (
                "position",
                "perfect",
                "position_modification",
                "rect_modification",
                "resource_schedule",
            )
        ),
    ],
    ids=str,
)
def test_housebuild_takes_5000_steps_a_second(player, kwargs, capsys):
    rate = steps_per_second(collm_envs.make("HouseBuild-v0", **kwargs), player)
    with capsys.disabled():
        print(f"\nHouseBuild-v0 {kwargs} {player}: {rate:,.0f} steps/s, {rate / 5000:.1f} times the target")
    assert rate > 5000


@pytest.mark.bench
@pytest.mark.parametrize("prompts", ["full", "terse"])
@pytest.mark.parametrize("id", ["StrBuild-v0", "HouseBuild-v0"])
def test_a_megabyte_of_text_costs_seconds_at_most(id, prompts, capsys):
    task = collm_envs.make_task(id, prompts=prompts, feedback="perfect")
    state = task.start(task.items("train")[4], 0)
    seconds = {}
    for kind, text in hostile(1_000_000).items():
        start = time.process_time()
        after = task.play(state, dict.fromkeys(task.agents, text))
        task.prompt(after, "agent_0")
        seconds[kind] = time.process_time() - start
    with capsys.disabled():
        print(f"\n{id} {prompts}: " + ", ".join(f"{kind} {s:.2f} s" for kind, s in seconds.items()))
    assert max(seconds.values()) < 20
