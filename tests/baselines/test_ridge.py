"""The ridge critic: what it knows of states, what a turn is without an agent, and that nothing is biased."""

from itertools import product

import pytest
import torch
from tabular import SGD, Tabular, gradient
from toy_games import BRANCH_B, additive_bandit, every_step_game, matrix_game, two_step_game

from baselines.play.episode import episodes
from baselines.play.rollout import play
from baselines.ridge import Config, Ridged, measured, train, values, without


def tabular(task, scripts=None, lr=0.0):
    policies = {agent: Tabular(agent, task.words, script=(scripts or {}).get(agent)) for agent in task.agents}
    for policy in policies.values():
        policy.optimizer = SGD(policy.parameters(), lr)
    return Ridged(policies)


def everything(task):
    """A team that writes every sequence of joint words once, and how many there are."""
    joint = list(product(range(len(task.words)), repeat=task.n))
    plays = list(product(joint, repeat=task.max_turns))
    scripts = {
        agent: [[words[t][k] for words in plays] for t in range(task.max_turns)]
        for k, agent in enumerate(task.agents)
    }
    return tabular(task, scripts), len(plays)


def after_steps(task, steps, **settings):
    team, n = everything(task)
    list(train(Config(steps=steps, episodes=n, **settings), task, team))
    return team, n


def enumerated(gradient, n):
    """What a left-out mean makes of it where every play stands once: the others' mean is lower by a share."""
    return gradient * n / (n - 1)


def rolled_out(task, team, n):
    nodes = play(task, [(task.rows[0], 0)] * n, team.policies, "seed")
    return episodes(nodes), measured(episodes(nodes))


@pytest.mark.parametrize("counterfactual", [True, False])
def test_one_turn_has_the_true_gradient_whatever_is_subtracted(counterfactual):
    """2B of the two-step game: 0.5 * 0.5 * (4.5 - 0.5) = 1."""
    team, n = after_steps(matrix_game(BRANCH_B), 4, counterfactual=counterfactual)
    for policy in team.policies.values():
        assert gradient(policy, "choose")[1] == pytest.approx(enumerated(1.0, n), abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0])
def test_what_the_others_did_depends_on_nothing_that_the_agent_writes_in_the_turn(gamma):
    """For equal pasts and equal words of the others c_i is a single number: times the score it is 0."""
    task = every_step_game(2)
    team, n = after_steps(task, 3, gamma=gamma)
    paths, before = rolled_out(task, team, n)
    for agent in task.agents:
        c, numbers = without(agent, Config(gamma=gamma), task, team, paths, before), {}
        for e, path in enumerate(paths):
            for t, node in enumerate(path):
                others = tuple(m.text for a, m in node.moves.items() if a != agent)
                past = tuple(move.text for earlier in path[:t] for move in earlier.moves.values())
                numbers.setdefault((t, past, others), set()).add(float(c[e, t]))
        assert len(numbers) == 2 + 4 * 2
        assert all(len(values) == 1 for values in numbers.values())


def test_alternatives_stand_for_the_agents_text_by_what_they_earn_and_what_follows_is_worth():
    task = every_step_game(2)
    team, _ = after_steps(task, 3)
    policies = tabular(task).policies  # which draw, where those of `everything` follow a script
    config = Config(counterfactual=True, alternatives=3, gamma=0.5)
    nodes = play(task, [(task.rows[0], 0)] * 8, policies, "seed", alternatives=config.alternatives)
    paths = episodes(nodes)
    before = measured(paths)
    for agent in task.agents:
        c = without(agent, config, task, team, paths, before)
        for e, path in enumerate(paths):
            for t, node in enumerate(path):
                worth = []
                for other in node.alternatives[agent]:
                    words = {a: move.text for a, move in node.moves.items()} | {agent: other.text}
                    score = task.score(task.play(node.before, words))
                    later = 0.0 if t == 1 else float(team.V(1, [{**before[id(node)], **score.metrics}])[0])
                    worth.append(score.reward + 0.5 * later)
                assert len(worth) == 3
                assert float(c[e, t]) == pytest.approx(sum(worth) / 3, abs=1e-9)
    assert len({float(x) for x in c[:, 0]}) > 1


def test_a_word_that_earns_what_the_agents_other_words_do_is_not_pushed():
    """With alternatives a dummy's c is what the turn came to, so nothing is left of it, in every episode."""
    task = additive_bandit(3)
    team = tabular(task)
    list(train(Config(steps=1, episodes=32, counterfactual=True, alternatives=4), task, team))
    dummy, worker = (gradient(team.policies[agent], "choose") for agent in ("agent_2", "agent_0"))
    assert max(map(abs, dummy)) < 1e-6
    assert max(map(abs, worker)) > 0.01


def test_a_dummy_is_not_pushed_and_a_worker_as_its_own_word_earns():
    task = additive_bandit(4)
    team, n = after_steps(task, 3, counterfactual=True)
    dummy, worker = gradient(team.policies["agent_3"], "choose"), gradient(team.policies["agent_0"], "choose")
    assert max(map(abs, dummy)) < 1e-6
    assert worker[1] == pytest.approx(enumerated(0.25, n), abs=1e-6)


def test_values_tell_states_apart_by_what_the_task_measures():
    """`pay` of the first turn says whether it was right; the second is right in a quarter of the plays."""
    task = every_step_game(2)
    team, n = after_steps(task, 400)
    paths, before = rolled_out(task, team, n)
    V = values(team, paths, before)
    assert V[:, 0].tolist() == pytest.approx([0.5] * n, abs=1e-6)
    assert V[:, 1].tolist() == pytest.approx([0.25] * n, abs=1e-6)
    assert team.names == ["pay"]


def test_monte_carlo_credits_the_first_turn_of_the_two_step_game():
    team, n = after_steps(two_step_game(), 40, lam=1.0, counterfactual=False)
    first = gradient(team.policies["agent_0"], "first")[1]
    assert first == pytest.approx(enumerated(-1.125, n), abs=1e-4)


def test_a_teams_regressions_are_in_its_checkpoint():
    task = every_step_game(2)
    team, n = after_steps(task, 3)
    paths, before = rolled_out(task, team, n)
    team.policies, again = {}, Ridged({})  # tables have no checkpoint
    again.load_state_dict(team.state_dict())
    assert torch.equal(values(team, paths, before), values(again, paths, before))
    assert values(again, paths, before).abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"memory": 1.0}, "memory must be"),
        ({"credit": "shapley"}, "leave credit"),
        ({"alternatives": 2}, "without counterfactual=True"),
        ({"alternatives": -1, "counterfactual": True}, "at least 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        Config(**settings)
