"""How credit enters the trainers: known numbers, no bias, and nothing where it is shared."""

import json
import math
from dataclasses import replace
from itertools import product

import folders
import pytest
import torch
from credit_games import ALGORITHMS, fractions_game, scripted_team, taught
from tabular import TabularCritic, gradient, tabular_team
from toy_games import BRANCH_B, Answer, additive_bandit, matrix_game

from baselines import maac, magrpo, reinforce
from baselines.credit.learned import Learned
from baselines.credit.pinned import FLOOR
from baselines.credit.rules import RULES, Credit, make, mixed, weighted, written
from baselines.credit.written import Written
from baselines.formulas.advantages import left_out_residual
from baselines.lm.history import Move
from baselines.lm.learning import Lesson
from baselines.play.replays import Replays
from baselines.play.rollout import play
from baselines.runs import run, texts
from baselines.train.settings import Settings

GOLDEN = json.loads((folders.GOLDEN / "credit_shared.json").read_text())
UNIFORM = Credit(lambda replays, nodes: weighted(torch.full((len(nodes), 2), 0.5, dtype=torch.float64)))


# nothing changes where the reward is shared


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_shared_reward_teaches_what_it_taught_before_there_was_credit(name, monkeypatch):
    task = fractions_game()
    learned = taught(name, monkeypatch, task, scripted_team(name, task), credit="shared")
    for agent, rows in GOLDEN[name].items():
        assert [(word, weight) for word, _, weight in rows] == [(w, v) for w, _, v in learned[agent]]
        assert [a for _, a, _ in learned[agent]] == pytest.approx([a for _, a, _ in rows], abs=1e-12)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_uniform_weights_are_the_shared_reward_bit_by_bit(name, monkeypatch):
    task = fractions_game()
    plain, team = scripted_team(name, task), scripted_team(name, task)
    team.credit = UNIFORM
    assert taught(name, monkeypatch, task, team) == taught(name, monkeypatch, task, plain)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_weights_keep_the_direction_and_set_the_size(name, monkeypatch):
    task = fractions_game()
    plain, team = scripted_team(name, task), scripted_team(name, task)
    w = torch.tensor([0.9, 0.1], dtype=torch.float64)
    team.credit = Credit(lambda replays, nodes: weighted(w.expand(len(nodes), 2)))
    base, learned = taught(name, monkeypatch, task, plain), taught(name, monkeypatch, task, team)
    for agent, size in (("agent_0", 1.8), ("agent_1", 0.2)):
        assert [a for _, a, _ in learned[agent]] == pytest.approx([size * a for _, a, _ in base[agent]])


# the additive bandit: agent_0's gradient is 1/4 for every n, and its variance


@pytest.mark.parametrize("n", [2, 4, 6])
@pytest.mark.parametrize("name", ["shared", "difference", "shapley", "counterfactual"])
def test_the_variance_of_the_gradient_does_not_grow_with_the_team_where_credit_is_given(name, n):
    raw = ((n - 1) + (n - 1) ** 2 - 1) / 16
    wanted = {"shared": raw, "difference": 0.0625, "shapley": 0.0625, "counterfactual": 0.0}[name]
    assert moments(name, n) == pytest.approx((0.25, wanted), abs=1e-12)


@pytest.mark.parametrize("name", ["difference", "shapley", "counterfactual"])
def test_a_dummys_advantages_are_exactly_zero(name):
    assert moments(name, 4, "agent_3") == (0.0, 0.0)


def moments(name, n, agent="agent_0"):
    """Mean and variance of A d log pi / d logit(1) over all joint words, by MA-REINFORCE, no baseline."""
    task = additive_bandit(n)
    nodes = everything(task)
    shares = Credit(RULES.get(name)).divide(task, nodes)
    lessons = {a: Lesson() for a in task.agents}
    for node in nodes:
        reinforce.collect([[node]], reinforce.Config(group=1), shares, lessons, 1 / len(nodes))
    lesson = lessons[agent]
    push = torch.tensor([move.ids[0] - 0.5 for move in lesson.moves], dtype=torch.float64)
    samples = torch.tensor(lesson.advantages, dtype=torch.float64) * push
    return float(samples.mean()), float(samples.var(correction=0))


