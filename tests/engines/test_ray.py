"""Actors of Ray: runs end in the bits of local ones, whatever is killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import torch
from folders import ROOT
from frameworks import need
from lm_fixtures import save, words_tokenizer
from run_folders import leaves, lines
from toy_games import Answer
from vllm_stub import VLLM, serving

from baselines.lm.tiny import model as tiny
from baselines.runs.checkpoint import load_last
from baselines.train.presets import ENVS

need("ray", "2.40")

LONG_S = 3600.0
"""so long takes nothing that works, however busy the machine"""
TOY = [
    *("--env", "toy_games:Answer-v0", "--env-kwargs", '{"turns": 2}', "--steps", "12", "--episodes", "8"),
    *("--max-new-tokens", "3", "--lr", "0.01", "--eval-every", "3", "--eval-episodes", "4"),
    *("--save-every", "1", "--device", "cpu"),
]
TINY = [
    *("--env", "StrBuild-v0", "--steps", "6", "--episodes", "16", "--eval-episodes", "4", "--device", "cpu"),
]
KINDS = {
    "MAGRPO": ["magrpo"],
    "CoLLM-CC": ["maac"],
    "CoLLM-DC": ["maac", "--critic", "decentral"],
    "CORY": ["cory", "--max-new-tokens", "100", "--lr", "3e-4"],
}


def start(arguments, out):
    """`collm train` in a process of its own, which goes on where `out` holds a run."""
    resumed = (out / "config.json").exists()
    call = ["--resume", str(out)] if resumed else [*arguments, "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "baselines", "train", *call],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests/support'}", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def train(arguments, out):
    process = start(arguments, out)
    _, log = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, log
    return log


def assert_same_end(out, wanted):
    mine, theirs = (leaves(load_last(folder / "checkpoints")) for folder in (out, wanted))
    assert len(mine) == len(theirs) > 50
    for a, b in zip(mine, theirs, strict=True):
        assert torch.equal(a, b) if torch.is_tensor(a) else a == b
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(out / name) == lines(wanted / name)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    model = save(tmp_path_factory.mktemp("model"), "qwen3", words_tokenizer(Answer.vocabulary()))
    return [*TOY, "--model", model]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_run_on_ray_is_the_local_run_bit_by_bit(name, tmp_path):
    arguments = [*KINDS[name], *TINY]
    if name == "CORY":  # one agent, with the warm start that two have: there is none of its own
        kwargs = ENVS["StrBuild-v0"].env_kwargs
        arguments += ["--env-kwargs", json.dumps({**kwargs, "num_agents": 1})]
        arguments += ["--model", str(tiny.folder("StrBuild-v0", kwargs))]
    train(arguments, tmp_path / "here")
    train([*arguments, "--placement", "ray"], tmp_path / "away")
    assert_same_end(tmp_path / "away", tmp_path / "here")


def actors_of(driver):
    """The processes of a driver's actors, by Ray's names for them."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parents = ancestors(int(entry.name))
        except OSError:
            continue
        if line.startswith("ray::Host") and driver in parents:
            found[int(entry.name)] = line
    return found


def ancestors(pid):
    out = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        out.append(pid)
    return out


def cpu_seconds(pid):
    """Of one process so far, its children apart."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def logged(out):
    metrics = out / "metrics.jsonl"
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


@pytest.mark.slow
def test_actors_and_drivers_killed_at_random_moments_change_no_bit(toy, tmp_path):
    rng = Random(1)
    arguments = ["maac", "--critic", "decentral", "--critic-lr", "0.01", *toy]
    train(arguments, tmp_path / "here")
    out = tmp_path / "away"
    process = start([*arguments, "--placement", "ray"], out)
    for step in sorted(rng.randrange(11) for _ in range(10)):
        while process.poll() is None and logged(out) < step:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        actors = [*actors_of(process.pid)]
        if rng.random() < 0.3 or not actors:
            process.kill()
            process.communicate(timeout=LONG_S)
            process = start([*arguments, "--placement", "ray"], out)
        else:
            os.kill(rng.choice(actors), signal.SIGKILL)
    _, log = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, log
    assert_same_end(out, tmp_path / "here")


@pytest.mark.slow
def test_agents_in_actors_of_their_own_write_by_one_server(toy, tmp_path, monkeypatch):
    """Each actor asks the server for its texts and publishes its adapter, also after one was killed."""
    monkeypatch.chdir(tmp_path)
    adapters = ["magrpo", "--group", "2", *toy, "--lora-rank", "2"]
    for out, placement in (("here", ()), ("away", ("--placement", "ray"))):
        server = VLLM(toy[-1])
        with serving(server) as url:
            process = start([*adapters, "--sampler", f"vllm:{url}", *placement], Path(out))
            killed = not placement
            while process.poll() is None and not killed:
                if logged(Path(out)) >= 3 and (actors := [*actors_of(process.pid)]):
                    os.kill(actors[0], signal.SIGKILL)
                    killed = True
                time.sleep(0.01)
            _, log = process.communicate(timeout=LONG_S)
        assert process.returncode == 0, log
        assert ("was lost" in log) == bool(placement)
        loaded = {body["lora_path"] for path, body in server.requests if path == "/v1/load_lora_adapter"}
        assert {Path(path).parent for path in loaded} == {tmp_path / out / "published"}
    assert_same_end(tmp_path / "away", tmp_path / "here")


@pytest.mark.bench
@pytest.mark.parametrize("name", ["MAGRPO", "CoLLM-CC", "CoLLM-DC"])
def test_the_driver_takes_a_small_share_of_the_cpu_seconds(name, tmp_path):
    """From the log of step 2 to that of step 14 of a run with the embedded model, as `TINY` but longer."""
    out = tmp_path / "run"
    process = start([*KINDS[name], *TINY, "--steps", "16", "--eval-every", "0", "--placement", "ray"], out)
    spent = []
    for step in (2, 14):
        while process.poll() is None and logged(out) < step:
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
        spent.append({pid: cpu_seconds(pid) for pid in (process.pid, *actors_of(process.pid))})
    process.communicate(timeout=LONG_S)
    assert spent[0].keys() == spent[1].keys()
    seconds = {pid: spent[1][pid] - spent[0][pid] for pid in spent[0]}
    share = seconds[process.pid] / sum(seconds.values())
    print(f"\n{name}: {sum(seconds.values()):.1f} CPU s in 12 steps, {share:.1%} of them the driver's")
    assert share < 0.08


def test_a_cluster_that_is_too_small_is_refused_in_a_line(toy, tmp_path):
    process = start(["magrpo", *toy, "--placement", "ray", "--gpus-per-agent", "99"], tmp_path / "run")
    _, log = process.communicate(timeout=LONG_S)
    assert process.returncode == 2
    assert "the actors of agent_0, agent_1 need 198 GPUs, the Ray cluster has" in log.splitlines()[-1]
    assert not (tmp_path / "run").exists() or not json.loads((tmp_path / "run/config.json").read_text())


def test_a_run_with_replicas_goes_on_without_one_that_was_killed(toy, tmp_path):
    out = tmp_path / "run"
    process = start(["magrpo", "--group", "2", *toy, "--placement", "ray", "--replicas", "2"], out)
    while process.poll() is None and logged(out) < 2:
        time.sleep(0.01)
    actors = [*actors_of(process.pid)]
    assert len(actors) == 4
    os.kill(actors[0], signal.SIGKILL)
    _, log = process.communicate(timeout=LONG_S)
    assert process.returncode == 0, log
    assert "was lost" in log
    assert "all agents go on from step" in log
    assert logged(out) == 12
