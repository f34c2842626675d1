"""A training step on a real model beside CoMLRL and TRL.

    COLLM_TEST_MODEL=FOLDER COLLM_PEER_PYTHON=PYTHON pytest -m bench -s tests/bench/test_real_speed.py

PYTHON has `comlrl==1.4.3`, `trl==1.16.0`, peft and collm; without it only our side is timed.
Every figure is a process of its own with one thread; the sides take turns, and medians of COLLM_ROUNDS (3)
are shown.  `-k lora` leaves full weights out.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping, Sequence

import pytest
from bench_scripts import timed

PEERS = {"ours-2": "comlrl", "ours-2-mixed": "comlrl", "ours-1": "trl"}
"""our side, by its number of agents -> the peer beside it; of full weights no batches are mixed"""


def row(lines: Sequence[Mapping]) -> tuple[float, float, float, float, float]:
    """Medians of joint samples and tokens of a CPU second, of CPU seconds writing and in all; peak MB."""
    samples, tokens = (
        statistics.median(line[name] / line["cpu"]["all"] for line in lines) for name in ("samples", "tokens")
    )
    rollout, total = (statistics.median(line["cpu"][name] for line in lines) for name in ("rollout", "all"))
    return samples, tokens, rollout, total, max(line["mb"] for line in lines)


@pytest.mark.bench
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_steps_on_a_real_model_beside_the_peers(kind):
    folder, peer = os.environ.get("COLLM_TEST_MODEL", ""), os.environ.get("COLLM_PEER_PYTHON", "")
    if not folder:
        pytest.skip("COLLM_TEST_MODEL does not name the folder of a model")
    ours = [side for side in PEERS if kind == "lora" or "mixed" not in side]
    pythons = {**dict.fromkeys(ours, sys.executable), **dict.fromkeys(PEERS.values(), peer)}
    runs: dict[str, list[dict]] = {}
    for _ in range(int(os.environ.get("COLLM_ROUNDS", "3"))):
        for side, python in pythons.items():
            if python:
                runs.setdefault(side, []).append(timed(python, "real_speed.py", side, folder, kind, 1))
    rows = {side: row(lines) for side, lines in runs.items()}
    print(f"\n{kind}: joint samples, tokens of a CPU second; CPU seconds writing, in all; peak memory")
    for side, (samples, tokens, rollout, total, peak) in rows.items():
        ratio = f"{samples / rows[PEERS[side]][0]:5.2f} x {PEERS[side]}" if PEERS.get(side) in rows else ""
        print(f"{side:12} {samples:6.2f} {tokens:7.1f} {rollout:6.1f} {total:6.1f} {peak:6.0f} MB  {ratio}")
    assert all(samples > 0 for samples, *_ in rows.values())
