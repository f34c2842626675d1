"""CORY against the KL-regularised bandit, which has a closed form, through the real trainer.

Arms 0 to 3 earn 0 to 3, eta = 1, the untrained pioneer is uniform; the untrained observer says what it read
with probability c and anything otherwise.  Fixed points, P the untrained observer:

    observer(b | a) ~ P(b | a) e^b        m(a) = its mean        pioneer(a) ~ e^(a + m(a))
"""

from itertools import pairwise

import pytest
import torch
from lm_fixtures import save, set_answers, words_tokenizer
from tabular import SGD, Tabular, TabularCritic, gradient
from toy_games import Game

from baselines import cory
from baselines.lm.learning import Optimizer
from baselines.train.pair import Pair

R = torch.arange(4.0)
TABLE = {
    0.0: (2.493, 0.439, 2.493, 0.439),
    0.5: (2.685, 0.672, 2.714, 0.245),
    0.9: (2.811, 0.868, 2.815, 0.050),
}
"""c -> E r and KL of the pioneer, E r and KL of the observer"""


def bandit():
    """Whatever is no arm earns nothing."""

    def pay(state):
        (word,) = state.said[0]
        return float(word) if word in tuple("0123") else 0.0

    return Game(1, 1, tuple("0123"), lambda state, k: "choose", pay)


def copying(c):
    """(4, 4): row a is the untrained observer's distribution after it has read a."""
    return c * torch.eye(4) + (1 - c) / 4


def duo(c, steps=1, lr=0.1, names=cory.LLMS, rows=None, critics=True, scripts=None):
    """Tabular models that know the bare query and the observer's prompt, with a critic each."""
    start = {"choose": [0.0] * 4, **{f"choose|{a}": copying(c)[a].log().tolist() for a in range(4)}}
    policies = {
        name: Tabular(
            name, "0123", start={**start, **(rows or {}).get(name, {})}, script=(scripts or {}).get(name)
        )
        for name in names
    }
    untrained = Tabular("untrained", "0123", start=start)
    for p in policies.values():
        p.optimizer = Optimizer(p.parameters(), lr, steps=steps, schedule="linear", max_grad_norm=1e9)
        p.reference = untrained
    team = Pair(policies, eta=dict.fromkeys(names, 1.0))
    if critics:
        team.critics = {name: TabularCritic() for name in names}
        for critic in team.critics.values():
            critic.optimizer = SGD(critic.parameters(), 0.3)
    return team


def config(steps=1, **settings):
    plain = {"kl": 1.0, "epochs": 1, "clip": None, "value_clip": None, "normalize": False, "group": 8}
    return cory.Config(
        steps=steps, observer_prompt="{query}|{text}", **{**plain, "episodes": 128, **settings}
    )


def figures(pioneer, observer, c):
    """E r and KL of both, exactly, from their distributions (4,) and (4, 4)."""
    kl = (pioneer * (4 * pioneer).log()).sum()
    far = pioneer @ (observer * (observer / copying(c)).log()).sum(1)
    return torch.stack([pioneer @ R, kl, pioneer @ observer @ R, far])


def of(pioneer, observer, c):
    return figures(
        torch.tensor(pioneer.probs("choose")),
        torch.tensor([observer.probs(f"choose|{a}") for a in range(4)]),
        c,
    )


def learned(c, steps, **settings):
    """The figures of a trained duo, over its last steps, each model in the role it has."""
    team, how = duo(c, steps), config(steps, **settings)
    tail = []
    for _ in cory.train(how, bandit(), team):
        if team.step > steps - 20 and len(team.policies["llm_0"].rows) == 5:
            pioneer, observer = (team.policies[name] for name in cory.roles(how, team.step - 1))
            tail.append(of(pioneer, observer, c))
    return torch.stack(tail).mean(0).tolist(), team


@pytest.mark.parametrize("c", TABLE)
def test_the_closed_form_is_the_published_table(c):
    observer = (copying(c) * R.exp()) / (copying(c) * R.exp()).sum(1, keepdim=True)
    pioneer = (R + observer @ R).softmax(0)
    assert figures(pioneer, observer, c).tolist() == pytest.approx(TABLE[c], abs=1e-3)
    if c > 0:
        alone = TABLE[0.0][1]
        assert TABLE[c][3] < alone < TABLE[c][1]


