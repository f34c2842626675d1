"""Credit in whole runs: they learn, go on where they stopped, and leave nothing of it behind."""

from functools import cache

import pytest
import torch
from lm_fixtures import save, score, tiny_lm, words_tokenizer
from tabular import tabular_team
from toy_games import Answer, additive_bandit

from baselines import maac, magrpo, reinforce
from baselines.credit import rules
from baselines.credit.language import Refused
from baselines.lm.sampling import Sampling
from baselines.play.episode import rollout_metrics, walk
from baselines.play.rollout import play, starts
from baselines.runs import checkpoint

TOKENIZER = words_tokenizer(Answer.vocabulary())


@pytest.fixture(scope="session")
def folder_of_seed(tmp_path_factory):
    """seed -> a model with a tokenizer of its own, weights wide: see test_learning.py."""
    return cache(lambda seed: save(tmp_path_factory.mktemp("credited"), "qwen3", TOKENIZER, seed, 4.0))


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("uniform"), "qwen3", TOKENIZER)


REINFORCE = {"episodes": 64, "baseline": "leave-one-out"}
TWO_TURNS = {"turns": 2, "questions": 1, "entropy": 0.03}
CASES = {
    "difference": (reinforce, REINFORCE),
    "shapley": (magrpo, {"group": 3, **TWO_TURNS}),
    "counterfactual": (maac, {"critic_lr": 1e-2, **TWO_TURNS}),
    "learned": (magrpo, {}),
    "qllm": (maac, {"critic": "decentral", "critic_lr": 1e-2}),
}
SLOW = ("shapley", "counterfactual")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES]
)
def test_it_learns(folder_of_seed, name, training_seed):
    folder = folder_of_seed(training_seed)
    algorithm, changes = CASES[name]
    changes = {**changes}
    task = Answer(turns=changes.pop("turns", 1), questions=changes.pop("questions", 2))
    base = {"model": folder, "episodes": 64, "lr": 1e-2, "max_new_tokens": 1, "steps": 120, "device": "cpu"}
    base |= {"entropy": 0.05, "schedule": "linear", "seed": training_seed}  # why: see test_learning.py
    credit = "qllm:str_build" if name == "qllm" else name  # what the others earn alone fits this game too
    config = algorithm.Config(**base | changes, credit=credit)
    team = algorithm.team(config, task)
    assert score(task, team) < 0.15
    returns = []
    for metrics in algorithm.train(config, task, team):
        assert metrics["credit_replays"] > 0
        returns.append(metrics["return"])
        if sum(returns[-4:]) > 4 * 0.94 and score(task, team) > 0.9:
            break
    assert score(task, team) > 0.85, [round(value, 2) for value in returns]


