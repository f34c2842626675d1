"""`collm train` as a stranger meets it: typos, missing packages, resumed runs, folders that are no models."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
from safetensors import safe_open

from baselines import maac, magrpo
from baselines.cli import flags, main
from baselines.lm.tiny import model as tiny
from baselines.runs import algorithms, folder, run, texts
from baselines.train.presets import is_tiny

WORDS = {"prompts": "terse", "words": "generated", "length": [1, 1], "n": 8, "n_eval": 4, "max_turns": 1}
SMALL = {
    "env_kwargs": WORDS,
    "episodes": 4,
    "eval_episodes": 2,
    "max_new_tokens": 6,
    "save_every": 1,
    "lr": 1e-3,
}
FLAGS = [
    "--env-kwargs",
    json.dumps(WORDS),
    "--episodes",
    "4",
    "--eval-episodes",
    "2",
    "--max-new-tokens",
    "6",
]


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """A cache of its own, and warm starts of two steps."""
    monkeypatch.setenv("COLLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tiny, "STEPS", 2)
    return tmp_path


def refused(capsys, *args):
    """The one line that a refused command prints."""
    status = main.main(args)
    err = capsys.readouterr().err
    assert (status, err.count("\n")) == (2, 1), err
    return err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["ppo"],
            "algorithm must be one of cory, maac, magrpo, mixing, reinforce, ridge, or a module of your own, "
            "as package.module, got 'ppo'",
        ),
        (["maca"], "did you mean 'maac'?"),
        (["mixng"], "did you mean 'mixing'?"),
        (["maac", "--epsiodes", "3"], "maac has no setting --epsiodes; did you mean '--episodes'?"),
        (["maac", "--eval_evry=3"], "did you mean '--eval-every'?"),
        (["maac", "--no-steps"], "maac has no setting --no-steps"),
        (["mixing", "--mixr", "qmix"], "did you mean '--mixer'?"),
        (["maac", "--steps", "ten"], "--steps must be a whole number, got 'ten'"),
        (["maac", "--steps"], "--steps must be a whole number, got ''"),
        (["maac", "--lr=fast"], "--lr must be a number, got 'fast'"),
        (["maac", "--critic", "centrl"], "--critic must be one of central, decentral, got 'centrl'"),
        (["maac", "--env", "Strbuild-v0"], "did you mean 'StrBuild-v0'?"),
        (["maac", "--env-kwargs", '{"promts": 1}'], "no keyword 'promts'; did you mean 'prompts'?"),
        (["maac", "--env-kwargs", "{"], "--env-kwargs must be a JSON object, got '{'"),
        (["maac", "StrBuild-v0"], "settings are flags, as in --seed 1, got 'StrBuild-v0'"),
        (["--resume"], "--resume needs the folder of a run and nothing else"),
        (["--resume", "nowhere"], "nowhere holds no run: there is no config.json in it"),
    ],
)
def test_a_typo_is_a_line_that_says_what_was_meant(args, message, capsys):
    assert message in refused(capsys, "train", *args)


def test_a_typo_costs_no_import_of_torch(tmp_path):
    script = """
import sys
from baselines.cli import main as cli
assert cli.main(["train"]) == 0
for args in (["train", "maca"], ["train", "maac", "--sed", "1"], ["train", "maac", "--env", "Str"],
             ["train", "mixing", "--gam", "x"], ["sweep", "--trails", "2"], ["demo", "--fast"], ["trian"]):
    assert cli.main(args) == 2, args
assert cli.main(["demo", "--help"]) == 0
assert cli.main(["--version"]) == 0
heavy = sorted({"torch", "transformers"} & set(sys.modules))
assert heavy == [], heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", algorithms.names())
def test_the_names_read_from_the_source_are_those_of_the_settings(name):
    fields = algorithms.fields_of(algorithms.module_of(name))
    assert fields is not None
    assert set(fields) == set(algorithms.algorithm(name).Config().to_dict())


def test_numbers_that_may_be_left_out_pass(capsys):
    flags.check(
        "maac", ["--clip", "None", "--value-clip=0.2", "--lr", "1e-3", "--no-normalize", "--wandb", "x"]
    )


