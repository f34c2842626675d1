"""What scripted teams earn."""

from random import Random

import collm_envs


def returned(id, player, seeds=range(6), **kwargs):
    """Mean return of a scripted team on evaluation items."""
    env, total = collm_envs.make(id, **kwargs), 0.0
    for seed in seeds:
        env.reset(seed=seed, options={"item": seed, "split": "eval"})
        play = env.task.players[player]
        while env.agents:
            rng = Random(f"{seed}/{len(env.turns)}")
            env.step({agent: play(env.task, env.snapshot, agent, rng) for agent in env.agents})
        total += sum(turn.score.reward for turn in env.turns)
    return total / len(seeds)
