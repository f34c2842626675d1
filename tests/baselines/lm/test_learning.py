"""One improvement step: signs, weights, KL, entropy, clip, and numbers that are not finite."""

import pytest
import torch
from lm_fixtures import keeping, learn, save, scores_of, tiny_lm, words_tokenizer, write_talk
from tabular import SGD, Tabular, tabular_team
from toy_games import Answer, any_text_game, matrix_game

from baselines import reinforce
from baselines.lm.learning import Lesson, Optimizer, learning_rate
from baselines.lm.sampling import Sampling
from baselines.train.settings import Settings
from baselines.train.team import Team

TOKENIZER = words_tokenizer([f"w{k}" for k in range(12)])


def lesson_of(lm, advantages, seed=0):
    moves = write_talk(lm, [[f"w{k % 8}" for k in range(len(advantages))]], seed)[0]
    return Lesson(moves, list(advantages), [1 / len(moves)] * len(moves))


def optimizer_of(lm, lr=1e-3, **kwargs):
    return Optimizer(lm.parameters(), lr, steps=100, **kwargs)


def total_logp(lm, moves):
    with torch.no_grad():
        return torch.tensor([float(logp.sum()) for logp in scores_of(lm, moves)])


@pytest.mark.parametrize("kind", ["qwen3", "gpt2", "gemma2"])
def test_good_texts_become_likelier_and_bad_ones_less_likely(kind):
    lm = tiny_lm(kind, TOKENIZER)
    lesson = lesson_of(lm, [1.0, -1.0, 1.0, -1.0])
    before = total_logp(lm, lesson.moves)
    logged = learn(lm, optimizer_of(lm), lesson, Settings())
    change = total_logp(lm, lesson.moves) - before
    assert (change > 0).tolist() == [True, False, True, False]
    assert logged["grad_norm"] > 0
    assert logged["policy_loss"] == pytest.approx(0.0, abs=1e-5)  # -rho A at rho = 1, averaged


def test_the_gradient_is_that_of_weighted_log_probabilities():
    lm = tiny_lm("llama", TOKENIZER, micro_batch_tokens=12)
    lesson = lesson_of(lm, [2.0, -0.5, 0.3])
    lesson.weights = [0.5, 0.2, 0.3]
    learn(lm, keeping(optimizer_of(lm, lr=0.0, max_grad_norm=1e9)), lesson, Settings())
    got = torch.cat([p.grad.flatten() for p in lm.parameters()])
    other = tiny_lm("llama", TOKENIZER)
    sums = [logp.sum() for logp in scores_of(other, lesson.moves)]
    loss = sum(-w * a * s for w, a, s in zip(lesson.weights, lesson.advantages, sums, strict=True))
    loss.backward()
    wanted = torch.cat([p.grad.flatten() for p in other.parameters()])
    assert torch.allclose(got, wanted, atol=1e-5)


def test_texts_of_no_advantage_leave_every_weight_as_it_was():
    lm = tiny_lm("qwen3", TOKENIZER)
    before = [p.detach().clone() for p in lm.parameters()]
    assert learn(lm, optimizer_of(lm), lesson_of(lm, [0.0] * 4), Settings())["grad_norm"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, lm.parameters(), strict=True))


def test_one_text_a_step_is_not_normalized_and_that_is_said(tmp_path):
    model = save(tmp_path, "qwen3", words_tokenizer(Answer.vocabulary()))
    task = any_text_game(turns=1)
    norms = []
    for normalize in (False, True):
        config = reinforce.Config(model=model, max_new_tokens=2, episodes=1, group=1, normalize=normalize)
        run = reinforce.train(config, task, reinforce.team(config, task))
        if normalize:
            with pytest.warns(UserWarning, match="a step with a single text of an agent"):
                norms.append(next(run)["grad_norm"])
        else:
            norms.append(next(run)["grad_norm"])
    assert norms[0] == norms[1] > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_raises_with_its_texts_and_changes_nothing(bad):
    lm = tiny_lm("qwen3", TOKENIZER)
    lesson = lesson_of(lm, [1.0, bad, 1.0])
    before = [p.detach().clone() for p in lm.parameters()]
    with pytest.raises(FloatingPointError, match="its optimizer has not used it") as raised:
        learn(lm, optimizer_of(lm), lesson, Settings())
    for move in lesson.moves:
        assert repr(move.text) in str(raised.value)
    assert all(torch.equal(a, b) for a, b in zip(before, lm.parameters(), strict=True))


def test_a_gradient_that_is_not_finite_raises_and_changes_nothing():
    lm = tiny_lm("qwen3", TOKENIZER)
    before = [p.detach().clone() for p in lm.parameters()]
    lm.causal.lm_head.weight.register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(FloatingPointError, match="norm is inf; no weight was changed"):
        learn(lm, optimizer_of(lm), lesson_of(lm, [1.0, -1.0]), Settings())
    assert all(torch.equal(a, b) for a, b in zip(before, lm.parameters(), strict=True))


