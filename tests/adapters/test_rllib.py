"""RLlib's environment is the one played directly, under RLlib's own runner, too."""

import pytest
from direct_play import play_directly, write
from frameworks import need

need("ray", "2.60")
pytest.importorskip("ray.rllib.env.multi_agent_env", reason="ray is there without what RLlib needs")

import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.tune.registry import register_env

import collm_envs
from collm_envs.adapters.rllib import make_env

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("id", ["StrBuild-v0", "TLDR-v0", "HouseBuild-v0", "ArXiv-v0"])
def test_an_episode_is_the_one_that_the_environment_plays(id):
    env = make_env(id)
    for seed in (0, 3):
        observations, infos = env.reset(seed=seed)
        assert list(observations) == list(infos) == env.possible_agents == ["agent_0", "agent_1"]
        for step in play_directly(collm_envs.make(id), seed):
            assert observations == step.prompts
            texts = {agent: write(agent, observations[agent]) for agent in reversed(env.agents)}
            observations, rewards, terminated, truncated, _ = env.step(texts)
            assert list(rewards.values()) == [step.reward] * 2
            assert terminated == dict.fromkeys(("agent_0", "agent_1", "__all__"), step.terminated)
            assert truncated == dict.fromkeys(("agent_0", "agent_1", "__all__"), step.truncated)
        assert env.agents == []


def test_max_cycles_truncates_all_and_the_environments_own_dicts_stay_as_they_are():
    env = make_env("StrBuild-v0", max_cycles=1, render_mode="ansi")
    kept = []
    step = env.parallel.step
    env.parallel.step = lambda actions: kept.append(step(actions)) or kept[-1]
    env.reset(seed=0)
    *_, terminated, truncated, _ = env.step({"agent_0": "", "agent_1": ""})
    assert (terminated["__all__"], truncated["__all__"]) == (False, True)
    assert all("__all__" not in part for part in kept[0])
    assert isinstance(env.render(), str)


def test_a_missing_text_and_a_wrong_keyword_are_one_line():
    env = make_env("StrBuild-v0")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"need one text for each of .*, got \['agent_1'\]"):
        env.step({"agent_1": ""})
    with pytest.raises(TypeError, match="no keyword 'wordz'"):
        make_env("StrBuild-v0", wordz=1)


class Texts(RLModule):
    """Texts in, texts out."""

    framework = "torch"

    def setup(self):
        pass

    def _forward(self, batch, **kwargs):
        texts = [write("a model", str(observation)) for observation in batch[Columns.OBS]]
        return {Columns.ACTIONS: np.array(texts, dtype=object)}


def test_rllibs_runner_plays_100_episodes_equal_to_those_of_the_environment():
    register_env("collm-StrBuild", lambda config: make_env("StrBuild-v0", **config))
    config = (
        PPOConfig()
        .environment("collm-StrBuild", env_config={"max_turns": 2})
        .multi_agent(policies={"p"}, policy_mapping_fn=lambda agent, *arguments, **keywords: "p")
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={"p": RLModuleSpec(module_class=Texts)}))
        .env_runners(num_env_runners=0)
    )
    runner = MultiAgentEnvRunner(config=config)
    episodes = runner.sample(num_episodes=100, random_actions=False)
    runner.stop()
    assert len(episodes) == 100
    env = collm_envs.make("StrBuild-v0", max_turns=2)
    for episode in episodes:
        seats = episode.agent_episodes
        start = seats["agent_0"].get_infos()[0]
        observations, _ = env.reset(seed=start["seed"], options={"item": start["item"]})
        for turn in range(2):
            assert {agent: seats[agent].get_observations()[turn] for agent in seats} == observations
            texts = {agent: str(seats[agent].get_actions()[turn]) for agent in seats}
            assert texts == {agent: write("a model", observations[agent]) for agent in seats}
            observations, rewards, *_ = env.step(texts)
            assert seats["agent_1"].get_rewards()[turn] == pytest.approx(rewards["agent_1"])
        assert episode.is_terminated
