"""Runs that are killed, stopped, starved of disk and damaged go on to the very end they would have had."""

import multiprocessing
import os
import signal
import time
from random import Random

import pytest
import torch
from kill_runs import TRAPS, go
from lm_fixtures import save, words_tokenizer
from run_folders import leaves, lines
from toy_games import Answer

from baselines.runs import run
from baselines.runs.checkpoint import load_last, steps

LONG_S = 600.0
"""so long takes nothing that works, however busy the machine"""
ALGORITHMS = {
    "reinforce": {"group": 2, "baseline": "mean"},
    "magrpo": {"group": 2, "schedule": "linear"},
    "maac": {"critic_epochs": 2, "critic_lr": 0.01},
}


@pytest.fixture(scope="module")
def processes():
    """A server that has imported everything, loaded a model once, and forks a process for every run."""
    context = multiprocessing.get_context("forkserver")
    algorithms = [f"baselines.{name}" for name in ALGORITHMS]
    context.set_forkserver_preload(["pytest", *algorithms, "toy_games", "loaded_once"])
    return context


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return save(folder, "qwen3", words_tokenizer(Answer.vocabulary()))


def settings(name, model, out, count=12):
    return ALGORITHMS[name] | {
        "env": "toy_games:Answer-v0",
        "env_kwargs": {"turns": 2},
        "model": model,
        "out": str(out),
        "steps": count,
        "episodes": 8,
        "max_new_tokens": 3,
        "lr": 0.01,
        "eval_every": 3,
        "eval_episodes": 4,
        "save_every": 1,
        "device": "cpu",
    }


@pytest.fixture(scope="module")
def undisturbed(processes, model, tmp_path_factory):
    """(algorithm, steps) -> folder of a run nobody touched, and its seconds."""
    made = {}

    def run_of(name, count=12):
        if (name, count) not in made:
            out = tmp_path_factory.mktemp(name) / "run"
            start = time.monotonic()
            assert start_run(processes, name, settings(name, model, out, count)).exitcode == 0
            made[name, count] = out, time.monotonic() - start
        return made[name, count]

    return run_of


def start_run(processes, *arguments, wait=True):
    process = processes.Process(target=go, args=arguments)
    process.start()
    if wait:
        process.join(LONG_S)
    return process


def assert_same_end(out, wanted):
    assert sorted(path.name for path in wanted.iterdir()) == sorted(
        path.name for path in out.iterdir() if path.name != "said"
    )
    for agent in ("agent_0", "agent_1"):
        file = f"{agent}/model.safetensors"
        assert (out / file).read_bytes() == (wanted / file).read_bytes()
    mine, theirs = (leaves(load_last(folder / "checkpoints")) for folder in (out, wanted))
    assert len(mine) == len(theirs) > 50
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b) if torch.is_tensor(a) else a == b
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(out / name) == lines(wanted / name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name != "maac" else []) for name in ALGORITHMS]
)
def test_a_run_killed_at_the_worst_points_ends_in_the_same_bits(
    processes, undisturbed, model, tmp_path, name
):
    wanted, _ = undisturbed(name)
    config = settings(name, model, tmp_path / "run")
    for trap in TRAPS:
        if trap != "full disk":
            assert start_run(processes, name, config, trap, 3).exitcode == -signal.SIGKILL, trap
    assert start_run(processes, name, config).exitcode == 0
    assert_same_end(tmp_path / "run", wanted)


def kill_at_random(processes, undisturbed, model, out, name, kills, seed, count=12):
    wanted, seconds = undisturbed(name, count)
    config, rng = settings(name, model, out, count), Random(seed)
    for step in sorted(rng.randrange(count - 1) for _ in range(kills)):
        process = start_run(processes, name, config, wait=False)
        while process.is_alive() and logged(out) < step:
            time.sleep(0.002)
        process.join(rng.uniform(0, 2 * seconds / count))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)  # 0: it was done before
    assert start_run(processes, name, config).exitcode == 0
    assert_same_end(out, wanted)


