"""CoMLRL's trainers read the prompts and get the rewards of the environment, wherever they are in a tree."""

import os

import pytest
from direct_play import write
from frameworks import need

need("comlrl", "1.4.3")
os.environ.update(WANDB_MODE="disabled")

from comlrl.trainers.actor_critic import IACConfig, IACTrainer, MAACConfig, MAACTrainer
from comlrl.trainers.reinforce import MAGRPOConfig, MAGRPOTrainer

import collm_envs
from baselines.lm.tiny import model as tiny
from collm_envs.adapters.comlrl import plug

pytestmark = pytest.mark.filterwarnings("ignore")
WORDS = {"prompts": "terse", "words": "generated", "length": [1, 2], "n": 6, "max_turns": 2}
AGENTS = ("agent_0", "agent_1")


def observed(plugged, calls):
    """The same callables; `calls` gets (branch, joint texts, reward) of every reward, prompts included."""
    state = {"history": []}

    def formatter(agent):
        def prompt(row, external_prompts=None):
            text = plugged.formatters[agent](row, external_prompts=external_prompts)
            if external_prompts is None and not state.get("waiting"):
                state["history"] = []
            state["waiting"] = True
            return text

        return prompt

    def enter(**arguments):
        prompts = plugged.external_transition(**arguments)
        state["history"] = [*zip(*arguments["response_history_per_agent"], strict=True)]
        calls.append(("enter", state["history"], prompts))
        return prompts

    def reward(*completions, batch_items=None):
        state["waiting"] = False
        rewards = plugged.reward_func(*completions, batch_items=batch_items)
        for joint, earned in zip(zip(*completions, strict=True), rewards, strict=True):
            calls.append(("reward", (batch_items[0], [*state["history"], joint]), earned))
        return rewards

    return {
        "reward_func": reward,
        "formatters": [formatter(agent) for agent in range(len(plugged.formatters))],
        "external_transition": enter,
    }


def check_rewards(calls, **kwargs):
    """Every reward is the one that `env.step` gives for the texts on the way to it; how many per depth."""
    env, depths = collm_envs.make("StrBuild-v0", self_contained=True, **kwargs), {}
    for kind, what, earned in calls:
        if kind == "reward":
            row, history = what
            env.reset(seed=row["seed"], options={"item": row["item"], "split": row["split"]})
            for joint in history:
                _, rewards, *_ = env.step(dict(zip(env.possible_agents, joint, strict=True)))
            assert earned == rewards["agent_0"]
            depths[len(history)] = depths.get(len(history), 0) + 1
    return depths


SETTINGS = {
    "num_train_epochs": 1,
    "num_agents": 2,
    "num_turns": 2,
    "max_new_tokens": 6,
    "early_termination_threshold": None,
    "eval_interval": 0,
    "agent_learning_rate": 1e-3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    model, tokenizer = tiny.fresh(0)
    tokenizer.chat_template = None
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.mark.parametrize(("mode", "depths"), [("aligned", {1: 4, 2: 8}), ("cross", {1: 8, 2: 32})])
def test_magrpo_gets_the_rewards_of_every_node_of_its_tree(folder, mode, depths):
    plugged, calls = plug("StrBuild-v0", **WORDS), []
    trainer = MAGRPOTrainer(
        agent_model=folder,
        num_agents=2,
        train_dataset=plugged.train_dataset.select(range(2)),
        args=MAGRPOConfig(**SETTINGS, num_generations=2, joint_mode=mode),
        **observed(plugged, calls),
    )
    trainer.train()
    assert check_rewards(calls, **WORDS) == depths


@pytest.mark.parametrize("algorithm", ["iac", "maac"])
def test_the_actor_critics_get_the_rewards_of_both_turns(folder, algorithm):
    plugged, calls = plug("StrBuild-v0", **WORDS), []
    Trainer, Config = {"iac": (IACTrainer, IACConfig), "maac": (MAACTrainer, MAACConfig)}[algorithm]
    trainer = Trainer(
        agent_model=folder,
        critic_model=folder,
        train_dataset=plugged.train_dataset.select(range(2)),
        args=Config(**SETTINGS, num_generations=1),
        **observed(plugged, calls),
    )
    trainer.train()
    assert check_rewards(calls, **WORDS) == {1: 2, 2: 2}


def walk(plugged, row, turns, joints=1):
    """[(prompts, [reward of each joint sample])] as a trainer asks for them, the first sample followed."""
    prompts = [formatter(row) for formatter in plugged.formatters]
    history, seen = [[] for _ in prompts], []
    for _ in range(turns):
        texts = [
            [write(f"agent_{k}", f"{prompt}{n}" if n else prompt) for n in range(joints)]
            for k, prompt in enumerate(prompts)
        ]
        seen.append((prompts, plugged.reward_func(*texts, batch_items=[row])))
        for agent, text in enumerate(texts):
            history[agent].append(text[0])
        external = plugged.external_transition(
            prompt=row["prompt"],
            agent_completions=[text[0] for text in texts],
            num_agents=len(prompts),
            prompt_history_per_agent=[],
            response_history_per_agent=history,
        )
        prompts = [f(row, external_prompts=e) for f, e in zip(plugged.formatters, external, strict=True)]
    return seen


@pytest.mark.parametrize("agents", [1, 2, 3])
def test_prompts_and_rewards_of_a_walk_are_the_environments_own(agents):
    plugged = plug("StrBuild-v0", num_agents=agents)
    env = collm_envs.make("StrBuild-v0", num_agents=agents, self_contained=True)
    for row in plugged.eval_dataset:
        observations, _ = env.reset(seed=row["seed"], options={"item": row["item"], "split": "eval"})
        for prompts, (reward, _) in walk(plugged, row, 4, joints=2):
            assert prompts == [observations[agent] for agent in env.possible_agents]
            observations, rewards, *_ = env.step({a: write(a, observations[a]) for a in env.agents})
            assert reward == rewards["agent_0"]


def test_after_the_end_of_an_episode_there_is_nothing_to_earn():
    plugged = plug("StrBuild-v0", **{**WORDS, "max_turns": 1})
    (_, _), (prompts, rewards) = walk(plugged, plugged.train_dataset[0], 2)
    assert (prompts, rewards) == (["", ""], [0.0])


def test_the_default_early_stop_is_warned_about_where_there_are_turns_to_lose():
    with pytest.warns(UserWarning, match="early_termination_threshold=-0.2"):
        plug("StrBuild-v0", **WORDS)


def test_texts_that_are_missing_and_wrong_keywords_are_one_line():
    plugged = plug("StrBuild-v0", **WORDS)
    with pytest.raises(RuntimeError, match="no prompt was read yet"):
        plugged.reward_func([""], [""], batch_items=[{}])
    with pytest.raises(ValueError, match=r"need rows of plug.*; got the columns \['prompt'\]"):
        plugged.formatters[0]({"prompt": "a row of another data set"})
    plugged.formatters[0](plugged.train_dataset[0])
    with pytest.raises(ValueError, match=r"need as many texts of each of .*, got \[1\]"):
        plugged.reward_func([""], batch_items=[{}])
    with pytest.raises(ValueError, match=r"got \[2, 1\]"):
        plugged.reward_func(["", ""], [""], batch_items=[{}])
    with pytest.raises(TypeError, match="no keyword 'wordz'"):
        plug("StrBuild-v0", wordz=1)
    with pytest.raises(ValueError, match=r"StrBuild-v0: agents take turns .*, and CoMLRL samples all agents"):
        plug("StrBuild-v0", order="sequential")