def everything(task):
    """A node for every joint word, once; alternatives are all the words of a uniform policy."""
    joint = list(product(range(len(task.words)), repeat=task.n))
    scripts = {agent: [[words[k] for words in joint]] for k, agent in enumerate(task.agents)}
    nodes = play(task, [(task.rows[0], 0)] * len(joint), tabular_team(task, scripts=scripts).policies, "s")
    for node in nodes:
        node.alternatives.update(all_words(task))
    return nodes


def all_words(task):
    return {agent: [Move(None, [], text=word) for word in task.words] for agent in task.agents}


@pytest.mark.parametrize("n", [2, 8])
def test_sampled_alternatives_leave_a_variance_that_is_the_same_for_every_team(n):
    """A mean of four words has variance 1/16, and the push is 1/2 either way: 1/64."""
    lesson = one_step(additive_bandit(n), "counterfactual", episodes=800, credit_samples=4)
    push = torch.tensor([move.ids[0] - 0.5 for move in lesson.moves])
    samples = torch.tensor(lesson.advantages) * push
    assert float(samples.mean()) == pytest.approx(0.25, abs=3 * (1 / 64 / 800) ** 0.5)
    assert float(samples.var()) == pytest.approx(1 / 64, rel=0.2)


def one_step(task, name, **settings):
    """What agent_0 learns in one step of MA-REINFORCE."""
    team, seen = tabular_team(task), {}
    config = reinforce.Config(steps=1, group=1, credit=name, **settings)
    team.credit = make(config.credit, config.credit_samples, task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(team, "learn", lambda lessons, config: seen.update(lessons) or {})
        next(reinforce.train(config, task, team))
    return seen["agent_0"]


# no bias: the expected gradient is that of the team's reward


def erratic(ctx, feat, me):
    """No sensible baseline: any number that the others' texts make."""
    return 5 * math.sin(7 * sum((j + 1) * x for j, x in enumerate(feat["reward"])) + me)


ERRATIC = Credit(written(Written("erratic", "baseline", erratic)))


@pytest.mark.parametrize("credit", [Credit(RULES["difference"]), Credit(RULES["counterfactual"]), ERRATIC])
def test_a_baseline_that_is_blind_to_the_own_text_leaves_the_expected_gradient_as_it_is(credit):
    gradients = []
    for given in (Credit(), credit):
        task = two_turns()
        team, n = enumerating(task)
        team.credit = with_all_words(given, task)
        config = reinforce.Config(steps=1, episodes=n, group=1, gamma=0.5)
        next(reinforce.train(config, task, team))
        gradients.append(torch.cat([policy.newest for policy in team.policies.values()]))
    assert gradients[0].abs().max() > 0.01
    assert torch.allclose(gradients[1], gradients[0], rtol=0, atol=1e-6)


def two_turns():
    """A game whose second turn is told what was said in the first."""
    return replace(fractions_game(), say=lambda state, k: f"{state.said}", words=("0", "1"))


def enumerating(task):
    """A uniform team that plays all its episodes once, and how many there are."""
    joint = list(product(product(range(len(task.words)), repeat=task.n), repeat=task.max_turns))
    scripts = {
        agent: [[words[t][k] for words in joint] for t in range(task.max_turns)]
        for k, agent in enumerate(task.agents)
    }
    return tabular_team(task, scripts=scripts), len(joint)


def with_all_words(credit, task):
    """The same credit; a text's alternatives are all words."""

    def rule(replays, nodes):
        for node in nodes:
            node.alternatives.update(all_words(task))
        return credit.rule(replays, nodes)

    return Credit(rule) if credit.rule else credit


@pytest.mark.parametrize("algorithm", ["magrpo", "reinforce", "maac", "maac, decentral"])
def test_random_baselines_are_unbiased_within_the_noise_of_every_trainer(algorithm):
    """Group means shrink the gradient by 1 - 1/G; steps of 16 episodes."""
    task = additive_bandit(3)
    factor = 0.75 if algorithm == "magrpo" else 1.0
    pushes = torch.tensor([mean_push(algorithm, task, step) for step in range(80)], dtype=torch.float64)
    error = float(pushes.std()) / len(pushes) ** 0.5
    assert float(pushes.mean()) == pytest.approx(0.25 * factor, abs=3 * error)
    assert error < 0.1


def mean_push(algorithm, task, seed):
    """agent_0's gradient of one step with uniform policies and the erratic baseline."""
    config = {
        "magrpo": magrpo.Config(steps=1, episodes=16, group=4, seed=seed),
        "reinforce": reinforce.Config(steps=1, episodes=16, group=4, baseline="leave-one-out", seed=seed),
        "maac": maac.Config(steps=1, episodes=16, seed=seed),
        "maac, decentral": maac.Config(steps=1, episodes=16, seed=seed, critic="decentral"),
    }[algorithm]
    critics = {}
    if isinstance(config, maac.Config):
        names = ["central"] if config.critic == "central" else task.agents
        critics = {name: TabularCritic() for name in names}
        for critic in critics.values():
            critic.table.data += torch.randn(256, generator=torch.Generator().manual_seed(seed))
    team = tabular_team(task, critics=critics)
    team.credit = ERRATIC
    module = {"magrpo": magrpo, "reinforce": reinforce}.get(algorithm, maac)
    next(module.train(config, task, team))
    return gradient(team.policies["agent_0"], "choose")[1]


def test_an_own_action_in_the_baseline_would_be_seen():
    task = additive_bandit(3)
    nodes = everything(task)

    def leaky(replays, nodes):
        own = torch.tensor([[float(m.text) for m in node.moves.values()] for node in nodes]).double()
        return -own, torch.ones_like(own)

    shares, lesson = Credit(leaky).divide(task, nodes), Lesson()
    for node in nodes:
        reinforce.collect([[node]], reinforce.Config(group=1), shares, {"agent_0": lesson}, 1.0)
    push = [move.ids[0] - 0.5 for move in lesson.moves]
    mean = sum(a * p for a, p in zip(lesson.advantages, push, strict=True)) / len(push)
    assert mean == pytest.approx(0.0)  # where 0.25 is right


def test_magrpos_gradient_with_the_difference_reward_is_that_with_the_teams():
    gradients = []
    for name in ("shared", "difference"):
        task = matrix_game(BRANCH_B)
        joint = list(product(product(range(2), repeat=2), repeat=2))
        scripts = {a: [[words[k] for pair in joint for words in pair]] for k, a in enumerate(task.agents)}
        team = tabular_team(task, scripts=scripts)
        config = magrpo.Config(steps=1, episodes=2 * len(joint), group=2, credit=name)
        team.credit = make(config.credit, config.credit_samples, task)
        next(magrpo.train(config, task, team))
        gradients.append([gradient(policy, "choose") for policy in team.policies.values()])
    assert gradients[0] == [pytest.approx(row, abs=1e-6) for row in gradients[1]]
    assert gradients[0][0] == pytest.approx([-0.5, 0.5], abs=1e-6)


def test_shapley_pulls_less_than_the_team_where_texts_need_each_other():
    task = matrix_game(((0, 0), (0, 1)))
    nodes = everything(task)
    shares, lessons = Credit(RULES["shapley"]).divide(task, nodes), {a: Lesson() for a in task.agents}
    for node in nodes:
        reinforce.collect([[node]], reinforce.Config(group=1), shares, lessons, 1.0)
    assert lessons["agent_0"].advantages == [0.0, 0.0, 0.0, 0.5]


# the pieces


def test_only_the_own_turns_reward_is_divided():
    task = fractions_game()
    scripts = {"agent_0": [[2], [1]], "agent_1": [[1], [2]]}
    team = tabular_team(task, scripts=scripts)
    (node,) = play(task, [(task.rows[0], 0)], team.policies, "s")
    shares, lessons = Credit(RULES["difference"]).divide(task, [node]), {a: Lesson() for a in task.agents}
    reinforce.collect([node.children[0].path()], reinforce.Config(group=1), shares, lessons, 1.0)
    # turn 1 earns 6/8 and without each agent 2/8; turn 2 earns 9/8, and 4/8 and 1/8
    assert lessons["agent_0"].advantages == [4 / 8 + 9 / 8, 5 / 8]
    assert lessons["agent_1"].advantages == [4 / 8 + 9 / 8, 8 / 8]
    assert shares.metrics == {"credit_replays": 2.0}


def test_mix_is_the_weighted_mean_of_the_teams_and_the_own_advantage():
    c = torch.tensor([[4.0, -2.0]], dtype=torch.float64)
    p, m = mixed(c, 0.25)
    A, centre = 3.0, 1.0
    assert (m * (A + p - 0.25 / 0.75 * centre)).tolist()[0] == pytest.approx([3.0, 1.5], abs=1e-12)


@pytest.mark.parametrize("mode", ["baseline", "weights", "mix"])
def test_a_written_function_enters_by_its_mode(mode):
    function = {
        "baseline": lambda ctx, feat, me: ctx["silent"] + sum(feat["reward"]),
        "weights": lambda ctx: [0.75, 0.25],
        "mix": lambda ctx, feat, pair, reward: [reward, pair["reward"][0][1]],
    }[mode]
    task = additive_bandit(2)
    (node,) = [node for node in everything(task) if [m.text for m in node.moves.values()] == ["1", "1"]]
    shares = Credit(written(Written("some", mode, function, 0.5))).divide(task, [node])
    plus, times = {
        "baseline": ([0.0, -1.0], [1.0, 1.0]),  # what the other's word earns alone
        "weights": ([0.0, 0.0], [1.5, 0.5]),
        "mix": ([1.0, 1.0], [0.5, 0.5]),
    }[mode]
    assert shares.plus.tolist() == [plus]
    assert shares.times.tolist() == [times]


def test_the_left_out_residual_is_that_of_a_line_through_the_others():
    dice = torch.Generator().manual_seed(0)
    x, v = (torch.randn(7, dtype=torch.float64, generator=dice) for _ in range(2))
    residual = left_out_residual(x, v)
    penalty = float((v - v.mean()).square().sum()) / 7
    for e in range(7):
        others = [k for k in range(7) if k != e]
        X = torch.stack([torch.ones(6).double(), v[others] - v.mean()], dim=1)
        a, b = torch.linalg.solve(
            X.T @ X + torch.diag(torch.tensor([0.0, penalty], dtype=torch.float64)), X.T @ x[others]
        )
        assert float(residual[e]) == pytest.approx(float(x[e] - a - b * (v[e] - v.mean())), abs=1e-12)


def test_without_a_spread_the_left_out_residual_is_the_distance_to_the_mean_of_the_others():
    x = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64)
    assert left_out_residual(x, torch.zeros(3).double()).tolist() == pytest.approx([-3.0, -1.5, 4.5])
    assert left_out_residual(x[:1], x[:1]).tolist() == [0.0]
    assert left_out_residual(x[:2], x[:2]).tolist() != [0.0, 0.0]


