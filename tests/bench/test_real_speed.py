"""A training step on a real model beside CoMLRL and TRL.

    COLLM_TEST_MODEL=FOLDER COLLM_PEER_PYTHON=PYTHON pytest -m bench -s tests/bench/test_real_speed.py

PYTHON has `comlrl==1.4.3`, `trl==1.16.0`, peft and collm; without it only our side is timed.
Every figure is a process of its own with one thread; the sides take turns, and medians of COLLM_ROUNDS (3)
are shown.  A round takes about 5 CPU minutes at 135M parameters.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping

import pytest
from bench_scripts import timed

OURS = (("ours-2", "lora"), ("ours-2", "full"), ("ours-1", "lora"), ("ours-1", "full"))
PEERS = {
    ("ours-2", "full"): ("comlrl", "full"),
    ("ours-2", "lora"): ("comlrl", "full"),  # CoMLRL has no LoRA
    ("ours-1", "lora"): ("trl", "lora"),
    ("ours-1", "full"): ("trl", "full"),
}


def row(lines: list[Mapping], clock: str) -> tuple[float, float, float]:
    """Medians of joint samples and of written tokens a second, and the largest peak memory in MB."""
    samples = statistics.median(line["samples"] / line[clock]["all"] for line in lines)
    tokens = statistics.median(line["tokens"] / line[clock]["all"] for line in lines)
    return samples, tokens, max(line["peak_mb"] for line in lines)


@pytest.mark.bench
def test_a_step_on_a_real_model_beside_the_peers():
    folder, peer = os.environ.get("COLLM_TEST_MODEL", ""), os.environ.get("COLLM_PEER_PYTHON", "")
    if not folder:
        pytest.skip("COLLM_TEST_MODEL does not name the folder of a model")
    runs: dict[tuple[str, str], list[dict]] = {}
    for _ in range(int(os.environ.get("COLLM_ROUNDS", "3"))):
        for side, kind in OURS:
            line = timed(sys.executable, "real_speed.py", side, folder, kind, 1)
            runs.setdefault((side, kind), []).append(line)
        for side, kind in dict.fromkeys(PEERS.values()) if peer else ():
            line = timed(peer, "real_speed.py", side, folder, kind, 1)
            runs.setdefault((side, kind), []).append(line)
    rows = {key: row(lines, "cpu") for key, lines in runs.items()}
    print("\nof a CPU second: joint samples, written tokens; peak memory")
    for (side, kind), (samples, tokens, peak) in rows.items():
        beside = rows.get(PEERS.get((side, kind), ("", "")))
        ratio = f"{samples / beside[0]:5.2f} x {PEERS[side, kind][0]}" if beside else ""
        print(f"{side:7} {kind:5} {samples:6.2f} {tokens:7.1f} {peak:6.0f} MB  {ratio}")
    assert all(samples > 0 for samples, _, _ in rows.values())