def test_ppo_with_exchange_ends_at_the_closed_form(training_seed):
    found, team = learned(0.5, 120, seed=training_seed)
    assert found == pytest.approx(TABLE[0.5], abs=0.03)
    assert found[3] < 0.439 - 0.1 < 0.439 + 0.1 < found[1]  # observer < alone < pioneer
    for name in cory.LLMS:  # both models solve both roles
        assert of(team.policies[name], team.policies[name], 0.5).tolist() == pytest.approx(
            TABLE[0.5], abs=0.08
        )


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["ppo", "group"])
@pytest.mark.parametrize("c", TABLE)
def test_every_row_of_the_table_is_reached_within_002(c, estimator, training_seed):
    found, _ = learned(c, 400, estimator=estimator, episodes=256, seed=training_seed)
    assert found == pytest.approx(TABLE[c], abs=0.02)
    if c > 0:
        assert found[3] < TABLE[0.0][1] < found[1]


@pytest.mark.slow
@pytest.mark.parametrize("every", [0, 1])
def test_exchanging_roles_does_not_move_the_fixed_points(every, training_seed):
    team = duo(0.5, 400)
    how = config(400, episodes=256, exchange_every=every, seed=training_seed)
    list(cory.train(how, bandit(), team))
    if every:  # any model in any role
        pairs = [(a, b) for a in team.policies.values() for b in team.policies.values()]
    else:
        pairs = [(team.policies["llm_0"], team.policies["llm_1"])]
    for pioneer, observer in pairs:
        assert of(pioneer, observer, 0.5).tolist() == pytest.approx(TABLE[0.5], abs=0.05)


def everything():
    """Every pair of words once: with uniform tables a step's gradient is then an exact expectation."""
    pairs = [(a, b) for a in range(4) for b in range(4)]
    return {"llm_0": [[a for a, _ in pairs]], "llm_1": [[b for _, b in pairs]]}


def first_gradient(observer, kl=0.0, c=0.0):
    names = cory.LLMS[: 1 if observer == "none" else 2]
    team = duo(c, names=names, scripts=everything())
    next(cory.train(config(episodes=16, observer=observer, kl=kl), bandit(), team))
    return team


def test_where_the_observer_copies_nothing_the_pioneer_learns_exactly_what_it_would_alone():
    alone = gradient(first_gradient("none").policies["llm_0"], "choose")
    assert alone == pytest.approx([(a - 1.5) / 4 for a in range(4)], abs=1e-6)
    for observer in ("reads", "blind"):
        assert gradient(first_gradient(observer).policies["llm_0"], "choose") == pytest.approx(
            alone, abs=1e-6
        )


def test_the_observer_learns_from_its_own_answer_whatever_the_pioneer_earned_once_v_is_exact():
    team = duo(0.0, scripts=everything())
    observer, critic = team.policies["llm_1"], team.critics["llm_1"]
    for a in range(4):  # V(s_0, a) = r(a) + mean r
        talk = observer.converse(1, 0)
        talk.read([f"choose|{a}"])
        row = critic.rows_of([talk.heads[0]])
        critic.table.data[row] = a + 1.5
    next(cory.train(config(episodes=16, kl=0.0), bandit(), team))
    grads = [gradient(observer, f"choose|{a}") for a in range(4)]
    for grad in grads:  # a quarter of the episodes read each a
        assert grad == pytest.approx([(b - 1.5) / 16 for b in range(4)], abs=1e-6)


def test_without_transfer_the_observers_answer_is_noise_for_the_pioneer_and_pays_all_the_same():
    team = first_gradient("blind")
    assert gradient(team.policies["llm_1"], "choose") == pytest.approx(
        [(b - 1.5) / 4 for b in range(4)], abs=1e-6
    )


