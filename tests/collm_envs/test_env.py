"""TextEnv: what goes in, what comes out, what is refused, and that nothing leaks between episodes."""

import copy
import json
import pickle
import random
import re

import gymnasium
import numpy as np
import pytest
import toy_task
from gymnasium.error import CustomSpaceError
from gymnasium.spaces import flatten, flatten_space
from gymnasium.spaces.utils import flatdim
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import collm_envs
from collm_envs.env import MAX_ACTION_CHARS

FIVE = {"agent_0": "5", "agent_1": "5"}


def adding(**kwargs):
    return collm_envs.make("Adding-v0", **kwargs)


def episode(env, seed, text="4", **options):
    """Everything that came out of one episode, as JSON."""
    said = [env.reset(seed=seed, options=options)]
    while env.agents:
        said.append(env.step(dict.fromkeys(env.agents, text)))
    return json.dumps(said)


def test_reward_metrics_parts_and_lines_arrive_in_the_infos_of_every_agent():
    env = adding()
    observations, infos = env.reset(seed=3, options={"item": "train/1"})
    goal = toy_task.State(10).goal + random.Random(3).randrange(5)
    assert f"Goal: {goal}." in observations["agent_0"]
    assert infos["agent_1"]["item"] == "train/1"
    observations, rewards, terminations, truncations, infos = env.step({"agent_0": "5\nx", "agent_1": "4"})
    reward = 1 - abs(9 - goal) / goal
    assert rewards == {"agent_0": reward, "agent_1": reward}
    assert infos["agent_0"]["metrics"] == {"gap": abs(9 - goal)}
    assert infos["agent_0"]["reward_parts"] == {"closeness": reward}
    assert infos["agent_0"]["accepted"] == ["5"]
    assert infos["agent_0"]["rejected"] == [{"line": "x", "why": "not a whole number"}]
    assert infos["agent_1"]["rejected"] == []
    assert observations["agent_1"] == "Turn 2. The sum was 9.\n"
    assert not any(terminations.values())
    assert not any(truncations.values())


def test_the_tasks_own_last_turn_terminates_all_agents_and_says_nothing_more():
    env = adding()
    env.reset(seed=0)
    for _ in range(3):
        env.step(FIVE)
    observations, _, terminations, truncations, _ = env.step(FIVE)
    assert observations == {"agent_0": "", "agent_1": ""}
    assert all(terminations.values())
    assert not any(truncations.values())
    assert env.agents == []
    with pytest.raises(RuntimeError, match="call reset"):
        env.step(FIVE)


def test_a_shorter_max_cycles_truncates_and_still_shows_the_next_prompt():
    env = adding(max_cycles=2)
    env.reset(seed=0)
    env.step(FIVE)
    observations, _, terminations, truncations, _ = env.step(FIVE)
    assert all(truncations.values())
    assert not any(terminations.values())
    assert observations["agent_0"].startswith("Turn 3.")


def test_max_cycles_equal_to_the_horizon_is_a_termination():
    env = adding(max_cycles=4)
    env.reset(seed=0)
    for _ in range(3):
        env.step(FIVE)
    _, _, terminations, truncations, _ = env.step(FIVE)
    assert all(terminations.values())
    assert not any(truncations.values())


@pytest.mark.parametrize(
    "actions", [{}, {"agent_0": "1"}, {**FIVE, "agent_2": "1"}, {"agent_0": "1", "agent_7": "1"}, ["1", "2"]]
)
def test_a_wrong_set_of_agents_raises_and_the_episode_goes_on(actions):
    env = adding()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"Adding-v0: need one text for each of \['agent_0', 'agent_1'\]"):
        env.step(actions)
    assert env.step(FIVE)[4]["agent_0"]["turn"] == 1