def test_a_missing_package_and_a_missing_device_are_said_before_a_warm_start_and_leave_no_folder(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(tiny, "folder", None)
    out = tmp_path / "run"
    args = ["train", "maac", *FLAGS, "--out", str(out)]
    monkeypatch.setitem(sys.modules, "wandb", None)
    (tmp_path / "wandb").mkdir()  # what wandb leaves behind in a working directory
    monkeypatch.chdir(tmp_path)
    for flag, message in (
        (["--wandb", "project"], "it needs the package 'wandb': pip install 'collm[logging]'"),
        (["--device", "cuda:99"], "device 'cuda:99'"),
        (["--device", "gpu"], "device 'gpu': need auto, cpu, cuda or cuda:N"),
        (["--bf16", "--device", "cpu"], "bf16 is for devices that have it"),
    ):
        status = main.main([*args, *flag])
        assert status == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
        assert not out.exists()


def test_a_run_that_failed_before_it_measured_anything_leaves_its_folder_free(quick, monkeypatch):
    config = magrpo.Config(**SMALL, steps=1, group=2, out=str(quick / "run"))
    with monkeypatch.context() as patch:
        patch.setattr(texts, "measure", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.train("magrpo", config, quiet=True)
    assert run.train("magrpo", config, quiet=True) == quick / "run"
    with pytest.raises(ValueError, match="holds a run already"):
        run.train("magrpo", config, quiet=True)


@pytest.mark.parametrize("changes", [{"kl": 0.1, "model": "m"}, {}, {"lora_rank": 2}])
def test_a_run_of_an_early_version_that_would_not_end_the_same_is_refused(changes, tmp_path):
    settings = magrpo.Config(**{**SMALL, **changes}, group=2).to_dict()
    del settings["threads"]  # which those versions did not have
    (tmp_path / "config.json").write_text(json.dumps({"algorithm": "magrpo", "config": settings}))
    with pytest.raises(ValueError, match="would not end the same: its importance ratios rounded differently"):
        run.resume(tmp_path)


def test_a_finished_run_is_not_gone_on_with(quick, capsys, monkeypatch):
    out = run.train("magrpo", magrpo.Config(**SMALL, steps=1, group=2, out=str(quick / "run")), quiet=True)
    monkeypatch.setattr(run, "resume", None)
    assert main.main(["train", "--resume", str(out)]) == 0
    said = capsys.readouterr()
    assert "already finished: 1 of 1 steps" in said.err
    assert said.out == f"{out}\n"
    shutil.rmtree(out / "agent_1")
    assert not folder.is_finished(out)


def test_a_run_goes_on_without_the_cache_it_began_with(quick, monkeypatch):
    settings = {**SMALL, "critic_lr": 1e-3, "kl": 0.1}
    config = maac.Config(**settings, steps=2, out=str(quick / "whole"))
    whole = run.train("maac", config, quiet=True)
    with monkeypatch.context() as patch:
        real = maac.train

        def one_step(*args):
            yield next(real(*args))
            raise OSError("the machine is taken away")

        patch.setattr(maac, "train", one_step)
        with pytest.raises(OSError, match="taken away"):
            run.train("maac", maac.Config(**settings, steps=2, out=str(quick / "run")), quiet=True)
    moved = quick / "elsewhere"
    (quick / "run").rename(moved)
    monkeypatch.setattr(tiny, "folder", None)
    run.resume(moved, quiet=True)
    weights = []
    for out in (whole, moved):
        with safe_open(out / "agent_0" / "model.safetensors", "pt") as file:
            weights.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"model": "m"}, 0),
        ({"models": ("m", "m")}, 0),
        ({"models": ("m", "tiny")}, 1),
        ({}, 1),
        ({"models": ("m", "m"), "critic_model": "tiny"}, 1),
        ({"model": "m", "critic_model": "tiny"}, 1),
    ],
)
def test_the_embedded_model_is_warm_started_where_some_model_is_it(settings, made, monkeypatch):
    calls = []
    monkeypatch.setattr(tiny, "folder", lambda *args, **kwargs: calls.append(args) or "/warm")
    config = texts.with_models(maac.Config(**settings))
    assert len(calls) == made
    used = [*(config.models or [config.model]), config.critic_model]
    assert "tiny" not in used
    assert ("/warm" in used) == bool(made)


def test_settings_that_hardly_teach_anything_are_pointed_out(quick, capsys):
    run.train("magrpo", magrpo.Config(**{**SMALL, "lr": 5e-6}, steps=1, group=2, out=str(quick / "slow")))
    assert "unlikely to learn: lr 5e-06 hardly moves a model of 0.16 million" in capsys.readouterr().err
    run.train("magrpo", magrpo.Config(**SMALL, steps=1, group=2, out=str(quick / "quick")))
    err = capsys.readouterr().err
    assert "unlikely" not in err
    assert "magrpo 1/1  return" in err


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 538090408\n")


BROKEN = {
    "weights that are a pointer of git-lfs": lambda at: pointer(at / "model.safetensors"),
    "weights cut short": lambda at: (at / "model.safetensors").write_bytes(
        (at / "model.safetensors").read_bytes()[:2000]
    ),
    "no weights": lambda at: (at / "model.safetensors").unlink(),
    "a tokenizer that is a pointer": lambda at: pointer(at / "tokenizer.json"),
    "a configuration that is no JSON": lambda at: (at / "config.json").write_text("{"),
    "a configuration of an unknown kind": lambda at: (at / "config.json").write_text('{"model_type": "x"}'),
    "an empty configuration": lambda at: (at / "config.json").write_text("{}"),
}


@pytest.fixture(scope="module")
def whole_model(tmp_path_factory):
    at = tmp_path_factory.mktemp("model")
    model, tokenizer = tiny.fresh(0)
    model.save_pretrained(at)
    tokenizer.save_pretrained(at)
    return at


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.filterwarnings("ignore")
def test_a_folder_that_is_no_whole_model_ends_as_one_line(fault, whole_model, tmp_path, capsys):
    at = tmp_path / "model"
    shutil.copytree(whole_model, at)
    BROKEN[fault](at)
    for args in (
        ["eval", "TLDR-v0", "--episodes", "1", "--out", str(tmp_path / "e"), "--policy", f"hf:{at}"],
        ["train", "magrpo", "--model", str(at), "--env", "TLDR-v0", "--out", str(tmp_path / "t")],
    ):
        assert main.main(args) == 2
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith(f"collm {args[0]}: ")
        assert "Traceback" not in last
    assert not (tmp_path / "t").exists()


def test_the_presets_are_for_the_embedded_model_alone():
    assert is_tiny("tiny", ())
    assert is_tiny("other", ("tiny", "tiny"))
    assert not is_tiny("tiny", ("tiny", "other"))
