"""Where the trainers end on the two-step and the one-turn games, over many seeds and long runs.

Assertions name the equilibrium and its basin, not the global optimum: independent policies that climb from
uniform do not find 11 in the climbing game, and one that did would have seen the other agent's words.
"""

import many_seeds
import pytest
import torch
from many_seeds import TwoStep, one_turn
from tabular import TabularCritic, tabular_team
from toy_games import CLIMBING, penalty, two_step_game

from baselines import maac, magrpo, reinforce

CC = {"critic_lr": 0.1}
MONTE_CARLO = {"critic_lr": 0.1, "lam": 1.0}


def two_steps(seeds, steps, first, first_seed, tree=False, **settings):
    game = TwoStep(seeds, first, first_seed)
    for _ in range(steps):
        (game.tree_step if tree else game.chain_step)(0.1, **settings)
    return game


@pytest.mark.parametrize(
    ("settings", "share"), [(CC, 0.98), (MONTE_CARLO, 0.9), ({}, 0.8), ({"tree": True}, 0.95)]
)
def test_the_better_branch_is_found_from_a_head_start(settings, share, training_seed):
    game = two_steps(200, 2000, 1.0, training_seed, **settings)
    assert float(game.better_branch().double().mean()) >= share


def test_dividing_by_the_deviation_locks_into_the_worse_branch_even_from_a_head_start(training_seed):
    # with groups of four 2 runs in 1000 find the better branch by luck; of 3000 with groups of eight none did
    game = two_steps(50, 800, 1.0, training_seed, tree=True, std=True, group=8)
    assert not game.better_branch().any()
    assert float(game.expected_return().mean()) == pytest.approx(7.0, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "share"), [(CC, 0.99), (MONTE_CARLO, 0.95), ({}, 0.85), ({"tree": True}, 0.95)]
)
def test_the_better_branch_is_found_from_uniform_in_20_000_steps(settings, share, training_seed):
    game = two_steps(200, 20_000, 0.0, training_seed, **settings)
    assert float(game.better_branch().double().mean()) >= share
    if settings is CC:
        assert game.expected_return().mean().item() == pytest.approx(8.0, abs=0.02)
        assert game.values.mean(0).tolist() == pytest.approx([8.0, 7.0, 8.0], abs=0.02)


@pytest.mark.slow
def test_dividing_by_the_deviation_locks_into_the_worse_branch_in_20_000_steps(training_seed):
    game = two_steps(200, 20_000, 0.0, training_seed, tree=True, std=True)
    assert float(game.better_branch().double().mean()) <= 0.005
    assert float(game.expected_return().mean()) == pytest.approx(7.0, abs=0.01)


@pytest.mark.parametrize("baseline", ["none", "mean", "leave-one-out"])
def test_climbing_ends_at_6_or_7_and_never_at_11(baseline, training_seed):
    # with small groups 3 runs in 1000 are still on their way, at 5
    cells, values = outcome(CLIMBING, training_seed, baseline=baseline, lr=0.1, group=64, steps=1000)
    assert set(cells) <= {(1, 2), (1, 1)}
    assert 5.9 < values.min() < values.max() < 7.01


@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_a_fine_of_100_leaves_2(baseline, training_seed):
    cells, values = outcome(penalty(-100), training_seed, baseline=baseline, lr=0.02)
    assert set(cells) == {(1, 1)}
    assert values.mean().item() == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_without_a_fine_either_corner_pays_10(baseline, training_seed):
    cells, values = outcome(penalty(0), training_seed, baseline=baseline, lr=0.1)
    assert set(cells) == {(0, 0), (2, 2)}
    assert 30 <= cells[0, 0] <= 70
    assert values.mean().item() == pytest.approx(10.0, abs=0.05)


def outcome(payoff, first_seed, *, seeds=100, steps=2000, **settings):
    """How many seeds end in which cell, and what each earns."""
    P = torch.tensor(payoff, dtype=torch.float64)
    row, column = one_turn(P, steps=steps, seeds=seeds, first_seed=first_seed, **settings)
    cells = {}
    for cell in zip(row.argmax(-1).tolist(), column.argmax(-1).tolist(), strict=True):
        cells[cell] = cells.get(cell, 0) + 1
    return cells, torch.einsum("sr,rc,sc->s", row, P, column)


@pytest.mark.parametrize("name", ["reinforce", "maac", "magrpo", "magrpo with deviation"])
def test_a_step_of_many_seeds_is_a_step_of_the_trainers(name, monkeypatch):
    drawn = []
    draw = many_seeds.draw
    monkeypatch.setattr(many_seeds, "draw", lambda *args: drawn.append(draw(*args)) or drawn[-1])
    game, task = TwoStep(1), two_step_game()
    critics = {"central": TabularCritic()} if name == "maac" else {}
    if name.startswith("magrpo"):
        game.tree_step(0.1, group=4, std="deviation" in name)
        config = magrpo.Config(steps=1, episodes=16, group=4, divide_by_std="deviation" in name)
        algorithm = magrpo
    elif name == "maac":
        game.chain_step(0.1, critic_lr=0.1, lam=0.5)
        algorithm, config = maac, maac.Config(steps=1, episodes=16, gamma=1.0, lam=0.5)
    else:
        game.chain_step(0.1)
        algorithm, config = reinforce, reinforce.Config(steps=1, episodes=16, group=1)
    branch, row, column = (words.tolist() for tables in drawn for words in tables.flatten(0, -2))
    scripts = {"agent_0": [branch, row], "agent_1": [[0] * len(branch), column]}
    team = tabular_team(task, lr=0.1, critics=critics, scripts=scripts)
    next(algorithm.train(config, task, team))
    for agent, context, table in (
        ("agent_0", "first", game.first),
        ("agent_0", "branch B", game.later[0]),
        ("agent_1", "branch B", game.later[1]),
    ):
        policy = team.policies[agent]
        real = policy.table[policy.rows[context,]].tolist()
        assert real == pytest.approx(table[0].tolist(), abs=1e-6)
        assert max(map(abs, real)) > 1e-3