@pytest.mark.parametrize("name", ["learned", "counterfactual"])
def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(folder, name, tmp_path):
    task = Answer(turns=2)
    config = reinforce.Config(
        model=folder, episodes=8, max_new_tokens=2, lr=1e-2, steps=4, device="cpu", credit=name
    )
    straight, first, second = (reinforce.team(config, task) for _ in range(3))
    list(reinforce.train(config, task, straight))
    run = reinforce.train(config, task, first)
    next(run)
    next(run)
    checkpoint.save(tmp_path, 2, first.state_dict(), 1)
    saved = checkpoint.load_last(tmp_path)
    assert saved is not None
    second.load_state_dict(saved)
    list(reinforce.train(config, task, second))
    for agent in task.agents:
        pairs = zip(straight.policies[agent].parameters(), second.policies[agent].parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
    if name == "learned":
        W = [team.credit.learner.W for team in (straight, second, first)]
        assert torch.equal(W[0], W[1])
        assert not torch.equal(W[0], W[2])
    else:
        assert "credit" not in saved  # nothing was learned, nothing is kept


def test_a_run_goes_on_with_the_written_function_it_began_with_and_no_other(folder, tmp_path):
    task = Answer(turns=1)
    config = reinforce.Config(model=folder, max_new_tokens=1, credit="qllm:str_build", device="cpu")
    team = reinforce.team(config, task)
    checkpoint.save(tmp_path, 0, team.state_dict(), 1)
    state = checkpoint.load_last(tmp_path)
    team.load_state_dict(state)
    state["credit"]["sha256"] = "0" * 64
    with pytest.raises(Refused, match="began with the credit function 000000000000"):
        team.load_state_dict(state)


@pytest.mark.parametrize("credit", ["difference", "counterfactual", "qllm:str_build"])
def test_credit_that_the_mean_over_all_combinations_would_take_away_is_refused(folder, credit):
    with pytest.raises(ValueError, match="with joint='cross' changes nothing"):
        magrpo.team(magrpo.Config(model=folder, joint="cross", credit=credit), Answer(turns=1))


def test_shapley_is_not_taken_away_by_the_mean_over_all_combinations(folder):
    config = magrpo.Config(model=folder, joint="cross", credit="shapley")
    assert magrpo.team(config, Answer(turns=1)).credit.rule is not None


def test_no_policy_that_acts_holds_anything_of_credit(folder, tmp_path):
    task, files = Answer(), []
    for name in ("shared", "learned"):
        config = reinforce.Config(
            model=folder, steps=1, episodes=4, max_new_tokens=1, device="cpu", credit=name
        )
        team = reinforce.team(config, task)
        list(reinforce.train(config, task, team))
        team.save_pretrained(tmp_path / name)
        files.append(sorted(str(p.relative_to(tmp_path / name)) for p in (tmp_path / name).rglob("*")))
        texts = [p.read_text() for p in (tmp_path / name).rglob("*.json") if p.name != "tokenizer.json"]
        assert not any("credit" in text for text in texts)
    assert files[0] == files[1]


def test_a_lazy_agent_stays_where_it_was_and_with_the_teams_reward_it_wanders(training_seed):
    task = additive_bandit(4)
    away = {}
    for name in ("shared", "difference", "shapley", "counterfactual"):
        team = tabular_team(task, lr=0.5)
        config = reinforce.Config(steps=40, episodes=16, group=1, credit=name, seed=training_seed)
        team.credit = rules.make(config.credit, config.credit_samples, task)
        lazy = team.policies["agent_3"]
        away[name] = max(abs(lazy.probs("choose")[1] - 0.5) for _ in reinforce.train(config, task, team))
        assert team.policies["agent_0"].probs("choose")[1] > 0.9
    assert away.pop("shared") > 0.1  # on its way: it may be back in the end
    assert set(away.values()) == {0.0}


# further texts at the same history


def texts_of(roots):
    return [{a: (move.ids, move.logp) for a, move in node.moves.items()} for node in walk(roots)]


@pytest.mark.parametrize("many", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_alternatives_leave_the_played_texts_as_they_are(many, shared):
    task = Answer(turns=2)
    own = {a: tiny_lm("qwen3", TOKENIZER, k) for k, a in enumerate(task.agents)}
    policies = dict.fromkeys(task.agents, own["agent_0"]) if shared else own
    some = starts(task, 0, 0, 3)
    plain = play(task, some, policies, "s", copies=[2, 1])
    more = play(task, some, policies, "s", copies=[2, 1], alternatives=many)
    assert texts_of(plain) == texts_of(more)
    for node in walk(more):
        assert {agent: len(texts) for agent, texts in node.alternatives.items()} == dict.fromkeys(
            task.agents, many
        )
    assert more[0].alternatives["agent_0"] is not plain[0].alternatives
    assert more[0].alternatives == more[1].alternatives  # one history, the same other texts
    assert not any(node.alternatives for node in walk(plain))
    written = {move for node in walk(more) for moves in node.alternatives.values() for move in moves}
    assert len(written) == many * len(task.agents) * (3 + 6)  # places at turn 1 and at turn 2
    counts = rollout_metrics(more)
    assert counts.pop("alternative_tokens") == sum(len(move.ids) for move in written)
    assert counts == rollout_metrics(plain)


def test_alternatives_are_texts_of_the_same_policy_at_the_same_history(training_seed):
    task = Answer(questions=2)
    lm = tiny_lm("qwen3", TOKENIZER, training_seed, sampling=Sampling(max_new_tokens=1))
    nodes = play(
        task, [(item, 0) for item in task.rows] * 300, dict.fromkeys(task.agents, lm), "s", alternatives=2
    )
    for k in (0, 1):
        said = [node.moves["agent_1"].text for node in nodes if node.item.data["k"] == k]
        others = [node.alternatives["agent_1"] for node in nodes if node.item.data["k"] == k]
        aside = [move.text for moves in others for move in moves]
        likely = max(set(said), key=said.count)
        assert aside.count(likely) / 600 == pytest.approx(said.count(likely) / 300, abs=0.1)
        again = sum(node.moves["agent_1"].text == node.alternatives["agent_1"][0].text for node in nodes)
    assert again < len(nodes)  # drawn apart from what was played
