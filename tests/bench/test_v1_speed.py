"""Steps per second of the v1 tasks, prompts made (targets on one core: building 5,000, TLDR-v1 1,000)."""

import time
from random import Random

import pytest

import collm_envs


def steps_per_second(env, player, seconds=0.5):
    """Of one process's CPU time; the texts of an episode are made beforehand and played over and over."""
    env.reset(seed=0)
    item, turns = env.item.id, []
    while env.agents:
        play, state = env.task.players[player], env.snapshot
        turns.append({agent: play(env.task, state, agent, Random(1)) for agent in env.agents})
        env.step(turns[-1])
    steps, start = 0, time.process_time()
    while time.process_time() < start + seconds:
        env.reset(seed=0, options={"item": item})
        for texts in turns:
            if env.agents:
                env.step(texts)
                steps += 1
    return steps / (time.process_time() - start)


WAYS = ({}, {"prompts": "terse"}, {"talk": 1}, {"self_contained": True})
LARGEST = ({"num_agents": 4, "difficulty": 6}, {"num_agents": 4, "difficulty": 6, "prompts": "terse"})
CASES = [
    *((id, 5000, kwargs) for id in ("StrBuild-v1", "HouseBuild-v1") for kwargs in (*WAYS, *LARGEST)),
    *(("TLDR-v1", 1000, kwargs) for kwargs in WAYS),
]


@pytest.mark.bench
@pytest.mark.parametrize("player", ["expert", "noisy", "random"])
@pytest.mark.parametrize(("id", "target", "kwargs"), CASES, ids=str)
def test_a_v1_task_takes_its_steps_a_second(id, target, kwargs, player, capsys):
    rate = steps_per_second(collm_envs.make(id, **kwargs), player)
    with capsys.disabled():
        print(f"\n{id} {kwargs} {player}: {rate:,.0f} steps/s, {rate / target:.1f} times the target")
    assert rate > target