@pytest.mark.parametrize("action", [None, 3, b"5", ["5"]])
def test_an_action_that_is_no_str_raises_and_the_episode_goes_on(action):
    env = adding()
    env.reset(seed=0)
    with pytest.raises(TypeError, match="action of agent_1 must be a str"):
        env.step({"agent_0": "5", "agent_1": action})
    assert env.step(FIVE)[4]["agent_0"]["turn"] == 1


def test_numpy_strings_are_taken_and_played_as_plain_ones():
    env = adding()
    env.reset(seed=0)
    env.step({"agent_0": np.str_("5"), "agent_1": np.str_("5")})
    assert type(env.turns[0].texts["agent_0"]) is str


def test_a_megabyte_of_text_is_cut_and_the_cut_is_noted():
    env = adding()
    env.reset(seed=0)
    infos = env.step({"agent_0": "x" * 2**20, "agent_1": "5"})[4]
    assert infos["agent_0"]["edits"] == [f"cut from 1048576 to {MAX_ACTION_CHARS} characters"]
    assert infos["agent_1"]["edits"] == []
    assert len(env.turns[0].texts["agent_0"]) == MAX_ACTION_CHARS


def test_lone_surrogates_become_replacement_characters_and_are_noted():
    env = adding()
    env.reset(seed=0)
    infos = env.step({"agent_0": "a\ud800b\udfffc", "agent_1": "\U0001f600"})[4]
    assert env.turns[0].texts == {"agent_0": "a\ufffdb\ufffdc", "agent_1": "\U0001f600"}
    assert infos["agent_0"]["edits"] == ["2 lone surrogates replaced by U+FFFD"]
    assert infos["agent_1"]["edits"] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(), st.text()), min_size=4, max_size=4))
def test_no_text_whatever_raises_out_of_step(turns):
    env = adding()
    env.reset(seed=0)
    for a, b in turns:
        observations, rewards, *_, infos = env.step({"agent_0": a, "agent_1": b})
        assert env.observation_space("agent_0").contains(observations["agent_0"])
        json.dumps([observations, rewards, infos], allow_nan=False)


def test_the_same_seed_and_item_give_the_same_episode_in_another_environment():
    one, two = adding(), adding()
    two.reset(seed=99)
    assert episode(one, 5) == episode(two, 5)
    assert episode(one, 5, item="eval/1") == episode(two, 5, item="eval/1", split="eval")


def test_reset_without_a_seed_goes_on_with_the_environments_own_generator():
    def three(env):
        env.reset(seed=8)
        return [env.reset()[1]["agent_0"]["seed"] for _ in range(3)]

    assert three(adding()) == three(adding())
    assert len(set(three(adding()))) == 3


def test_an_episode_played_without_a_seed_can_be_repeated_from_its_infos():
    env = adding()
    first, infos = env.reset()
    info = infos["agent_0"]
    again, _ = adding().reset(seed=info["seed"], options={"item": info["item"], "split": info["split"]})
    assert again == first


def test_two_environments_in_turn_disturb_neither_each_other_nor_the_global_generators():
    alone = episode(adding(), 1), episode(adding(), 2)
    before = random.getstate(), pickle.dumps(np.random.get_state())
    one, two = adding(), adding()
    said = [[one.reset(seed=1, options={})], [two.reset(seed=2, options={})]]
    for _ in range(4):
        for k, env in enumerate((one, two)):
            said[k].append(env.step(dict.fromkeys(env.agents, "4")))
    assert (json.dumps(said[0]), json.dumps(said[1])) == alone
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == before


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])
def test_a_copy_made_in_mid_episode_continues_identically_and_apart(clone):
    env = adding()
    env.reset(seed=4)
    env.step(FIVE)
    twin = clone(env)

    def rest(env):
        said = [env.step(dict.fromkeys(env.agents, "3")) for _ in range(3)]
        return json.dumps([*said, env.reset(), env.history("agent_0")])

    assert rest(env) == rest(twin)


