"""Value decomposition against the known answers of the tables, and against itself worked turn by turn."""

import dataclasses
import io
import itertools
import runpy

import numpy as np
import pytest
import torch
from folders import ROOT

from baselines import games, mixing
from baselines.credit.pinned import pin
from baselines.games import mixers
from baselines.games.memory import Episode, Experience, pad
from baselines.games.tables import PAYOFFS
from baselines.mixing import Config, Learner, evaluate, td_loss, td_targets, train

SMALL = Config(
    steps=300, batch=64, capacity=512, lr=3e-3, tau=0.05, hidden=32, epsilon_turns=3000, reward_scale=1.0
)
UNIFORM = dataclasses.replace(SMALL, epsilon_end=1.0, steps=200, batch=128, capacity=4096, lr=4e-3, tau=0.1)
"""with games enough at once that no cell of a table is seen much oftener than another: see AT_ONCE"""
AT_ONCE = 16
BRANCH_B = ((0, 1), (1, 8))
ADDITIVE = ((-1.5, 2.5), (2.5, 6.5))
"""its best fit by a sum, on uniform data"""


def trained(game, config, games_at_once=8):
    played = [games.make(game) for _ in range(games_at_once)]
    learner = Learner(config, played[0].layout)
    metrics = list(train(config, played, learner))
    return learner, metrics


def table_at_branch_b(learner):
    game = games.make("two-step")
    first = game.reset(0)
    second = game.step(np.array([1, 0])).view
    obs = torch.from_numpy(np.stack([first.obs, second.obs])).unsqueeze(0)
    q, _ = learner.agents(obs, torch.tensor([[[-1, -1], [1, 0]]]))
    pairs = torch.stack([torch.stack([q[0, 1, 0, a], q[0, 1, 1, b]]) for a in (0, 1) for b in (0, 1)])
    return learner.mixer(pairs, torch.from_numpy(second.state).expand(4, -1)).detach().reshape(2, 2)


def least_squares(payoff, mix):
    """The table Q_tot(a_0, a_1) of best fit among those that `mix`, linear in Q, can represent."""
    payoff = torch.tensor(payoff, dtype=torch.float64)
    rows, columns = payoff.shape

    def q_tot(q):
        joint = torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
        return mix(torch.stack([q[joint[:, 0]], q[rows + joint[:, 1]]], -1))

    zero = torch.zeros(rows + columns, dtype=torch.float64)
    design = torch.autograd.functional.jacobian(q_tot, zero)
    q = torch.linalg.lstsq(design, payoff.reshape(-1), driver="gelsd").solution
    return q_tot(q).reshape(payoff.shape)


def fixed(*w):
    return lambda q: mixers.weighted(q, torch.tensor(w, dtype=torch.float64))


@pytest.mark.parametrize(
    ("game", "best", "true", "mse"),
    [
        ("climbing", 79 / 9, 5, 175.09),
        ("penalty-0", 38 / 9, 10, 13.53),
        ("penalty-25", 40 / 9, 2, 137.6),
        ("penalty-100", 190 / 9, 2, 1435.8),
        ("qtran", -32 / 9, 0, 50.57),
    ],
)
def test_the_additive_fit_of_each_table_has_its_known_peak_and_error(game, best, true, mse):
    fit, payoff = least_squares(PAYOFFS[game], mixers.vdn), torch.tensor(PAYOFFS[game], dtype=torch.float64)
    assert fit.max().item() == pytest.approx(best, abs=1e-9)
    assert payoff.flatten()[fit.flatten().argmax()] == true
    assert (fit - payoff).pow(2).mean().item() == pytest.approx(mse, rel=1e-3)


@pytest.mark.parametrize("w", [(0.7, 0.3), (0.5, 0.5), (0.05, 0.95)])
@pytest.mark.parametrize("payoff", [*PAYOFFS.values(), BRANCH_B])
def test_fixed_positive_weights_fit_what_vdn_fits_to_1e_9(payoff, w):
    assert torch.allclose(
        least_squares(payoff, fixed(*w)), least_squares(payoff, mixers.vdn), rtol=0, atol=1e-9
    )


