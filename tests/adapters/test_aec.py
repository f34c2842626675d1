"""PettingZoo's own conversion to turns of one agent plays the same episodes."""

import pytest
from direct_play import play_directly, write
from pettingzoo.utils.conversions import parallel_to_aec

import collm_envs


@pytest.mark.parametrize("id", ["StrBuild-v0", "HouseBuild-v0", "TLDR-v0", "ArXiv-v0"])
def test_agents_that_write_one_after_the_other_earn_what_they_earn_together(id):
    env = parallel_to_aec(collm_envs.make(id))
    env.reset(seed=3)
    prompts, texts, earned = {}, {}, {"agent_0": 0.0, "agent_1": 0.0}
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        earned[agent] += reward
        if terminated or truncated:
            env.step(None)
            continue
        prompts.setdefault(agent, []).append(observation)
        texts.setdefault(agent, []).append(write(agent, observation))
        env.step(texts[agent][-1])
    steps = play_directly(collm_envs.make(id), 3)
    for agent in earned:
        assert prompts[agent] == [step.prompts[agent] for step in steps]
        assert texts[agent] == [step.texts[agent] for step in steps]
        assert earned[agent] == pytest.approx(sum(step.reward for step in steps))