def test_learned_weights_go_to_the_agent_whose_part_carries_the_reward_in_each_kind_of_state(training_seed):
    """The first message's kind says who matters; "silent" tells it apart, as it moves with the kind."""
    task = replace(
        additive_bandit(2),
        pay=lambda state: state.seed + 3 * (state.said[0][state.seed] == "1"),
        reward_range=(0.0, 4.0),
    )
    learned, policies, w = Learned(2), tabular_team(task).policies, torch.zeros(0)
    for step in range(30):  # with 32 episodes a step one seed of 20 is 0.1 off
        nodes = play(task, [(task.rows[0], k % 2) for k in range(128)], policies, f"{training_seed}/{step}")
        w = learned(Replays(task, nodes), nodes)
        if step == 0:
            assert w.tolist() == [[0.5, 0.5]] * 128
    assert w.sum(dim=1).tolist() == pytest.approx([1.0] * 128)
    assert float(w.min()) >= FLOOR / 2
    # who matters has all of the credit where it said 1, half where it did not: 3/4, less the floor
    for k in (0, 1):
        assert float(w[k, k]) == pytest.approx(0.05 + 0.9 * 0.75, abs=0.1)


def test_learned_weights_never_read_the_texts_they_weigh():
    task = fractions_game()
    w = []
    for words in (("0", "2"), ("2", "1")):
        learned = Learned(2)
        with torch.no_grad():
            dice = torch.Generator().manual_seed(0)
            learned.W += torch.randn(learned.W.shape, generator=dice, dtype=torch.float64)
        scripts = {a: [[int(word)], [0]] for a, word in zip(task.agents, words, strict=True)}
        (node,) = play(task, [(task.rows[0], 0)], tabular_team(task, scripts=scripts).policies, "s")
        w.append(learned(Replays(task, [node]), [node]).tolist())
    assert w[0] == w[1] != [[0.5, 0.5]]