def test_dicts_handed_out_are_the_callers_own():
    env = adding()
    observations, infos = env.reset(seed=0)
    observations["__all__"], infos["agent_0"]["accepted"] = "spoiled", ["spoiled"]
    results = env.step(FIVE)
    for result in results:
        result["__all__"] = True
    assert "__all__" not in env.step(FIVE)[0]
    assert "spoiled" not in env.history("agent_0")[0]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"split": "test"}, ValueError, "split must be 'train' or 'eval', got 'test'"),
        ({"item": "trian/0"}, KeyError, "no item 'trian/0' in any split; try 'train/0'"),
        ({"item": "train/0", "split": "eval"}, KeyError, "no item 'train/0' in eval"),
        ({"item": 3}, KeyError, "item must be below 3, got 3"),
        ({"item": -1}, KeyError, "item must be below 3, got -1"),
        ({"item": 1.5}, ValueError, "item must be an id or an index, got 1.5"),
    ],
)
def test_bad_values_of_known_options_are_refused_and_the_episode_goes_on(options, error, match):
    env = adding()
    env.reset(seed=0)
    env.step(FIVE)
    with pytest.raises(error, match=match):
        env.reset(seed=1, options=options)
    assert env.step(FIVE)[4]["agent_0"]["turn"] == 2


def test_the_option_of_pettingzoos_conformance_test_is_ignored():
    assert adding().reset(seed=0, options={"options": 1}) == adding().reset(seed=0)


def test_an_item_may_be_named_by_id_or_index_and_brings_its_split():
    env = adding()
    assert env.reset(seed=0, options={"item": "eval/1"})[1]["agent_0"]["split"] == "eval"
    assert env.reset(seed=0, options={"item": 1, "split": "eval"})[1]["agent_0"]["item"] == "eval/1"
    assert [item.id for item in env.items("eval")] == ["eval/0", "eval/1"]


@pytest.mark.parametrize("seed", ["3", 1.5, True])
def test_a_seed_that_is_no_int_is_refused(seed):
    with pytest.raises(TypeError, match="Adding-v0: seed must be an int"):
        adding().reset(seed=seed)


def test_history_and_state_hold_what_was_read_and_written_in_order():
    env = adding()
    env.reset(seed=0)
    env.step({"agent_0": "6", "agent_1": "7"})
    assert env.history("agent_1")[1] == "7"
    assert len(env.history("agent_1")) == 3
    assert "[agent_0 wrote]\n6" in env.state()
    assert "[agent_1 wrote]\n7" in env.state()
    assert env.state_space.contains(env.state())


def test_rendering_needs_a_mode_and_an_episode():
    with pytest.raises(ValueError, match="render_mode must be one of"):
        adding(render_mode="svg")
    env = adding()
    env.reset()
    with pytest.raises(ValueError, match="made without render_mode"):
        env.render()
    with pytest.raises(RuntimeError, match="call reset"):
        adding(render_mode="ansi").render()


def test_the_ansi_rendering_shows_the_scene_and_human_prints_it(capsys):
    env, human = adding(render_mode="ansi"), adding(render_mode="human")
    env.reset(seed=0)
    human.reset(seed=0)
    drawn = env.render()
    assert isinstance(drawn, str)
    assert "0 of" in drawn
    assert human.render() is None
    assert capsys.readouterr().out == drawn + "\n"


@pytest.mark.parametrize("max_cycles", [0, -1, 2.0, True, "4"])
def test_max_cycles_must_be_a_positive_int(max_cycles):
    with pytest.raises(ValueError, match="max_cycles must be an int of at least 1"):
        adding(max_cycles=max_cycles)


