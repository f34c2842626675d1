"""Adapters on a Tinker server: a step there is the step here, whatever the server divides its loss by.

The server is a stand-in for the SDK over our own models (tests/support/tinker_stub.py).
"""

import sys
from types import ModuleType

import pytest
import tinker_stub
from lm_fixtures import save, words_tokenizer, write_talk
from tinker_steps import KINDS, TASK, assert_same_steps, settings
from toy_games import Answer

from baselines import cory, magrpo, reinforce
from baselines.cli.tinker import main
from baselines.lm.learning import Lesson
from baselines.train.placement import tinker_networks
from baselines.train.placement.tinker_policy import Habits
from baselines.train.placement.tinker_probe import probe, refuse


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models"), "qwen3", words_tokenizer(Answer.vocabulary()))


@pytest.fixture(autouse=True)
def sdk(monkeypatch):
    module = ModuleType("tinker")
    module.types, module.APIFuture = tinker_stub.types, tinker_stub.Done
    module.TinkerError = tinker_stub.TinkerError
    monkeypatch.setitem(sys.modules, "tinker", module)


def serve(monkeypatch, model, **how):
    service = tinker_stub.Service(model, **how)
    monkeypatch.setattr(tinker_networks, "connect", lambda url: service)
    return service


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("clip, two epochs, a KL", True),
        *(pytest.param(name, mean, marks=pytest.mark.slow) for name in KINDS for mean in (False, True)),
    ],
)
def test_a_run_on_a_server_takes_the_steps_of_a_local_one(model, monkeypatch, name, mean):
    service = serve(monkeypatch, model, mean=mean)
    assert_same_steps(model, name, service, monkeypatch)


@pytest.mark.parametrize(
    ("mean", "clips"), [(True, False), pytest.param(False, True, marks=pytest.mark.slow)]
)
def test_the_probe_finds_out_how_a_server_treats_a_loss(model, mean, clips):
    findings = probe(tinker_stub.Service(model, mean=mean, clips=clips), model, 2)
    assert findings.habits == Habits(by_rows=mean, by_tokens=mean, clips=clips)
    assert findings.moved > 0
    assert findings.strayed == findings.repeated == 0
    assert findings.sampled < 1e-5
    refuse(findings, float("inf"))
    if not clips:
        with pytest.raises(ValueError, match=r"cannot honour max_grad_norm=1: .* set --max-grad-norm inf"):
            refuse(findings, 1.0)


def test_a_server_whose_adapters_are_not_apart_is_refused(model):
    service = tinker_stub.Service(model)
    service.adapters["probe_1"] = service.adapters["probe_0"]
    with pytest.raises(ValueError, match=r"cannot be used: that step moves another adapter by"):
        refuse(probe(service, model, 2), 1.0)


def test_texts_of_the_server_are_its_samples_and_change_once_it_has_learned(model, monkeypatch):
    serve(monkeypatch, model)
    config = magrpo.Config(**settings(model, lr=0.1, placement="tinker", max_new_tokens=8, group=2))
    policy = magrpo.team(config, TASK).policies["agent_0"]

    def texts():
        moves = [*write_talk(policy, [["q0 t0 p0"] * 4, ["q0 t1 p0"] * 4], seed=3)[1]]
        return moves, [move.ids for move in moves]

    moves, before = texts()
    assert texts()[1] == before
    logged = policy.learn(Lesson(moves, [1.0, -1.0, 0.5, -0.5], [0.25] * 4), config.objective)
    assert logged["sampled_vs_scored"] < 1e-4
    assert texts()[1] != before


def test_a_team_goes_on_from_what_the_server_kept(model, monkeypatch):
    serve(monkeypatch, model)
    config = reinforce.Config(**settings(model, placement="tinker", shared=True, lr=0.01))
    team = reinforce.team(config, TASK)
    run = reinforce.train(config, TASK, team)
    next(run)
    state = team.state_dict()
    assert team.state_dict() == state  # a server keeps a name once
    straight = [*run]
    team.load_state_dict(state)
    again = [*reinforce.train(config, TASK, team)]
    assert again == straight
    assert state["policies"]["shared"] == {"path": "tinker://agent_0/shared-1", "taken": 1}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"top_p": 0.9, "temperature": 0.7},
            r"cannot honour temperature=0\.7 \(only 1\), top_p=0\.9 \(only 1\)",
        ),
        ({"lora_rank": 0}, "lora_rank=0: it trains adapters"),
        ({"lora_alpha": 8}, "lora_alpha=8: it is 32 there"),
        ({"entropy": 0.1}, "its bonus is no function of the tokens' log-probabilities"),
    ],
)
def test_what_a_server_cannot_do_is_refused_by_name(model, changes, why):
    config = reinforce.Config(**settings(model, placement="tinker", **changes))
    with pytest.raises(ValueError, match=why):
        reinforce.team(config, TASK)


@pytest.mark.slow
def test_the_check_prints_what_it_found_and_fails_where_nothing_is_learned(model, monkeypatch, capsys):
    serve(monkeypatch, model, mean=True)
    assert main(["check", "http://localhost:1", "--model", model, "--lora-rank", "2"]) == 0
    assert "rows and tokens" in capsys.readouterr().out
    service = serve(monkeypatch, model)
    monkeypatch.setattr(tinker_stub.Training, "optim_step", lambda self, adam: tinker_stub.Done(None))
    assert main(["check", "http://localhost:1", "--model", model, "--lora-rank", "2"]) == 1
    assert service.free[0] == "agent_0"


def test_cory_takes_a_step_on_a_server(model, monkeypatch):
    serve(monkeypatch, model)
    task = Answer(num_agents=1)
    how = settings(model, placement="tinker", steps=1, estimator="group", kl=0.3)
    config = cory.Config(**how, observer_prompt="{query} read {text}")
    (logged,) = cory.train(config, task, cory.team(config, task))
    assert logged["kl"] == pytest.approx(0.0, abs=1e-4)
