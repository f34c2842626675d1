"""verl's TinkerTrainingWorker takes the steps of a local policy (examples/verl_update), on this CPU."""

import json
import os
import subprocess
import sys

import pytest
from folders import ROOT
from frameworks import need
from lm_fixtures import save, words_tokenizer
from toy_games import Answer

need("verl", "0.9.1")


def test_verl_takes_the_steps_of_a_local_policy_with_clip_and_two_epochs(tmp_path):
    model = save(tmp_path / "model", "qwen3", words_tokenizer(Answer.vocabulary()))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/support/verl_steps.py"), model],
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["fresh"] < 1e-4
    assert found["moved"] > 100 * found["apart"]
    assert found["still"] == found["fresh"]
    for here, away in found["norms"]:
        assert away == pytest.approx(here, rel=1e-3)