def test_the_additive_fit_of_branch_b_stays_below_the_7_of_branch_a():
    expected = torch.tensor(ADDITIVE, dtype=torch.float64)
    assert torch.allclose(least_squares(BRANCH_B, mixers.vdn), expected, rtol=0, atol=1e-9)


def test_all_weight_on_one_agent_collapses_the_climbing_fit_to_row_means():
    fit = least_squares(PAYOFFS["climbing"], fixed(1.0, 0.0))
    means = torch.tensor([-19 / 3, -17 / 3, 5 / 3], dtype=torch.float64)
    assert torch.allclose(fit, means.unsqueeze(1).expand(3, 3), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("mixer", "settings", "value", "table"),
    [
        ("vdn", {}, 7, ADDITIVE),
        ("qllm:two_step", {}, 7, ADDITIVE),
        ("qmix", {"steps": 300, "lr": 6e-3}, 8, BRANCH_B),  # it has more to learn than a sum has
    ],
)
def test_two_step_on_uniform_data_gives_7_to_additive_mixers_and_8_to_qmix(
    mixer, settings, value, table, training_seed
):
    config = dataclasses.replace(UNIFORM, mixer=mixer, seed=training_seed, **settings)
    learner, _ = trained("two-step", config, AT_ONCE)
    assert evaluate(learner.agents, [games.make("two-step")], 1, seed=0) == [value]
    assert torch.allclose(table_at_branch_b(learner), torch.tensor(table).float(), rtol=0, atol=0.4)


@pytest.mark.parametrize("mixer", ["vdn", "qllm:two_step", "qmix"])
def test_two_step_on_epsilon_greedy_data_gives_8_to_all(mixer, training_seed):
    fast = {"steps": 300, "lr": 1e-2, "tau": 0.1, "epsilon_turns": 1500}
    config = dataclasses.replace(SMALL, mixer=mixer, seed=training_seed, **fast)
    learner, _ = trained("two-step", config)
    assert evaluate(learner.agents, [games.make("two-step")], 1, seed=0) == [8]


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["vdn", "qllm:two_step", "learned", "qmix"])
def test_two_step_values_hold_for_three_more_seeds(mixer, training_seed):
    for seed in range(training_seed + 1, training_seed + 4):
        for config, value in ((UNIFORM, 8 if mixer == "qmix" else 7), (SMALL, 8)):
            config = dataclasses.replace(config, mixer=mixer, steps=600, seed=seed)
            learner, _ = trained("two-step", config)
            assert evaluate(learner.agents, [games.make("two-step")], 1, seed=0) == [value], (seed, config)


@pytest.mark.parametrize(
    ("game", "mixer", "value", "steps"),
    [
        ("climbing", "vdn", 5, 150),
        ("climbing", "qmix", 5, 150),
        ("penalty-100", "vdn", 2, 150),
        ("qtran", "vdn", 0, 300),
    ],
)
def test_one_shot_games_end_at_their_known_value_on_uniform_data(game, mixer, value, steps, training_seed):
    config = dataclasses.replace(UNIFORM, mixer=mixer, steps=steps, reward_scale=0.1, seed=training_seed)
    learner, _ = trained(game, config, AT_ONCE)
    assert evaluate(learner.agents, [games.make(game)], 1, seed=0) == [value]


def uniform_function(folder, field, n):
    path = folder / "uniform.py"
    path.write_text(
        "import torch\n\n\ndef weights(state):\n"
        f"    return torch.full((len(state[{field!r}]), {n}), 1 / {n})\n"
    )
    rank = {"table": 1, "players": 2}[field]
    pin(path, written_by="the test", reads={field: [None] * rank})
    return f"qllm:{path}"


@pytest.mark.parametrize(
    ("game", "field", "n"), [("two-step", "table", 2), ("Foraging-5x5-3p-1f-coop-v3", "players", 3)]
)
def test_uniform_weights_train_bit_for_bit_as_vdn(tmp_path, game, field, n):
    if n == 3:
        pytest.importorskip("lbforaging")
    config = Config(steps=12, batch=8, updates=2, hidden=16)
    vdn, told = trained(game, config)
    twin, retold = trained(game, dataclasses.replace(config, mixer=uniform_function(tmp_path, field, n)))
    assert told == retold
    for a, b in zip(vdn.agents.parameters(), twin.agents.parameters(), strict=True):
        assert torch.equal(a, b)


