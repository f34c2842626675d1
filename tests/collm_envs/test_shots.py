"""Worked examples before a prompt, around any task."""

import pytest

import collm_envs
from collm_envs.record import record
from collm_envs.replay import replay
from collm_envs.testing import check_env

TOY = "toy_task:Adding-v0"


def first_prompts(**kwargs):
    env = collm_envs.make(TOY, **kwargs)
    return env, env.reset(seed=0)[0]


@pytest.mark.parametrize("id", ["StrBuild-v0", "TLDR-v0"])
def test_without_shots_a_task_is_what_it_was(id):
    assert collm_envs.make(id, shots=0).spec == collm_envs.make(id).spec


@pytest.mark.parametrize("id", [TOY, "StrBuild-v0", "TLDR-v1"])
@pytest.mark.parametrize("more", [{}, {"talk": 1}], ids=str)
def test_every_task_keeps_the_contract_with_an_example(id, more):
    check_env(lambda: collm_envs.make(id, shots=1, **more), seeds=(0,))


def test_the_first_prompt_alone_begins_with_an_example_and_the_experts_text():
    bare = collm_envs.make(TOY)
    env, prompts = first_prompts(shots=1)
    example = env.task.examples[0]
    state = bare.task.start(example, 0)
    text = bare.task.players["expert"](bare.task, state, "agent_1", None)
    shown = bare.task.prompt(state, "agent_1")
    assert prompts["agent_1"].startswith(f"An example.\n\n{shown}\n\nA good answer to it:\n\n{text}\n\n")
    later = env.step(dict.fromkeys(env.agents, "3"))[0]
    assert "An example." not in later["agent_1"]


def test_prompts_that_stand_alone_repeat_it():
    env, _ = first_prompts(shots=1, self_contained=True)
    later = env.step(dict.fromkeys(env.agents, "3"))[0]
    assert later["agent_0"].startswith("An example.")


def test_examples_are_the_shortest_train_items_and_are_played_no_more():
    task, bare = collm_envs.make_task("TLDR-v1", shots=2), collm_envs.make_task("TLDR-v1")
    lengths = sorted(len(item.data["prompt"]) for item in bare.items("train"))
    assert [len(item.data["prompt"]) for item in task.examples] == lengths[:2]
    assert len(task.items("train")) == len(bare.items("train")) - 2
    assert len(task.items("eval")) == len(bare.items("eval"))
    assert not {item.id for item in task.examples} & {item.id for item in task.items("train")}


def test_an_episode_with_an_example_replays():
    env = collm_envs.make("StrBuild-v0", shots=1, prompts="terse", max_turns=1)
    env.reset(seed=0)
    env.step(dict.fromkeys(env.agents, "/setblock 0 0 0 stone"))
    assert replay(record(env)).status == "equal"


def test_what_cannot_be_shown_is_refused():
    with pytest.raises(ValueError, match="shots: need an int of at least 0"):
        collm_envs.make(TOY, shots=-1)
    one = [{"prompt": "SUBREDDIT: r/a TITLE: b POST: c d e.", "completion": "c d e f."}]
    with pytest.raises(ValueError, match="shots=1: no item is left to play beside the examples"):
        collm_envs.make("TLDR-v0", items=one, shots=1)
