"""`collm plan` against the memory that runs take on a CPU.

    COLLM_TEST_MODEL=FOLDER pytest -m bench -s tests/bench/test_plan_memory.py

FOLDER holds a model of 135 million parameters.  About two CPU minutes.
"""

from __future__ import annotations

import os
import sys

import pytest
from bench_scripts import timed

from baselines.runs.planning import PROGRAM

TLDR = ("--env", "TLDR-v0", "--env-kwargs", '{"prompts": "terse"}', "--max-new-tokens", "12", "--steps", "1")
FEW = ("--episodes", "4", "--eval-episodes", "2")
SMALL = (*TLDR, *FEW, "--group", "4")
RUNS = {
    "tiny, two agents": ("magrpo", "--steps", "1"),
    "full weights, two agents": ("magrpo", *SMALL),
    "LoRA, two agents": ("magrpo", "--lora-rank", "16", *SMALL),
    "LoRA, four agents": ("magrpo", "--lora-rank", "16", "--agents", "4", *SMALL),
    "LoRA, two agents, a central critic": (
        "maac",
        "--lora-rank",
        "16",
        *TLDR,
        "--episodes",
        "8",
        "--eval-episodes",
        "8",
    ),
}


@pytest.mark.bench
def test_a_plan_is_within_a_fifth_of_what_a_run_takes(tmp_path):
    folder, ratios = os.environ.get("COLLM_TEST_MODEL", ""), {}
    print("\nGB: measured (without the program), planned (without the program), planned / measured")
    for k, (name, (algorithm, *flags)) in enumerate(RUNS.items()):
        if name.startswith("tiny"):
            words = flags
        elif folder:
            words = ["--model", folder, *flags]
        else:
            continue
        line = timed(sys.executable, "plan_memory.py", tmp_path / str(k), algorithm, *words)
        measured, planned = line["peak"], line["plan"]
        ratios[name] = planned / measured
        own = (measured - line["base"]) / 1e9, (planned - PROGRAM["cpu"]) / 1e9
        cells = f"{measured / 1e9:6.2f} ({own[0]:.2f}) {planned / 1e9:6.2f} ({own[1]:.2f})"
        print(f"{name:36} {cells} {ratios[name]:5.2f}", flush=True)
    assert all(0.8 < ratio < 1.2 for ratio in ratios.values()), ratios