def test_uneven_weights_train_otherwise_than_vdn():
    _, told = trained("two-step", Config(steps=5, batch=8))
    _, retold = trained("two-step", Config(steps=5, batch=8, mixer="qllm:two_step"))
    assert told != retold


def test_every_mixer_starts_from_the_same_agents():
    layout = games.make("two-step").layout
    first, *others = (
        Learner(Config(mixer=mixer), layout).agents.state_dict()
        for mixer in ("vdn", "qmix", "learned", "qllm:two_step", "shifted:two_step", "fixed")
    )
    for other in others:
        assert all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("mixer", ["vdn", "qmix", "learned", "qllm:two_step"])
def test_the_team_value_never_falls_with_an_agents_value(mixer):
    mix = mixers.make_mixer(mixer, games.make("two-step").layout)
    with torch.no_grad():
        for weight in mix.parameters():
            weight.normal_(generator=torch.Generator().manual_seed(0))
    q = torch.randn(200, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    mix(q, torch.eye(3)[torch.arange(200) % 3]).sum().backward()
    assert q.grad.min() > 0 if mixer != "qmix" else q.grad.min() >= 0
    assert q.grad.abs().max() > 0


def test_targets_worked_by_hand():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 0.0]])
    values = torch.tensor([[9.0, 10.0, 20.0, 30.0], [9.0, 10.0, 20.0, 99.0]])
    terminated = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])  # the second was cut short after two turns
    one_step = td_targets(rewards, values, terminated, mask, 0.5, 0.0)
    assert torch.equal(one_step[0], torch.tensor([6.0, 12.0, 4.0]))  # nothing follows the end
    assert torch.equal(one_step[1, :2], torch.tensor([6.0, 12.0]))  # V of the last view does
    returns = td_targets(rewards, values, terminated, mask, 0.5, 1.0)
    assert torch.equal(returns[0], torch.tensor([3.0, 4.0, 4.0]))
    assert torch.equal(returns[1, :2], torch.tensor([7.0, 12.0]))
    between = td_targets(rewards, values, terminated, mask, 0.5, 0.5)
    assert torch.equal(between[0], torch.tensor([1 + 0.5 * (5 + 4), 2 + 0.5 * (10 + 2), 4.0]))


def random_episode(rng, turns, ended):
    return Episode(
        rng.normal(size=(turns + 1, 2, 3)).astype(np.float32),
        rng.normal(size=(turns + 1, 3)).astype(np.float32),
        rng.integers(2, size=(turns, 2)),
        rng.normal(size=turns).astype(np.float32),
        np.array([0.0] * (turns - 1) + [float(ended)], np.float32),
    )