def test_each_model_pays_for_leaving_the_untrained_one_at_its_own_prompt(training_seed):
    team = duo(0.9)
    metrics = next(cory.train(config(seed=training_seed), bandit(), team))
    assert metrics["llm_0/kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["llm_1/kl"] == pytest.approx(0.0, abs=1e-6)  # nothing has moved yet
    # against the bare query's distribution, it would have been far from 0
    untrained = copying(0.9)[0]
    assert float((untrained * (untrained * 4).log()).sum()) > 0.9
    moved = duo(0.9, rows={"llm_1": {f"choose|{a}": [0.0] * 4 for a in range(4)}})
    metrics = next(cory.train(config(episodes=512, seed=training_seed), bandit(), moved))
    uniform = float((0.25 * (0.25 / copying(0.9)).log()).sum(1).mean())
    assert metrics["llm_1/kl"] == pytest.approx(uniform, rel=0.15)


def test_after_any_number_of_exchanges_log_lines_follow_the_weights():
    rows = {"llm_0": {"choose": [0.0, 0.0, 0.0, 40.0]}, "llm_1": {"choose": [40.0, 0.0, 0.0, 0.0]}}
    for name, word in (("llm_0", 3), ("llm_1", 0)):
        rows[name] |= {f"choose|{a}": [40.0 * (b == word) for b in range(4)] for a in range(4)}
    team = duo(0.0, steps=6, lr=1e-9, rows=rows)
    for k, metrics in enumerate(cory.train(config(6, episodes=8, exchange_every=1), bandit(), team)):
        assert (metrics["llm_0/return"], metrics["llm_1/return"]) == (3.0, 0.0)
        assert (metrics["llm_0/pioneer"], metrics["llm_1/pioneer"]) == (
            (1.0, 0.0) if k % 2 == 0 else (0.0, 1.0)
        )
        assert metrics["return"] == 1.5
    assert [policy.optimizer.taken for policy in team.policies.values()] == [6, 6]


def test_the_weight_of_the_kl_adapts_by_model_and_keeps_its_course_through_exchanges():
    team = duo(0.5, steps=8, lr=1.0)
    how = config(8, episodes=64, exchange_every=1, kl_target=0.2, kl_horizon=200)
    told = list(cory.train(how, bandit(), team))
    for before, after in pairwise(told):
        for name in cory.LLMS:
            error = max(-0.2, min(0.2, before[f"{name}/kl"] / 0.2 - 1))
            assert after[f"{name}/eta"] == pytest.approx(before[f"{name}/eta"] * (1 + 64 / 200 * error))
    assert team.eta["llm_0"] != team.eta["llm_1"]


@pytest.mark.slow
def test_a_language_model_of_one_token_reaches_the_table(tmp_path, training_seed):
    c, tokenizer = 0.5, words_tokenizer(["choose", "read", *"0123"])
    folder = save(tmp_path, "qwen3", tokenizer, training_seed)
    how = config(
        300,
        seed=training_seed,
        model=folder,
        device="cpu",
        max_new_tokens=1,
        lr=5e-3,
        critic_lr=2e-2,
        episodes=256,
        epochs=1,
        schedule="linear",
    )
    how.observer_prompt = "{query} read {text}"
    answers = {"choose": dict.fromkeys("0123", 0.25)}
    answers |= {f"choose read {a}": {str(b): float(copying(c)[a][b]) for b in range(4)} for a in range(4)}
    first = cory.team(how, bandit()).policies["llm_0"]
    set_answers(first, answers, steps=400)
    first.model.save_pretrained(folder)
    team = cory.team(how, bandit())

    def probs(name, prompt):
        lm = team.policies[name]
        ids = torch.tensor([lm.renderer.first(prompt)])
        with torch.no_grad():
            logits = lm.model(input_ids=ids).logits[0, -1]
        arms = logits.softmax(-1)[[lm.tokenizer(word)["input_ids"][0] for word in "0123"]]
        return arms / arms.sum()

    list(cory.train(how, bandit(), team))
    found = torch.stack(
        [
            figures(probs(p, "choose"), torch.stack([probs(o, f"choose read {a}") for a in range(4)]), c)
            for p in cory.LLMS
            for o in cory.LLMS
        ]
    ).mean(0)
    assert found.tolist() == pytest.approx(TABLE[c], abs=0.06)
