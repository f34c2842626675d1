"""make_vec: the same episodes as one by one, lists in and lists out, slow tasks in threads."""

import threading
import time
from dataclasses import replace

import pytest
from toy_task import Adding

import collm_envs


class Slow(Adding):
    parallel_play = True
    threads: set = set()  # noqa: RUF012

    def play(self, state, texts):
        self.threads.add(threading.get_ident())
        time.sleep(0.01)
        return super().play(state, texts)


class Failing(Adding):
    def play(self, state, texts):
        return replace(super().play(state, texts), goal=state.goal // (texts["agent_0"] != "fail"))


for task in (Slow, Failing):
    collm_envs.register(f"{task.__name__}-v0", f"{__name__}:{task.__name__}")


def both(text):
    return {"agent_0": text, "agent_1": text}


@pytest.mark.parametrize("id", ["Adding-v0", "Slow-v0", "StrBuild-v0"])
def test_episodes_stepped_together_are_those_stepped_alone(id):
    vec = collm_envs.make_vec(id, 5)
    seeds = [3, 1, 4, 1, 5]
    together = [vec.reset(seed=seeds)]
    while vec.live:
        together.append(vec.step([both(f"{k}") for k in range(5)]))
    for k, seed in enumerate(seeds):
        env = collm_envs.make(id)
        alone = [env.reset(seed=seed)]
        while env.agents:
            alone.append(env.step(both(f"{k}")))
        assert [tuple(column[k] for column in step) for step in together] == alone
    vec.close()


def test_one_seed_gives_each_environment_its_own_and_the_next_seed_others():
    def seeds(seed):
        _, infos = collm_envs.make_vec("Adding-v0", 8).reset(seed=seed)
        return [info["agent_0"]["seed"] for info in infos]

    assert seeds(0) == seeds(0)
    assert len({*seeds(0), *seeds(1)}) == 16


def test_options_are_for_all_or_for_each():
    vec = collm_envs.make_vec("Adding-v0", 2)
    _, infos = vec.reset(options={"split": "eval"})
    assert {info["agent_0"]["split"] for info in infos} == {"eval"}
    _, infos = vec.reset(options=[{"item": "train/1"}, {"item": "eval/1"}])
    assert [info["agent_1"]["item"] for info in infos] == ["train/1", "eval/1"]


def test_an_ended_episode_is_an_empty_dict_until_it_is_reset():
    vec = collm_envs.make_vec("Adding-v0", 2, turns=2)
    vec.reset(seed=0)
    vec.step([both("1"), both("2")])
    vec.reset_one(0, seed=9)
    results = vec.step([both("1"), both("2")])
    assert vec.live == [0]
    assert results[2] == [{"agent_0": False, "agent_1": False}, {"agent_0": True, "agent_1": True}]
    results = vec.step([both("1"), None])
    assert [column[1] for column in results] == [{}] * 5
    assert vec.live == []
    with pytest.raises(RuntimeError, match="no episode is running"):
        vec.step([None, None])


def test_a_wrong_action_is_refused_before_any_episode_is_played_on():
    vec = collm_envs.make_vec("Adding-v0", 3)
    vec.reset(seed=0)
    for actions, error in (
        ([both("1"), both("1"), {"agent_0": "1"}], ValueError),
        ([both("1"), both("1"), None], ValueError),
        ([both("1"), both("1"), both(3)], TypeError),
        ([both("1"), both("1")], ValueError),
    ):
        with pytest.raises(error):
            vec.step(actions)
    assert [len(env.turns) for env in vec.envs] == [0, 0, 0]


def test_a_dropped_episode_is_over_and_the_others_go_on():
    vec = collm_envs.make_vec("Adding-v0", 2)
    vec.reset(seed=0)
    vec.drop(0)
    assert vec.live == [1]
    assert vec.step([None, both("1")])[0][0] == {}


def test_text_for_an_ended_episode_is_refused():
    vec = collm_envs.make_vec("Adding-v0", 2, turns=1)
    vec.reset(seed=0)
    vec.step([both("1"), both("2")])
    vec.reset_one(1)
    with pytest.raises(ValueError, match="episode 0 has ended"):
        vec.step([both("1"), both("2")])


def test_the_task_is_shared_and_the_hash_computed_once():
    vec = collm_envs.make_vec("Adding-v0", 3, max_cycles=2, render_mode="ansi")
    assert {id(env.task) for env in vec.envs} == {id(vec.task)}
    assert vec[2].spec.content_hash == collm_envs.make("Adding-v0").spec.content_hash
    assert (len(vec), vec[1].max_cycles, vec[1].render_mode) == (3, 2, "ansi")


def test_a_slow_task_is_played_in_several_threads_and_a_quick_one_in_none():
    Slow.threads.clear()
    vec = collm_envs.make_vec("Slow-v0", 8)
    vec.reset(seed=0)
    vec.step([both("1")] * 8)
    assert threading.get_ident() not in Slow.threads
    vec.close()
    vec.close()
    assert len(Slow.threads) > 1


def test_an_error_of_the_task_comes_out():
    vec = collm_envs.make_vec("Failing-v0", 2)
    vec.reset(seed=0)
    with pytest.raises(ZeroDivisionError):
        vec.step([both("1"), both("fail")])


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True])
def test_a_wrong_number_of_environments_is_refused(n):
    with pytest.raises(ValueError, match="need at least 1 environment"):
        collm_envs.make_vec("Adding-v0", n)


def test_a_wrong_number_of_seeds_is_refused():
    with pytest.raises(ValueError, match="need 3 seeds and options, got 2 and 3"):
        collm_envs.make_vec("Adding-v0", 3).reset(seed=[1, 2])