def test_an_entropy_bonus_flattens_and_a_negative_one_sharpens(training_seed):
    entropies = []
    for weight in (0.1, -0.1):
        lm = tiny_lm("qwen3", TOKENIZER, training_seed, sampling=Sampling(max_new_tokens=1))
        lesson = lesson_of(lm, [0.0] * 6, seed=training_seed)
        for _ in range(20):
            logged = learn(lm, optimizer_of(lm, lr=3e-3), lesson, Settings(entropy=weight))
        entropies.append(logged["entropy"])
    assert entropies[0] > entropies[1] + 0.3


def test_the_weight_of_the_kl_keeps_the_policy_near_its_reference(training_seed):
    distances = []
    for weight in (0.0, 2.0, 10.0):
        lm, reference = (
            tiny_lm("qwen3", TOKENIZER, training_seed, sampling=Sampling(max_new_tokens=1)) for _ in range(2)
        )
        reference.model.requires_grad_(False)
        optimizer = optimizer_of(lm)
        for step in range(25):
            lesson = lesson_of(lm, [0.0] * 24, seed=1000 * training_seed + step)
            lesson.advantages = [1.0 if move.ids[0] % 2 else -1.0 for move in lesson.moves]
            learn(lm, optimizer, lesson, Settings(kl=weight), reference)
        distances.append(divergence(lm, reference))
    assert distances[0] > 0.15  # 0.24, 0.11 and 0.009 as measured
    assert distances[1] < distances[0] / 1.5
    assert distances[2] < distances[0] / 10


def divergence(lm, reference):
    """Exact KL(pi || ref) of the first token, averaged over the prompts."""
    total = 0.0
    for k in range(8):
        ids = torch.tensor([lm.renderer.first(f"w{k}")])
        with torch.no_grad():
            p, q = (policy.causal(input_ids=ids).logits[0, -1].log_softmax(-1) for policy in (lm, reference))
        total += float((p.exp() * (p - q)).sum()) / 8
    return total


def test_the_logged_kl_is_zero_at_the_reference_and_grows_with_the_distance():
    lm, reference = (tiny_lm("qwen3", TOKENIZER) for _ in range(2))
    lesson, optimizer = lesson_of(lm, [1.0, -1.0, 0.5]), optimizer_of(lm, lr=3e-3)
    first = learn(lm, optimizer, lesson, Settings(kl=1e-9), reference)["kl"]
    later = learn(lm, optimizer, lesson, Settings(kl=1e-9), reference)["kl"]
    assert first == pytest.approx(0.0, abs=1e-9)
    assert later > 1e-4


def test_the_fixed_point_of_a_kl_penalised_bandit_is_where_k3s_gradient_vanishes():
    """Rewards 0..3, weight 1, uniform reference: k3 pulls along grad KL(ref || pi), so pi = ref / (c - r)."""
    policy, moves = uniform_moves("0123")
    frozen = Tabular("frozen", "0123")
    for _ in range(150):
        p = policy.table[0].softmax(-1)
        for move, logp in zip(moves, p.log().tolist(), strict=True):
            move.logp = [logp]
        lesson = Lesson(moves, [0.0, 1.0, 2.0, 3.0], p.tolist())
        learn(policy, SGD(policy.parameters(), 1.0), lesson, Settings(kl=1.0), frozen)
    c = 3.38958
    wanted = [0.25 / (c - r) for r in range(4)]
    assert sum(wanted) == pytest.approx(1, abs=1e-4)
    assert policy.probs("x") == pytest.approx(wanted, abs=1e-3)


def uniform_moves(words):
    """A tabular policy and one move for each of its words."""
    policy = Tabular("p", words, script=[range(len(words))])
    talk = policy.converse(len(words), 0)
    talk.read(["x"] * len(words))
    return policy, talk.write()


def test_several_clipped_passes_go_further_than_one_but_stop_at_the_clip():
    ratios = {}
    for name, settings in {
        "once": Settings(),
        "clipped": Settings(epochs=30, clip=0.2),
        "wide": Settings(epochs=30, clip=5.0),
    }.items():
        policy, moves = uniform_moves("0123")
        learn(policy, SGD(policy.parameters(), 0.05), Lesson(moves[:1], [1.0], [1.0]), settings)
        ratios[name] = policy.probs("x")[0] / 0.25
    assert 1.0 < ratios["once"] < 1.2 < ratios["clipped"] < 1.26
    assert ratios["wide"] > 1.5


def test_repeated_passes_without_a_clip_are_refused():
    with pytest.raises(ValueError, match="epochs=2 without clip"):
        Settings(epochs=2)


