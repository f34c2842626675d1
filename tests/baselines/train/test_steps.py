"""What a step of the run is: its warm-up, its value loss, its old log-probabilities, its episodes."""

import pytest
import torch
from lm_fixtures import keeping, learn, save, scores_of, tiny_lm, words_tokenizer, write_talk
from toy_games import Answer, any_text_game

from baselines import cory, maac, magrpo, reinforce
from baselines.lm.learning import Lesson, Optimizer, learning_rate
from baselines.lm.sampling import Sampling
from baselines.train.settings import Settings

TOKENIZER = words_tokenizer([f"w{k}" for k in range(12)])
TASK = any_text_game(turns=2)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models") / "one", "qwen3", words_tokenizer(Answer.vocabulary()))


def settings(model, **changes):
    return {"model": model, "max_new_tokens": 2, "episodes": 4, "lr": 0.01, "device": "cpu", **changes}


def rates(config, algorithm, steps, state=None):
    """The policy's learning rate at the last pass of each of these steps, and the state after them."""
    team = algorithm.team(config, TASK)
    if state:
        team.load_state_dict(state)
    run, out = algorithm.train(config, TASK, team), []
    for _ in range(steps):
        next(run)
        out.append(team.policies["agent_0"].optimizer.adam.param_groups[0]["lr"])
    return out, team.state_dict()


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_warm_up_of_four_steps_is_over_after_four_steps_of_the_run(model, epochs):
    config = reinforce.Config(**settings(model, steps=6, warmup=4, epochs=epochs, clip=0.2))
    found, _ = rates(config, reinforce, 6)
    wanted = [learning_rate(0.01, epochs * k - 1, 6 * epochs, "constant", 4 * epochs) for k in range(1, 7)]
    assert found == pytest.approx(wanted)
    assert found[3] < 0.01 == found[4] == found[5]
    assert found[0] < 0.4 * 0.01


def test_a_warm_up_goes_on_where_a_run_was_stopped(model):
    config = reinforce.Config(**settings(model, steps=6, warmup=4, epochs=2, clip=0.2, schedule="linear"))
    straight, _ = rates(config, reinforce, 6)
    first, state = rates(config, reinforce, 3)
    then, _ = rates(config, reinforce, 3, state)
    assert [*first, *then] == straight


def test_a_critics_warm_up_counts_steps_of_the_run_too(model):
    config = maac.Config(**settings(model, steps=4, warmup=2, critic_epochs=3, critic_lr=0.01))
    team = maac.team(config, TASK)
    found = []
    for _ in maac.train(config, TASK, team):
        found.append(team.critics["central"].optimizer.adam.param_groups[0]["lr"])
    assert found[1] < 0.01 == found[2] == found[3]


def weights_after(model, steps=2, **changes):
    config = maac.Config(**settings(model, steps=steps, critic_lr=0.01, **changes))
    team = maac.team(config, TASK)
    metrics = list(maac.train(config, TASK, team))
    trunk = torch.cat([p.detach().flatten() for p in team.policies["agent_0"].parameters()])
    return trunk, metrics


ON_ACTOR = [
    {"critic_on_actor": True, "critic": "decentral"},
    {"critic_on_actor": True, "shared": True},
    {"critic_on_actor": True, "shared": True, "critic": "decentral"},
    {"critic_on_actor": True, "critic": "decentral", "lora_rank": 2},
    {"critic_on_actor": True, "shared": True, "epochs": 2, "clip": 0.2, "critic_epochs": 3},
]


@pytest.mark.parametrize("kind", ON_ACTOR)
def test_the_weight_of_the_value_loss_acts_where_the_critic_stands_on_the_actor(model, kind):
    little, metrics = weights_after(model, value_coef=0.01, **kind)
    much, _ = weights_after(model, value_coef=100.0, **kind)
    assert (little - much).abs().max() > 3e-3
    assert metrics[-1]["value_loss"] > 0


def test_a_value_loss_on_the_actor_goes_into_the_policys_own_step(model):
    """One optimizer, no other: the gradient is that of the policy's loss plus value_coef times L(V)."""
    team = maac.team(maac.Config(**settings(model, critic_on_actor=True, shared=True)), TASK)
    assert team.critics["central"].optimizer is None
    head = team.critics["central"].head
    taught = team.policies["agent_0"].optimizer.parameters
    assert any(p is head.weight for p in taught)
    assert {id(p) for p in team.policies["agent_0"].parameters()} < {id(p) for p in taught}