def logged(out):
    """The steps that a run has logged so far."""
    metrics = out / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


def test_a_run_killed_at_random_moments_ends_in_the_same_bits(processes, undisturbed, model, tmp_path):
    kill_at_random(processes, undisturbed, model, tmp_path / "run", "magrpo", 3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_run_killed_at_20_random_moments_ends_in_the_same_bits(
    processes, undisturbed, model, tmp_path, name
):
    kill_at_random(processes, undisturbed, model, tmp_path / "run", name, 20, 2, count=20)


def test_ctrl_c_finishes_the_step_in_hand_and_leaves_a_checkpoint(processes, undisturbed, model, tmp_path):
    wanted, _ = undisturbed("reinforce")
    out = tmp_path / "run"
    config = settings("reinforce", model, out) | {"save_every": 0}
    process = start_run(processes, "reinforce", config, wait=False)
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").read_text():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    process.join(LONG_S)
    assert process.exitcode == 3
    (saved,) = steps(out / "checkpoints")
    assert (out / "said").read_text().startswith(f"stopped at step {saved}; `collm train --resume")
    assert len(lines(out / "metrics.jsonl")) == saved < 12
    assert start_run(processes, "reinforce", config).exitcode == 0
    assert steps(out / "checkpoints") == [saved, 12]
    for agent in ("agent_0", "agent_1"):
        file = f"{agent}/model.safetensors"
        assert (out / file).read_bytes() == (wanted / file).read_bytes()


def test_a_full_disk_says_so_and_loses_nothing_older(processes, undisturbed, model, tmp_path):
    wanted, _ = undisturbed("maac")
    config = settings("maac", model, tmp_path / "run")
    assert start_run(processes, "maac", config, "full disk", 7).exitcode == 4
    said = (tmp_path / "run/said").read_text()
    assert "checkpoint of step 4 could not be written" in said
    assert "the checkpoints before it are untouched" in said
    assert steps(tmp_path / "run/checkpoints") == [2, 3]
    assert start_run(processes, "maac", config).exitcode == 0
    assert_same_end(tmp_path / "run", wanted)


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(processes, undisturbed, model, tmp_path):
    wanted, _ = undisturbed("maac")
    out = tmp_path / "run"
    config = settings("maac", model, out)
    start_run(processes, "maac", config, "in an update", 20)
    newest = steps(out / "checkpoints")[-1]
    state = out / "checkpoints" / f"step-{newest:08d}" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=f"step-{newest:08d} is damaged"):
        run.resume(out, quiet=True)
    assert_same_end(out, wanted)


def test_another_seed_is_another_run(processes, undisturbed, model, tmp_path):
    wanted, _ = undisturbed("reinforce")
    config = settings("reinforce", model, tmp_path / "run") | {"seed": 1}
    assert start_run(processes, "reinforce", config).exitcode == 0
    file = "agent_0/model.safetensors"
    assert (tmp_path / "run" / file).read_bytes() != (wanted / file).read_bytes()
    assert lines(tmp_path / "run/metrics.jsonl") != lines(wanted / "metrics.jsonl")


def test_a_folder_with_a_run_is_not_overwritten(undisturbed):
    wanted, _ = undisturbed("reinforce")
    _, config = run.load_config(wanted)
    with pytest.raises(ValueError, match="holds a run already; `collm train --resume"):
        run.train("reinforce", config)


def test_a_finished_run_resumed_stays_as_it_is(processes, undisturbed, model, tmp_path):
    wanted, _ = undisturbed("reinforce")
    config = settings("reinforce", model, tmp_path / "run")
    for _ in range(2):
        assert start_run(processes, "reinforce", config).exitcode == 0
    assert_same_end(tmp_path / "run", wanted)


def test_a_folder_without_a_run_cannot_be_resumed(tmp_path):
    with pytest.raises(ValueError, match="holds no run"):
        run.resume(tmp_path)
