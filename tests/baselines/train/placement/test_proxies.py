"""A team whose weights are in other processes ends in the bits of one that has them at hand."""

import gc
from dataclasses import replace

import pytest
import torch
from apart import open_apart
from lm_fixtures import save, words_tokenizer
from run_folders import leaves
from toy_games import Answer, aliased_game, any_text_game

from baselines import cory, maac, magrpo, reinforce
from baselines.formulas.losses import Objective
from baselines.lm.learning import Lesson
from baselines.play.influence import text_influence
from baselines.play.rollout import play
from baselines.train.team import PLACEMENTS

TASK = any_text_game(turns=2)
ALONE = replace(TASK, n=1)
KINDS = {
    "MAGRPO": (magrpo, {"group": 2, "schedule": "linear"}),
    "adapters and a KL": (magrpo, {"group": 2, "lora_rank": 2, "kl": 0.1, "epochs": 2, "clip": 0.2}),
    "shared weights": (reinforce, {"shared": True, "kl": 0.1}),
    "counterfactual credit": (reinforce, {"credit": "counterfactual", "credit_samples": 2}),
    "two models": (reinforce, {"models": ("one", "third"), "normalize": True}),
    "CoLLM-CC": (maac, {"critic_lr": 0.01, "critic_epochs": 2}),
    "CoLLM-DC": (maac, {"critic": "decentral", "critic_lr": 0.01}),
    "CC on the actor": (maac, {"critic_on_actor": True, "shared": True, "critic_lr": 0.01}),
    "DC on the actors": (maac, {"critic_on_actor": True, "critic": "decentral", "critic_lr": 0.01}),
    "CORY": (cory, {"epochs": 2}),
    "CORY by groups": (cory, {"estimator": "group", "group": 2, "epochs": 1}),
}

QUICK = ("adapters and a KL", "CC on the actor")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root, words = tmp_path_factory.mktemp("models"), Answer.vocabulary()
    return {
        "one": save(root / "one", "qwen3", words_tokenizer(words), 0),
        "third": save(root / "third", "gemma2", words_tokenizer(["more", *words]), 2),
    }


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    monkeypatch.setitem(PLACEMENTS, "ray", open_apart)


def make(folders, name, placement, **changes):
    algorithm, kind = KINDS[name]
    kind = {**kind, **({"models": tuple(map(folders.get, kind["models"]))} if "models" in kind else {})}
    config = algorithm.Config(
        model=folders["one"],
        max_new_tokens=2,
        episodes=4,
        lr=0.01,
        device="cpu",
        placement=placement,
        **kind,
        **changes,
    )
    task = ALONE if algorithm is cory else TASK
    return algorithm, config, task, algorithm.team(config, task)


def same(state, other):
    mine, theirs = leaves(state), leaves(other)
    return len(mine) == len(theirs) > 20 and all(
        torch.equal(a, b) if torch.is_tensor(a) else a == b for a, b in zip(mine, theirs, strict=True)
    )


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in KINDS]
)
def test_a_team_in_other_processes_learns_to_the_same_bits(folders, name):
    algorithm, config, task, here = make(folders, name, "local", steps=2)
    *_, away = make(folders, name, "ray", steps=2)
    metrics = list(algorithm.train(config, task, here))
    assert list(algorithm.train(config, task, away)) == metrics
    assert same(here.state_dict(), away.state_dict())


def test_how_far_texts_reach_is_the_same_number_from_other_processes(tmp_path):
    task = aliased_game()
    model = save(tmp_path, "qwen3", words_tokenizer(["first", "second", "A", "B", "0", "1"]))
    reaches = []
    for placement in ("local", "ray"):
        config = reinforce.Config(model=model, max_new_tokens=1, device="cpu", placement=placement)
        policies = reinforce.team(config, task).policies
        nodes = play(task, [(task.rows[0], 0)] * 16, policies, "seed")
        reaches.append(text_influence(task, nodes, policies, turns=8))
    assert reaches[0] == reaches[1]
    assert abs(reaches[0]["influence/agent_0"]) > 1e-4


def test_a_team_in_other_processes_goes_on_from_a_local_state(folders, tmp_path):
    algorithm, config, task, here = make(folders, "CoLLM-DC", "local", steps=3)
    steps = algorithm.train(config, task, here)
    next(steps)
    *_, away = make(folders, "CoLLM-DC", "ray", steps=3)
    away.load_state_dict(here.state_dict())
    assert list(algorithm.train(config, task, away)) == list(steps)
    for team in (here, away):
        team.save_pretrained(tmp_path / type(team.policies["agent_0"]).__name__)
    files = [sorted(file for file in folder.rglob("*") if file.is_file()) for folder in tmp_path.iterdir()]
    assert len(files[0]) >= 6
    for mine, theirs in zip(*files, strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def test_what_the_driver_drops_is_forgotten_in_the_process(folders):
    algorithm, config, task, team = make(folders, "CoLLM-DC", "ray", steps=2)
    list(algorithm.train(config, task, team))
    gc.collect()
    process = team.policies["agent_0"].process
    process.ask("policy/agent_0", "digest")()
    assert not [key for key in process.courier.host.held if isinstance(key, int)]


def test_an_error_in_a_process_is_raised_by_the_next_answer_and_ever_after(folders):
    *_, team = make(folders, "MAGRPO", "ray")
    policy = team.policies["agent_0"]
    histories = policy.converse(1, 0)
    histories.read([" ".join(["q0"] * 5000)])
    for texts in (histories.write(), policy.converse(1, 0).write()):
        with pytest.raises(ValueError, match=r"agent_0: a history of .* tokens and max_new_tokens=2 exceed"):
            len(texts)


def test_a_text_of_one_process_is_no_lesson_for_another(folders):
    *_, team = make(folders, "MAGRPO", "ray")
    histories = team.policies["agent_0"].converse(1, 0)
    histories.read(["q0"])
    (move,) = histories.write()
    with pytest.raises(ValueError, match="a history of one process was handed to another"):
        team.policies["agent_1"].learn(Lesson([move], [1.0], [1.0]), Objective())
