"""The `tinker` SDK drives a server on loopback (tests/support/tinker_http.py): its steps are those here."""

import pytest
from frameworks import need
from lm_fixtures import save, words_tokenizer
from tinker_steps import KINDS, TASK, assert_same_steps, settings
from toy_games import Answer

need("tinker", "0.25")

from tinker_http import serving
from tinker_stub import Service

from baselines import reinforce
from baselines.cli.tinker import main
from baselines.lm.history import Move, Segment
from baselines.train.placement.tinker_networks import connect
from baselines.train.placement.tinker_policy import client, row
from baselines.train.placement.tinker_probe import open_two

pytestmark = [  # the SDK leaves its connections open
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("models"), "qwen3", words_tokenizer(Answer.vocabulary()))


@pytest.fixture
def service(model):
    return Service(model, mean=True)


@pytest.fixture
def url(service):
    with serving(service) as address:
        yield address


@pytest.mark.parametrize("name", KINDS)
def test_a_run_through_the_sdk_takes_the_steps_of_a_local_one(model, service, url, monkeypatch, name):
    assert_same_steps(model, name, service, monkeypatch, url)


def test_a_step_of_one_adapter_leaves_the_scores_of_another_as_they_were(model, url):
    from tinker import types

    sdk = connect(url)
    a, b = (client(sdk.create_lora_training_client(base_model=model, rank=2, seed=k)) for k in (1, 2))
    move = Move(Segment(None, [1, 2]), [3, 4, 5])

    def scores(trainer):
        output = trainer.forward([row(move, [0.0] * 3, [0.0] * 3)], "importance_sampling").result()
        return list(output.loss_fn_outputs[0]["logprobs"].data)[-3:]

    before_a, before_b = scores(a), scores(b)
    a.forward_backward([row(move, before_a, [1.0] * 3)], "importance_sampling").result()
    a.optim_step(types.AdamParams(learning_rate=1e-2)).result()
    assert sum(scores(a)) > sum(before_a)
    assert scores(b) == before_b


def test_a_team_goes_on_from_what_the_server_kept(model, url):
    """Texts, too, are the server's samples here."""
    away = settings(model, placement="tinker", tinker_url=url, shared=True, lr=0.01)
    config = reinforce.Config(**away)
    team = reinforce.team(config, TASK)
    steps = reinforce.train(config, TASK, team)
    next(steps)
    state = team.state_dict()
    straight = [*steps]
    team.load_state_dict(state)
    assert [*reinforce.train(config, TASK, team)] == straight


def test_the_check_prints_how_the_server_behaves(model, url, capsys):
    assert main(["check", url, "--model", model, "--lora-rank", "2"]) == 0
    assert "rows and tokens" in capsys.readouterr().out


def test_a_server_that_does_not_answer_and_a_missing_key_are_said_in_a_line(model, monkeypatch):
    with pytest.raises(ConnectionError, match="no Tinker server answers at"):
        main(["check", "http://127.0.0.1:9", "--model", model])
    for name in ("TINKER_API_KEY", "TINKER_CREDENTIAL_CMD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(ValueError, match=r"opens no adapters of .*: The api_key client option must be set"):
        open_two(connect(""), model, 2)
