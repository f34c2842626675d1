"""SkyRL's Tinker server with its JAX back end, on this CPU: two adapters learn on it.

    COLLM_SKYRL_PYTHON=PYTHON pytest tests/engines/test_skyrl.py

PYTHON is 3.12 or later and has skyrl (`make engine-skyrl`); the SDK has the version that the server wants.
"""

import json
import os
import subprocess
import time
from pathlib import Path
from random import Random
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from folders import ROOT
from frameworks import need

need("tinker", "0.25")

from baselines import magrpo
from baselines.lm.tiny import model as tiny
from baselines.runs import run
from baselines.train.placement.tinker_networks import connect
from baselines.train.placement.tinker_policy import Habits
from baselines.train.placement.tinker_probe import probe, refuse
from baselines.train.presets import ENVS

PYTHON = os.environ.get("COLLM_SKYRL_PYTHON", "")
KWARGS = ENVS["StrBuild-v0"].env_kwargs
LIMITS = {"max_lora_adapters": 8, "max_lora_rank": 8, "sample_max_num_sequences": 16}
START_S = 600

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="COLLM_SKYRL_PYTHON names no Python 3.12 with skyrl"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # the SDK leaves its connections open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def base():
    return str(tiny.folder("StrBuild-v0", KWARGS))


@pytest.fixture(scope="module")
def url(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("skyrl")
    port, log = Random(os.getpid()).randrange(20000, 30000), folder / "log"
    words = ["--base-model", base, "--backend", "jax", "--backend-config", json.dumps(LIMITS)]
    words += ["--checkpoints-base", str(folder), "--database-url", f"sqlite:///{folder}/db"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)  # this Python's packages are not the server's
    with log.open("w") as out:
        process = subprocess.Popen(
            [PYTHON, str(ROOT / "tests/support/skyrl_server.py"), *words, "--port", str(port)],
            env=environment,
            stdout=out,
            stderr=out,
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(START_S):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            urlopen(f"{address}/api/v1/healthz", timeout=5).close()
            break
        except (URLError, OSError):
            time.sleep(1)
    yield address
    process.terminate()
    process.wait()


def test_the_probe_finds_a_server_that_can_be_trained_on(url, base):
    findings = probe(connect(url), base, rank=8)
    assert findings.habits == Habits(by_rows=True, by_tokens=True, clips=False)
    assert findings.strayed == 0
    assert findings.sampled < 1e-5
    refuse(findings, float("inf"))


def test_two_agents_learn_the_smallest_words(url, base, tmp_path):
    """Texts by the server's sampler, steps by its trainer, checkpoints by their names there."""
    where = {"placement": "tinker", "tinker_url": url, "model": base, "lora_rank": 8, "device": "cpu"}
    size = {"steps": 16, "episodes": 16, "group": 4, "max_new_tokens": 100, "eval_episodes": 16}
    config = magrpo.Config(
        env="StrBuild-v0", env_kwargs=KWARGS, **where, **size, lr=3e-3, max_grad_norm=float("inf"),
        temperature=1.0, top_p=1.0, top_k=0, eval_every=0, out=str(tmp_path / "run"),
    )  # fmt: skip
    out = run.train("magrpo", config, quiet=True)
    before, after = (json.loads(line)["return"] for line in (out / "eval.jsonl").read_text().splitlines())
    gaps = [
        json.loads(line)["sampled_vs_scored"] for line in (out / "metrics.jsonl").read_text().splitlines()
    ]
    assert max(gaps) < 1e-3
    assert after > before + 0.2
    assert Path(out, "agent_1/tinker_path").read_text().startswith("tinker://")