def test_gradients_are_shortened_to_their_limit():
    lm = tiny_lm("qwen3", TOKENIZER)
    optimizer = keeping(optimizer_of(lm, max_grad_norm=0.01))
    norm = learn(lm, optimizer, lesson_of(lm, [5.0, -5.0]), Settings())["grad_norm"]
    after = torch.cat([p.grad.flatten() for p in lm.parameters()]).norm()
    assert norm > 1  # what is logged is the norm before
    assert float(after) == pytest.approx(0.01, rel=1e-3)


def test_advantages_are_normalised_for_each_agent_by_itself():
    task = matrix_game(((0, 0), (0, 0)))
    team = tabular_team(task)
    for policy in team.policies.values():
        keeping(policy.optimizer)
    lessons = {agent: Lesson() for agent in task.agents}
    for agent, scale in zip(task.agents, (1.0, 1000.0), strict=True):
        talk = team.policies[agent].converse(2, 0)
        talk.read(["x", "x"])
        team.policies[agent].script = [[0, 1]]
        for move, advantage in zip(talk.write(), (1.0, 3.0), strict=True):
            lessons[agent].add(move, scale * advantage, 0.5)
    team.learn(lessons, reinforce.Config(normalize=True))
    grads = [policy.table.grad[0].tolist() for policy in team.policies.values()]
    assert grads[0] == pytest.approx([0.5, -0.5], abs=1e-4)
    assert grads[1] == pytest.approx(grads[0], abs=1e-4)


def pushed(team, agent, *advantages):
    """A lesson of an agent of two words and these advantages, equally weighted."""
    talk, lesson = team.policies[agent].converse(2, 0), Lesson()
    talk.read(["x", "x"])
    for move, advantage in zip(talk.write(), advantages, strict=True):
        lesson.add(move, advantage, 0.5)
    return lesson


def test_a_step_tells_each_agents_share_of_the_gradient_and_of_the_credit():
    """A push of A and -A on two words leaves |A| in each logit's gradient, whatever the sign of A."""
    task = matrix_game(((0, 0), (0, 0)))
    team = tabular_team(task, scripts={agent: [[0, 1]] for agent in task.agents})
    lessons = {"agent_0": pushed(team, "agent_0", 3.0, -3.0), "agent_1": pushed(team, "agent_1", -1.0, 1.0)}
    logged = team.learn(lessons, reinforce.Config())
    for kind in ("gradient_share", "credit_share"):
        assert logged[f"{kind}/agent_0"] == pytest.approx(0.75)
        assert logged[f"{kind}/agent_1"] == pytest.approx(0.25)
    assert logged["advantage_variance"] == pytest.approx((9.0 + 1.0) / 2)


def test_agents_that_share_weights_have_no_gradients_of_their_own():
    task = matrix_game(((0, 0), (0, 0)))
    shared = Tabular("shared", task.words, script=[[0, 1]])
    shared.optimizer = SGD(shared.parameters(), 0.0)
    team = Team(dict.fromkeys(task.agents, shared))
    logged = team.learn({agent: pushed(team, agent, 1.0, -1.0) for agent in task.agents}, reinforce.Config())
    assert (logged["credit_share/agent_0"], "gradient_share/agent_0" in logged) == (0.5, False)


def test_agents_that_share_weights_take_one_step_on_the_mean_of_their_losses():
    task = matrix_game(((0, 0), (0, 0)))
    shared = Tabular("shared", task.words, script=[[0]])
    shared.optimizer = keeping(SGD(shared.parameters(), 0.0))
    team = Team(dict.fromkeys(task.agents, shared))
    lessons = {agent: Lesson() for agent in task.agents}
    for agent, advantage in zip(task.agents, (1.0, 5.0), strict=True):
        talk = shared.converse(1, 0)
        talk.read(["x"])
        lessons[agent].add(talk.write()[0], advantage, 1.0)
    team.learn(lessons, reinforce.Config())
    assert shared.table.grad[0].tolist() == pytest.approx([-0.5 * 3.0, 0.5 * 3.0], abs=1e-6)


def test_learning_rates_rise_stay_and_fall():
    assert [learning_rate(1.0, k, 10, "constant", 3) for k in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert [learning_rate(1.0, k, 10, "linear", 0) for k in (0, 5, 10, 20)] == [1.0, 0.5, 0.0, 0.0]
    assert [round(learning_rate(1.0, k, 10, "cosine", 0), 6) for k in (0, 5, 10)] == [1.0, 0.5, 0.0]
    assert learning_rate(1.0, 6, 10, "linear", 2) == 0.5


def test_an_optimizer_goes_on_where_its_state_was_taken():
    runs = []
    for stop in (None, 3):
        parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
        optimizer = Optimizer([parameter], 0.1, steps=6, schedule="linear", warmup=2)
        for step in range(6):
            if step == stop:
                again = Optimizer([parameter], 0.1, steps=6, schedule="linear", warmup=2)
                again.load_state_dict(optimizer.state_dict())
                optimizer = again
            optimizer.zero_grad()
            (parameter**4).sum().backward()
            optimizer.step()
        runs.append(parameter.tolist())
    assert runs[0] == runs[1]