def test_the_spec_names_the_environment_and_its_hash_moves_with_items_prompts_and_splits():
    spec = adding(num_agents=3).spec
    assert (spec.id, dict(spec.kwargs)) == ("Adding-v0", {"turns": 4, "num_agents": 3})
    assert json.loads(json.dumps(spec.to_dict()))["content_hash"] == spec.content_hash
    rows = [{"goal": 1}], [{"goal": 2}]
    hashes = [
        adding(**kwargs).spec.content_hash
        for kwargs in (
            {},
            {"num_agents": 3},
            {"items": rows[0]},
            {"items": {"train": rows[0], "eval": rows[1]}},
            {"items": {"train": rows[1], "eval": rows[0]}},
        )
    ]
    assert len(set(hashes)) == 5
    assert adding().spec.content_hash == hashes[0]


def test_text_space_takes_every_text_that_can_be_written_and_nothing_else():
    space = collm_envs.TextSpace(10, min_length=1)
    assert all(space.contains(x) for x in ("a b\n", "ñ", "\U0001f600", "\x00", np.str_("x")))
    assert not any(space.contains(x) for x in ("", "x" * 11, "\ud800", 5, None, b"x", ["x"]))
    assert collm_envs.TextSpace(10).contains("")
    assert isinstance(space, gymnasium.spaces.Text)


def test_text_space_samples_its_own_members_and_repeats_them_by_seed():
    space = collm_envs.TextSpace(50, min_length=3, seed=1)
    texts = [space.sample() for _ in range(200)]
    assert all(space.contains(text) for text in texts)
    assert {len(text) for text in texts} == set(range(3, 51))
    space.seed(1)
    assert [space.sample() for _ in range(200)] == texts
    with pytest.raises(ValueError, match="masks"):
        space.sample(mask=(1, np.ones(1, dtype=np.int8)))


def test_text_space_is_small_to_pickle_and_equal_by_its_bounds():
    space = collm_envs.TextSpace(MAX_ACTION_CHARS)
    assert len(pickle.dumps(space)) < 10_000
    assert pickle.loads(pickle.dumps(space)) == space == copy.deepcopy(space)
    assert space != collm_envs.TextSpace(MAX_ACTION_CHARS, min_length=1)
    assert space != gymnasium.spaces.Text(MAX_ACTION_CHARS, min_length=0)
    assert len(repr(space)) < 40


@pytest.mark.parametrize("function", [flatdim, flatten_space])
def test_flattening_a_text_space_is_refused_aloud(function):
    with pytest.raises(CustomSpaceError, match="text is not an array"):
        function(collm_envs.TextSpace(10))
    with pytest.raises(CustomSpaceError, match="text is not an array"):
        flatten(collm_envs.TextSpace(10), "hello")


class Echo(gymnasium.Env):
    """A single-agent environment over our space, as vector environments of gymnasium want it."""

    def __init__(self):
        self.observation_space = self.action_space = collm_envs.TextSpace(20)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "héllo", {}

    def step(self, action):
        return action, 0.0, False, False, {}


def test_vector_environments_of_gymnasium_give_the_true_text_or_refuse():
    with pytest.raises((CustomSpaceError, ValueError), match="shared_memory"):
        AsyncVectorEnv([Echo, Echo], shared_memory=True)
    for vec in (SyncVectorEnv([Echo, Echo]), AsyncVectorEnv([Echo, Echo], shared_memory=False)):
        assert tuple(vec.reset()[0]) == ("héllo", "héllo")
        assert tuple(vec.step(("a ü", "b"))[0]) == ("a ü", "b")
        vec.close()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"splt": "eval"}, "no option 'splt'; did you mean 'split'?"),
        ({"Item": "eval/0"}, "no option 'Item'; did you mean 'item'?"),
        ({"difficulty": 3}, "no option 'difficulty'; there are 'item', 'split'"),
        ({"item": 0, 7: 1}, "no option 7"),
    ],
)
def test_an_option_that_reset_does_not_know_is_refused(options, match):
    env = collm_envs.make("TLDR-v0")
    with pytest.raises(ValueError, match=re.escape(match)):
        env.reset(seed=0, options=options)
    with pytest.raises(TypeError, match="options must be a mapping, got list"):
        env.reset(options=[("split", "eval")])