# what is refused


@pytest.mark.parametrize("name", ["Shapley", "qllm", "qllm:", "coma", ""])
def test_an_unknown_credit_names_those_there_are(name):
    with pytest.raises(
        ValueError, match=r"shared, difference, shapley, counterfactual, learned, qllm:FILE, got"
    ):
        Settings(credit=name)


def test_samples_of_none_are_refused():
    with pytest.raises(ValueError, match="credit_samples must be at least 1, got 0"):
        Settings(credit_samples=0)


@pytest.mark.parametrize("name", ["difference", "shapley", "counterfactual", "learned", "qllm:str_build"])
def test_one_agent_has_nobody_to_share_with(name):
    with pytest.raises(ValueError, match="divides a reward among agents and there is one"):
        make(name, 4, Answer(num_agents=1))


def test_a_missing_function_names_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"'nowhere'.*str_build"):
        make("qllm:nowhere", 4, Answer())


def test_a_credit_that_cannot_be_is_refused_before_a_model_is_made(monkeypatch):
    monkeypatch.setattr(texts, "with_models", lambda *_: pytest.fail("a model was made"))
    with pytest.raises(FileNotFoundError, match="'nowhere'"):
        run.prepare("magrpo", magrpo.Config(credit="qllm:nowhere"))


def test_shapley_for_too_many_agents_says_how_many_it_can_take():
    with pytest.raises(ValueError, match="at most 10 agents, got 11"):
        make("shapley", 4, additive_bandit(11))


# how near a credit comes to exact Shapley values, logged at a sample of turns


def test_the_agreement_with_shapley_is_whole_where_credit_is_exact_and_less_where_it_is_shared():
    """In the additive bandit of three the last agent earns nothing and is paid all the same."""
    task = additive_bandit(3)
    nodes = everything(task)
    credits = {name: Credit(RULES.get(name), checked=8) for name in ("shared", "difference", "shapley")}
    logged = {
        name: credit.agreement(task, nodes, credit.divide(task, nodes))["credit_agreement"]
        for name, credit in credits.items()
    }
    assert (logged["difference"], logged["shapley"]) == pytest.approx((1.0, 1.0))
    assert 0 < logged["shared"] < 0.9


def test_credit_is_not_checked_where_a_replay_waits_for_a_sandbox_or_nobody_shares():
    assert make("shared", 0, additive_bandit(3), 8).checked == 8
    assert make("shared", 0, additive_bandit(1), 8).checked == 0
    waiting = additive_bandit(3)
    object.__setattr__(waiting, "parallel_play", True)
    assert make("shared", 0, waiting, 8).checked == 0
