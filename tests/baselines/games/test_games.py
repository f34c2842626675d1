"""The games of value decomposition: PettingZoo's contract, their states, any other environment."""

import itertools
import warnings
from typing import ClassVar

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

from baselines import games
from baselines.games.game import Game, consecutive
from baselines.games.tables import PAYOFFS
from baselines.mixing import Config, Learner, evaluate, train

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of its own environments
    from pettingzoo.test import parallel_api_test

FORAGING, LARGER = "Foraging-8x8-2p-2f-coop-v3", "Foraging-2s-10x10-3p-3f-v3"
NAMES = [*PAYOFFS, "two-step", "StrBuild-v0", "HouseBuild-v0", FORAGING, LARGER, "simple-spread"]


def make(name):
    if name.startswith("Foraging"):
        pytest.importorskip("lbforaging")
    if "spread" in name or "mpe2" in name:
        pytest.importorskip("mpe2")
    return games.make(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_game_keeps_pettingzoos_contract(name):
    parallel_api_test(make(name).env, num_cycles=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_an_episode_whatever_was_played_before(name):
    game, rng = make(name), np.random.default_rng(0)

    def episode(seed):
        view, log, over = game.reset(seed), [], False
        while not over:
            log.append((view.obs.tolist(), view.state.tolist()))
            actions = [(len(log) // 2 + i) % n for i, n in enumerate(game.layout.n_actions)]
            view, *rest = game.step(np.array(actions))
            log.append(rest)
            over = rest[1] or rest[2]
        return log

    first = episode(5)
    episode(int(rng.integers(1000)))
    assert episode(5) == first


@pytest.mark.parametrize("name", NAMES)
def test_states_and_observations_lie_in_their_spaces(name):
    env = make(name).env
    observations, _ = env.reset(seed=3)
    while env.agents:
        for agent in env.agents:
            assert env.observation_space(agent).contains(observations[agent])
        assert env.state_space.contains(env.state())
        observations, *_ = env.step({agent: env.action_space(agent).sample() for agent in env.agents})


def test_every_table_pays_what_it_says():
    for name, payoff in PAYOFFS.items():
        game = make(name)
        for a, b in itertools.product(range(3), range(3)):
            game.reset(0)
            outcome = game.step(np.array([a, b]))
            assert (outcome.reward, outcome.terminated) == (payoff[a][b], True)


def test_the_first_agent_alone_picks_the_branch_of_the_two_step_game():
    game = make("two-step")
    for a, b, c, d in itertools.product(range(2), repeat=4):
        game.reset(0)
        first = game.step(np.array([a, b]))
        assert (first.reward, first.terminated, first.view.state.argmax()) == (0, False, 1 + a)
        second = game.step(np.array([c, d]))
        assert (second.reward, second.terminated) == (7 if a == 0 else [[0, 1], [1, 8]][c][d], True)


def test_the_foraging_state_names_players_and_food_and_remembers_what_was_eaten():
    game = make(FORAGING)
    inner, fields = game.env._env, game.layout.fields
    state = game.reset(0).state
    players, food = state[fields["players"]], state[fields["food"]]
    assert players[:, :2] * 8 == pytest.approx(np.array([p.position for p in inner.players]))
    assert players[:, 2] * 4 == pytest.approx(np.array([p.level for p in inner.players]))
    for row, column, level in food:
        assert inner.field[round(row * 8), round(column * 8)] == round(level * 4) > 0
    where = np.argwhere(inner.field)[0]
    for player, step in zip(inner.players, (1, -1), strict=True):
        player.position = (where[0] + step, where[1])
    inner._gen_valid_moves()
    outcome = game.step(np.array([5, 5]))  # both load, and only both can
    assert outcome.reward == pytest.approx(0.5)
    left = outcome.view.state[fields["food"]]
    assert left[:, 2].tolist() == [0.0, food[1, 2]]
    assert left[:, :2].tolist() == food[:, :2].tolist()


def test_the_clock_of_foraging_truncates_and_does_not_terminate():
    game = make(FORAGING)
    game.reset(0)
    outcomes = [game.step(np.array([0, 0])) for _ in range(50)]
    assert not any(o.terminated for o in outcomes)
    assert [o.truncated for o in outcomes] == [False] * 49 + [True]


def test_the_state_of_simple_spread_is_read_by_name():
    game = make("simple-spread")
    state, fields = game.reset(0).state, game.layout.fields
    world = game.env.unwrapped.world
    for i, agent in enumerate(world.agents):
        assert state[fields["position"]][i] == pytest.approx(agent.state.p_pos, abs=1e-6)
        for k, landmark in enumerate(world.landmarks):
            away = landmark.state.p_pos - agent.state.p_pos
            assert state[fields["to_landmarks"]][i, k] == pytest.approx(away, abs=1e-6)
        others = [other for other in world.agents if other is not agent]
        for k, other in enumerate(others):
            away = other.state.p_pos - agent.state.p_pos
            assert state[fields["to_others"]][i, k] == pytest.approx(away, abs=1e-6)


def test_even_and_odd_cells_together_build_the_word_of_strbuild():
    game = make("StrBuild-v0")
    earned = {}
    for joint in itertools.product(range(4), repeat=2):
        game.reset(1)
        earned[joint] = game.step(np.array(joint)).reward
    assert earned[2, 3] == earned[3, 2] == pytest.approx(2.0)
    assert max(reward for joint, reward in earned.items() if joint not in ((2, 3), (3, 2))) < 2.0
    assert earned[0, 0] == pytest.approx(-0.5)
    assert game.step(np.array([1, 3])).view.state[game.layout.fields["choices"]].argmax(1).tolist() == [1, 3]


def test_two_halves_and_one_kill_build_every_house_of_housebuild():
    game, seen = make("HouseBuild-v0"), set()
    for seed in range(12):
        earned = {}
        for joint in itertools.product(range(5), repeat=2):
            view = game.reset(seed)
            earned[joint] = game.step(np.array(joint)).reward
        assert earned[4, 3] == earned[3, 4] == pytest.approx(1.0)
        assert earned[2, 3] == earned[3, 2] == pytest.approx(0.9, abs=0.05)  # whole, and bitten
        assert sorted(earned.values())[-3] < 0.95
        seen.add(view.state[game.layout.fields["item"]].argmax())
    assert len(seen) > 4


class Uneven(ParallelEnv):
    """Two agents of different sizes, no state; `dies` ends one of them early."""

    metadata: ClassVar = {"name": "uneven"}
    possible_agents: ClassVar = ["a", "b"]

    def __init__(self, dies=False, actions=None):
        self.dies, self.agents, self.actions = dies, [], actions or {"a": Discrete(2), "b": Discrete(3)}

    def observation_space(self, agent):
        return Discrete(2) if agent == "a" else Box(-1, 1, (2, 2), np.float32)

    def action_space(self, agent):
        return self.actions[agent]

    def seen(self):
        return {"a": 1, "b": np.full((2, 2), 0.5, np.float32)}

    def reset(self, seed=None, options=None):
        self.agents = ["a", "b"]
        return self.seen(), {"a": {}, "b": {}}

    def step(self, actions):
        assert self.observation_space("b").contains(self.seen()["b"])
        assert all(self.actions[k].contains(np.int64(x)) for k, x in actions.items())
        ends = {"a": True, "b": not self.dies}
        rewards = {"a": 1.0, "b": float(actions["b"] == 2) * 3}
        return self.seen(), rewards, ends, {"a": False, "b": False}, {"a": {}, "b": {}}


def test_agents_of_different_sizes_are_padded_and_earn_their_mean():
    game = Game(Uneven())
    assert game.layout.n_actions == (2, 3)
    view = game.reset(0)
    assert view.obs.tolist() == [[0, 1, 0, 0], [0.5] * 4]
    assert view.state.tolist() == view.obs.reshape(-1).tolist()
    assert game.step(np.array([1, 2])).reward == 2.0


def test_no_agent_is_ever_given_an_action_it_does_not_have(training_seed):
    played = [Game(Uneven()) for _ in range(8)]  # its step asserts it
    config = Config(steps=120, batch=16, lr=1e-2, tau=0.1, epsilon_turns=300, seed=training_seed)
    learner = Learner(config, played[0].layout)
    learner.agents.outward.bias.data[2] = 50.0  # the third action looks best to everyone, "a" has only two
    list(train(config, played, learner))
    assert evaluate(learner.agents, played, 8, seed=0) == [2.0] * 8


def test_agents_that_end_apart_are_refused():
    game = Game(Uneven(dies=True))
    game.reset(0)
    with pytest.raises(RuntimeError, match=r"agents must end together, only \['a'\] have"):
        game.step(np.array([0, 0]))


def test_actions_that_are_not_discrete_are_refused():
    with pytest.raises(TypeError, match="need Discrete actions from 0 for b, got Box"):
        Game(Uneven(actions={"a": Discrete(2), "b": Box(0, 1, (1,))}))


def test_fields_beyond_the_state_are_refused():
    with pytest.raises(ValueError, match=r"fields \['food'\] lie beyond the state of 8 entries"):
        Game(Uneven(), consecutive({"players": (2, 3), "food": (1, 3)}))


def test_any_pettingzoo_environment_is_played_by_its_import_path():
    game = make("mpe2.simple_speaker_listener_v4:parallel_env")
    assert game.layout.n_actions == (3, 5)
    learner = Learner(Config(mixer="qmix", steps=2, batch=2), game.layout)
    assert len(list(train(Config(mixer="qmix", steps=2, batch=2), [game], learner))) == 2


def test_an_unknown_game_suggests_the_nearest():
    with pytest.raises(KeyError, match="no game 'climbin'; did you mean 'climbing'"):
        games.make("climbin")
