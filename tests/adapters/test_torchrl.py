"""TorchRL reads the texts, rewards and ends that the environment gives."""

import pytest
from direct_play import play_directly, write
from frameworks import need

need("torchrl", "0.14")

import torch
from torchrl.collectors import Collector
from torchrl.data import LazyStackStorage, ReplayBuffer
from torchrl.envs import SerialEnv
from torchrl.envs.utils import check_env_specs

import collm_envs
from collm_envs.adapters.torchrl import env

pytestmark = pytest.mark.filterwarnings("ignore")


def policy(tensordict):
    for agent in ("agent_0", "agent_1"):
        tensordict.set_non_tensor((agent, "action"), write(agent, tensordict[agent, "observation"]))
    return tensordict


def steps_of(trajectory):
    """[({agent: prompt}, {agent: text}, reward, terminated, truncated)] of a trajectory."""
    agents = ("agent_0", "agent_1")
    return [
        (
            {agent: step[agent, "observation"] for agent in agents},
            {agent: step[agent, "action"] for agent in agents},
            step["next", "agent_0", "reward"].item(),
            step["next", "terminated"].item(),
            step["next", "truncated"].item(),
        )
        for step in trajectory
    ]


def as_float32(steps):
    return [(*step[:2], torch.tensor(step[2]).item(), *step[3:]) for step in steps]


@pytest.mark.parametrize("id", ["StrBuild-v0", "HouseBuild-v0", "TLDR-v0", "ArXiv-v0"])
def test_torchrls_own_check_passes(id):
    check_env_specs(env(id))


@pytest.mark.parametrize("id", ["StrBuild-v0", "TLDR-v0"])
def test_a_rollout_is_the_episode_that_the_environment_plays(id):
    environment = env(id)
    for seed in (0, 5):
        environment.set_seed(seed)
        direct = play_directly(collm_envs.make(id), seed)
        assert steps_of(environment.rollout(50, policy)) == as_float32(direct)


def test_an_item_can_be_chosen_and_max_cycles_truncates():
    environment = env("StrBuild-v0", max_cycles=2)
    options = {"item": 1, "split": "eval"}
    start = environment.reset(seed=3, options=options)
    trajectory = environment.rollout(50, policy, tensordict=start, auto_reset=False)
    direct = play_directly(collm_envs.make("StrBuild-v0", max_cycles=2), 3, options=options)
    assert steps_of(trajectory) == as_float32(direct)
    assert direct[-1].truncated


def test_a_collector_plays_100_episodes_equal_to_those_of_the_environment():
    turns = 4
    collector = Collector(
        lambda: env("StrBuild-v0"), policy, frames_per_batch=10 * turns, total_frames=100 * turns
    )
    collector.set_seed(0)
    trajectories = [step for batch in collector for step in steps_of(batch)]
    collector.shutdown()
    direct = collm_envs.make("StrBuild-v0")
    ends = [k for k, step in enumerate(trajectories) if step[3]]
    assert len(ends) == 100
    for begin, end in zip([0, *(k + 1 for k in ends)], ends, strict=False):
        episode = trajectories[begin : end + 1]
        item = next(i for i in direct.items() if started(direct, i.id) == episode[0][0])
        observations, _ = direct.reset(seed=0, options={"item": item.id})
        for prompts, texts, reward, *_ in episode:
            assert prompts == observations
            observations, rewards, *_ = direct.step(texts)
            assert reward == torch.tensor(rewards["agent_0"]).item()
        assert not direct.agents


def started(direct, item):
    return direct.reset(seed=0, options={"item": item})[0]


def test_a_replay_buffer_and_a_serial_environment_hand_the_texts_through():
    buffer = ReplayBuffer(storage=LazyStackStorage(100))
    environment = env("StrBuild-v0")
    environment.set_seed(1)
    trajectory = environment.rollout(50, policy)
    buffer.extend(trajectory)
    assert buffer[0]["agent_1", "action"] == trajectory[0]["agent_1", "action"]
    serial = SerialEnv(2, lambda: env("StrBuild-v0"))
    observations = serial.reset()["agent_0", "observation"]
    assert all(text.startswith("A word is to be built") for text in observations)


def test_an_agent_without_a_text_and_a_wrong_keyword_are_one_line():
    environment = env("StrBuild-v0")
    start = environment.reset(seed=0)
    start.set_non_tensor(("agent_0", "action"), "hello")
    with pytest.raises(ValueError, match=r"no text of agent_1; set \('agent_1', 'action'\)"):
        environment.step(start)
    with pytest.raises(TypeError, match="no keyword 'wordz'"):
        env("StrBuild-v0", wordz=1)
