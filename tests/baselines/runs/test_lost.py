"""A process of a run's policies is lost: the run says which and goes on from the last checkpoint."""

from functools import partial

import pytest
import torch
from apart import Loopback, open_apart
from lm_fixtures import save, words_tokenizer
from run_folders import leaves, lines
from toy_games import Answer

from baselines import maac
from baselines.runs import run, texts
from baselines.runs.checkpoint import load_last
from baselines.train.placement.calls import LostProcess
from baselines.train.team import PLACEMENTS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save(tmp_path_factory.mktemp("model"), "qwen3", words_tokenizer(Answer.vocabulary()))


@pytest.fixture
def losing(monkeypatch):
    """losing(fates): the k-th time a team is opened, agent_1's process is lost at call fates[k], or never."""
    monkeypatch.setattr(texts, "check_installed", lambda package: None)

    def begin(fates):
        remaining = iter(fates)

        def opened(settings, agents, critics):
            fate = next(remaining, None)
            return open_apart(
                settings, agents, critics, lambda name: Loopback(name, fate if name == "agent_1" else None)
            )

        monkeypatch.setitem(PLACEMENTS, "ray", opened)

    return begin


def config(model, out, **changes):
    return maac.Config(
        env="toy_games:Answer-v0",
        env_kwargs={"turns": 2},
        model=model,
        out=str(out),
        steps=4,
        episodes=4,
        max_new_tokens=3,
        lr=0.01,
        critic_lr=0.01,
        eval_every=2,
        eval_episodes=2,
        save_every=1,
        device="cpu",
        **changes,
    )


@pytest.mark.parametrize(
    "fates", [(15, 40), *(pytest.param(fates, marks=pytest.mark.slow) for fates in ((37,), (3, 20, None)))]
)
def test_a_run_that_loses_processes_ends_in_the_same_bits(model, losing, tmp_path, capsys, fates):
    wanted = run.train("maac", config(model, tmp_path / "wanted"), quiet=True)
    losing(fates)
    out = run.train("maac", config(model, tmp_path / "out", placement="ray"))
    lost = "the process of agent_1 was lost; all agents go on from step "
    assert capsys.readouterr().err.count(lost) == len([fate for fate in fates if fate])
    mine, theirs = (leaves(load_last(folder / "checkpoints")) for folder in (out, wanted))
    assert len(mine) == len(theirs) > 50
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b) if torch.is_tensor(a) else a == b
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(out / name) == lines(wanted / name)


def test_a_run_that_loses_a_process_again_and_again_ends_and_says_how_it_goes_on(model, losing, tmp_path):
    losing([12] * 9)
    begin = partial(run.train, "maac", config(model, tmp_path / "out", placement="ray"), quiet=True)
    with pytest.raises(LostProcess, match=r"agent_1 was lost; 3 times in a row .*`collm train --resume"):
        begin()
    losing([])
    assert (run.resume(tmp_path / "out", quiet=True) / "agent_1").is_dir()


@pytest.mark.parametrize("where", ["begin", "measure"])
def test_a_team_is_closed_once_whenever_the_error_comes(model, tmp_path, monkeypatch, where):
    closed, prepare = [], run.prepare

    def prepared(*args):
        subject, team = prepare(*args)
        team.close = lambda: closed.append(team)
        return subject, team

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(run, "prepare", prepared)
    monkeypatch.setattr(texts, where, fail)
    with pytest.raises(OSError, match="no space left"):
        run.train("maac", config(model, tmp_path / "run"), quiet=True)
    assert len(closed) == 1
    assert not (tmp_path / "run/config.json").exists()