def test_the_padded_loss_is_double_q_learning_done_turn_by_turn():
    rng, config = np.random.default_rng(0), Config(mixer="qmix", gamma=0.9, reward_scale=2.0, hidden=8)
    learner = Learner(config, games.make("two-step").layout)
    for weight in learner.target_agents.parameters():
        weight.data += 0.3  # or the choice of the agents and of the targets would be the same
    episodes = [random_episode(rng, 4, True), random_episode(rng, 2, False), random_episode(rng, 1, True)]
    errors, differ = [], False
    for e in episodes:
        one = pad([e])
        last = torch.cat([torch.full((1, 1, 2), -1), one.actions], 1)
        q, _ = learner.agents(one.obs, last)
        q_target, _ = learner.target_agents(one.obs, last)
        differ |= bool((q.argmax(-1) != q_target.argmax(-1)).any())
        for t in range(len(e.rewards)):
            chosen = torch.stack([q[0, t, i, e.actions[t, i]] for i in range(2)])
            best = torch.stack([q_target[0, t + 1, i, q[0, t + 1, i].argmax()] for i in range(2)])
            y = 2.0 * e.rewards[t] + 0.9 * (1 - e.terminated[t]) * learner.target_mixer(
                best, one.state[0, t + 1]
            )
            errors.append((learner.mixer(chosen, one.state[0, t]) - y).item() ** 2)
    assert differ
    loss, _ = td_loss(config, learner, pad(episodes))
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize("mixer", ["vdn", "qmix", "learned", "qllm:two_step"])
def test_the_state_that_padding_repeats_changes_neither_loss_nor_gradient(mixer):
    rng, config = np.random.default_rng(0), Config(mixer=mixer, td_lambda=0.7, hidden=8)
    batch = pad([random_episode(rng, 4, True), random_episode(rng, 2, False), random_episode(rng, 1, True)])
    assert torch.equal(batch.state[2, 1:], batch.state[2, 1].expand(4, -1))
    assert batch.state[2, 1].abs().sum() > 0
    zeros = batch.state.clone()
    zeros[1, 3:] = zeros[2, 2:] = 0
    found = []
    for states in (batch.state, zeros):
        learner = Learner(config, games.make("two-step").layout)
        loss, _ = td_loss(config, learner, batch._replace(state=states))
        loss.backward()
        found.append([loss, *(weight.grad for weight in learner.weights)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_whole_episode_in_one_pass_equals_turn_by_turn():
    agents = Learner(Config(), games.make("two-step").layout).agents
    obs, last = torch.randn(3, 5, 2, 3), torch.randint(-1, 2, (3, 5, 2))
    whole, _ = agents(obs, last)
    memory, steps = None, []
    for t in range(5):
        q, memory = agents(obs[:, t : t + 1], last[:, t : t + 1], memory)
        steps.append(q)
    assert torch.allclose(whole, torch.cat(steps, 1), atol=1e-6)


def test_an_agent_acts_on_its_own_history_alone():
    agents = Learner(Config(), games.make("two-step").layout).agents
    obs, last = torch.randn(2, 4, 2, 3), torch.randint(-1, 2, (2, 4, 2))
    before, _ = agents(obs, last)
    obs[:, :, 1], last[:, :, 1] = torch.randn(2, 4, 3), 0
    after, _ = agents(obs, last)
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    assert not torch.equal(before[:, :, 1], after[:, :, 1])


def test_a_run_is_a_function_of_its_seed():
    config = Config(steps=6, batch=8, mixer="qmix", hidden=16)
    assert trained("two-step", config)[1] == trained("two-step", config)[1]
    assert trained("two-step", config)[1] != trained("two-step", dataclasses.replace(config, seed=1))[1]


@pytest.mark.parametrize("stop", [3, 4])
def test_a_saved_learner_goes_on_bit_for_bit(stop):
    config = Config(steps=9, batch=8, updates=2, mixer="qmix", hidden=16, capacity=40)
    _, whole = trained("two-step", config)
    played = [games.make("two-step") for _ in range(8)]
    learner = Learner(config, played[0].layout)
    first = list(itertools.islice(train(config, played, learner), stop))
    file = io.BytesIO()
    torch.save(learner.state_dict(), file)
    file.seek(0)
    again = Learner(dataclasses.replace(config, seed=99), played[0].layout)
    again.load_state_dict(torch.load(file, weights_only=True))
    assert first + list(train(config, played, again)) == whole


def test_a_loss_that_is_not_finite_raises_before_any_weight_changes():
    config, game = Config(steps=1, batch=4, reward_scale=float("nan")), games.make("climbing")
    learner = Learner(config, game.layout)
    before = [weight.clone() for weight in learner.weights]
    with pytest.raises(FloatingPointError, match="vdn, step 0: the loss is nan"):
        list(train(config, [game], learner))
    assert all(torch.equal(a, b) for a, b in zip(before, learner.weights, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch": 9, "capacity": 8},
        *({name: 0} for name in ("updates", "epsilon_turns", "hidden", "lr", "max_grad_norm", "tau")),
        *({name: -1} for name in ("eval_every", "save_every", "lr")),
        *({name: 1.5} for name in ("gamma", "td_lambda", "tau", "epsilon_start", "epsilon_end")),
        *({name: float("nan")} for name in ("gamma", "lr")),
    ],
)
def test_settings_that_could_never_train_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}.* must be"):
        Config(**wrong)


def test_an_unknown_mixer_is_named():
    layout = games.make("climbing").layout
    for name in ("qplex", "qllm", "qllm:", "vdn:two_step"):
        with pytest.raises(ValueError, match="mixer must be one of"):
            mixers.make_mixer(name, layout)


def test_shifted_weights_are_the_neighbours_and_fixed_ones_those_of_the_seed():
    layout = games.make("two-step").layout
    q, first = torch.tensor([[10.0, 1.0]]), torch.eye(3)[:1]
    assert mixers.make_mixer("qllm:two_step", layout)(q, first).item() == pytest.approx(2 * (7 + 0.3))
    assert mixers.make_mixer("shifted:two_step", layout)(q, first).item() == pytest.approx(2 * (3 + 0.7))
    drawn = [Learner(Config(mixer="fixed", seed=seed), layout).mixer.w for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    for w in drawn:
        assert w.sum().item() == pytest.approx(1.0)
        assert w.min() >= 0.25


def test_replay_forgets_the_oldest_and_draws_without_repeating():
    rng, replay = np.random.default_rng(0), Experience(3)
    for turns in (1, 2, 3, 4, 5):
        replay.add(random_episode(rng, turns, True))
    assert sorted(len(e.rewards) for e in replay.episodes) == [3, 4, 5]
    assert sorted(replay.sample(3, rng).mask.sum(1).tolist()) == [3, 4, 5]
    newest = [e for e in replay.episodes if len(e.rewards) >= 4]
    assert mixing.recent_return(replay, 2) == pytest.approx(np.mean([e.rewards.sum() for e in newest]))


def test_epsilon_falls_in_a_straight_line_and_stays():
    config = Config(epsilon_start=1.0, epsilon_end=0.2, epsilon_turns=100)
    assert [mixing.epsilon(config, t) for t in (0, 50, 100, 900)] == pytest.approx([1.0, 0.6, 0.2, 0.2])


def test_targets_follow_by_the_share_tau():
    slow, fast = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        slow.weight.fill_(1.0)
        fast.weight.fill_(2.0)
        mixing.follow(slow, fast, 0.25)
    assert slow.weight.item() == 1.25


def test_strbuild_with_texts_to_pick_from_is_learned(training_seed):
    config = dataclasses.replace(
        SMALL, steps=200, batch=32, gamma=0.5, epsilon_turns=3000, seed=training_seed
    )
    learner, _ = trained("StrBuild-v0", config)
    untrained = Learner(config, games.make("StrBuild-v0").layout)
    before, after = (
        np.mean(evaluate(each.agents, [games.make("StrBuild-v0")], 16, seed=0))
        for each in (untrained, learner)
    )
    assert before < 5 < 6.5 < after <= 8  # four turns of at most 2


@pytest.mark.slow
@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
@pytest.mark.parametrize(
    ("name", "least"), [("StrBuild-v0", 5.0), ("HouseBuild-v0", 2.9)]
)  # by chance: 3.5, 2.6
def test_texts_to_pick_from_are_learned_by_sums_and_by_qmix(name, least, mixer, training_seed):
    config = Config(
        steps=240, updates=4, lr=1e-3, td_lambda=0.7, epsilon_turns=6000, mixer=mixer, seed=training_seed
    )
    learner, _ = trained(name, config, games_at_once=16)
    earned = evaluate(learner.agents, [games.make(name) for _ in range(16)], 64, seed=0)
    assert np.mean(earned) > least


def test_the_study_gives_every_mixer_the_same_settings():
    pytest.importorskip("matplotlib")
    study = runpy.run_path(str(ROOT / "studies" / "mixing.py"))
    for game in study["GAMES"]:
        named = study["mixers_of"](game)
        configs = [study["settings"](game, mixer, 0) for mixer in named]
        assert len({config.mixer for config in configs}) == len(named) >= 3
        assert len({dataclasses.replace(config, mixer="") for config in configs}) == 1