@pytest.mark.parametrize("kind", [{}, {"critic": "decentral"}, {"lora_rank": 2}])
@pytest.mark.parametrize("value", [0.1, 60.0])
def test_it_is_refused_where_the_critic_has_weights_of_its_own(model, kind, value):
    with pytest.raises(ValueError, match=f"value_coef={value:g} changes nothing here.*set critic_lr, or"):
        maac.team(maac.Config(**settings(model, value_coef=value, **kind)), TASK)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_a_weight_that_makes_no_sense_is_refused(value):
    with pytest.raises(ValueError, match="value_coef must be above 0"):
        maac.Config(value_coef=value)


def sampled_in_bf16(seed=0):
    """A model that sampled in bfloat16 and is scored in float32, and what it wrote."""
    lm = tiny_lm("qwen3", TOKENIZER, sampling=Sampling(max_new_tokens=24), autocast=torch.bfloat16)
    moves = write_talk(lm, [[f"w{k % 8}" for k in range(4)]], seed)[0]
    lm.autocast = None
    return lm, moves


def lesson(moves):
    return Lesson(moves, [1.0, -1.0, 0.5, -0.5], [1 / len(moves)] * len(moves))


@pytest.mark.parametrize("ratio", ["turn", "token"])
@pytest.mark.parametrize("clip", [None, 0.2])
def test_a_sampler_of_other_arithmetic_leaves_no_mark_on_the_gradient(ratio, clip):
    lm, moves = sampled_in_bf16()
    said = torch.tensor([sum(move.logp) for move in moves])
    gaps = torch.stack([logp.detach().sum() for logp in scores_of(lm, moves)]) - said
    assert gaps.abs().max() > 1e-2  # else the test shows nothing
    still = keeping(Optimizer(lm.parameters(), 0.0, steps=1, max_grad_norm=1e9))
    logged = learn(lm, still, lesson(moves), Settings(ratio=ratio, clip=clip))
    got = torch.cat([p.grad.flatten() for p in lm.parameters()])
    lm.model.zero_grad()
    parts = zip([0.25, -0.25, 0.125, -0.125], scores_of(lm, moves), strict=True)
    sum(-weight * logp.sum() for weight, logp in parts).backward()
    wanted = torch.cat([p.grad.flatten() for p in lm.parameters()])
    assert torch.allclose(got, wanted, atol=1e-5)
    assert logged["sampled_vs_scored"] == pytest.approx(float(gaps.abs().mean()), rel=1e-3)


def test_the_gap_is_logged_and_small_where_one_arithmetic_samples_and_scores(model):
    metrics = next(reinforce.train(c := reinforce.Config(**settings(model)), TASK, reinforce.team(c, TASK)))
    assert 0 <= metrics["sampled_vs_scored"] < 1e-4


def test_rounding_of_the_sampler_is_no_distance_from_the_reference():
    """At the untrained weights a model is no nat away from itself, in whatever precision it samples."""
    lm, moves = sampled_in_bf16()
    lm.autocast = torch.bfloat16
    lm.reference = tiny_lm("qwen3", TOKENIZER, sampling=lm.sampling, autocast=torch.bfloat16)
    for ratio in lm.log_ratios(moves):
        assert ratio.abs().max() < 1e-6


def test_repeated_passes_are_clipped_about_the_first_one_whatever_the_sampler_said():
    lm, moves = sampled_in_bf16()
    before = [float(logp.detach().sum()) for logp in scores_of(lm, moves)]
    many = Settings(epochs=10, clip=0.2)
    learn(lm, Optimizer(lm.parameters(), 1e-3, steps=10), lesson(moves), many)
    after = [float(logp.detach().sum()) for logp in scores_of(lm, moves)]
    assert after[0] > before[0]
    assert after[1] < before[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: magrpo.Config(episodes=3, group=8),
        lambda: reinforce.Config(episodes=3, group=8, baseline="mean"),
        lambda: cory.Config(episodes=3, group=8, estimator="group"),
    ],
)
def test_fewer_episodes_than_a_group_are_refused(make):
    with pytest.raises(ValueError, match=r"episodes=3 is less than group=8: .* at least one whole group"):
        make()


def test_a_tree_that_outgrows_its_episodes_says_how_many_are_played(model):
    config = magrpo.Config(**settings(model, episodes=8, group=4, max_new_tokens=1))
    with pytest.warns(UserWarning, match=r"a step plays 16 episodes, not 8: one start with group=4"):
        team = magrpo.team(config, TASK)
    assert next(magrpo.train(config, TASK, team))["tokens"] == 2 * (4 + 16)
