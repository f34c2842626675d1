"""Joint samples a second of training, beside CoMLRL, TRL (one agent) and a bare decode and backward pass.

    COLLM_PEER_PYTHON=/path/to/python pytest -m bench -s tests/bench/test_train_speed.py

The peer's Python has `comlrl==1.4.3`, `trl==1.16.0` and collm; without it only our side and the bound are
timed.  Every figure is a process of its own; the sides take turns, three times, and medians are shown.  Ours
steps once for 64 episodes, CoMLRL at its defaults (2 prompts of 4, 8 samples), TRL once for 64 texts; model,
reward, sampling and threads are the same.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from bench_scripts import timed

HERE = Path(__file__).parent
ROUNDS = 3
MODULES = ", transformers' modules"
OURS = {
    "bound, 1 turn": ("bound", 1, 4, "own"),
    "bound, 2 turns, a critic for each": ("bound-iac", 2, 1, "own"),
    "bound, 2 turns, a central critic": ("bound-maac", 2, 1, "own"),
    "MAGRPO, 1 turn": ("magrpo", 1, 4, "own"),
    "MAGRPO, 1 turn" + MODULES: ("magrpo", 1, 4, "modules"),
    "CoLLM-DC, 2 turns": ("iac", 2, 1, "own"),
    "CoLLM-CC, 2 turns": ("maac", 2, 1, "own"),
    "CoLLM-DC, 2 turns" + MODULES: ("iac", 2, 1, "modules"),
    "CoLLM-CC, 2 turns" + MODULES: ("maac", 2, 1, "modules"),
    "MAGRPO, 1 agent": ("magrpo1", 1, 4, "own"),
}
BOUND = {
    "magrpo": "bound, 1 turn",
    "iac": "bound, 2 turns, a critic for each",
    "maac": "bound, 2 turns, a central critic",
}
PEER = {
    "MAGRPO, 1 turn": ("magrpo", 1, 4),
    "CoLLM-DC, 2 turns": ("iac", 2, 1),
    "CoLLM-CC, 2 turns": ("maac", 2, 1),
}


@pytest.mark.bench
@pytest.mark.parametrize("threads", [1, 2])
def test_joint_samples_per_second_beside_the_peer_and_the_bound(tmp_path, threads):
    folder, peer = tmp_path / "model", os.environ.get("COLLM_PEER_PYTHON", "")
    subprocess.run([sys.executable, HERE / "speed_task.py", folder, "{}"], check=True, capture_output=True)
    runs: dict[tuple[str, str], list[dict[str, float]]] = {}
    for _ in range(ROUNDS):
        for name, (algorithm, turns, group, engine) in OURS.items():
            line = timed(sys.executable, "ours_speed.py", algorithm, folder, turns, group, threads, engine)
            runs.setdefault(("ours", name), []).append(line)
        for name, (algorithm, turns, group) in PEER.items() if peer else ():
            line = timed(peer, "peer_comlrl.py", algorithm, folder, turns, group, threads)
            runs.setdefault(("peer", name), []).append(line)
        if peer:
            line = timed(peer, "peer_trl.py", folder, 4, threads)
            runs.setdefault(("peer", "MAGRPO, 1 agent"), []).append(line)
    clock = "cpu_s" if threads == 1 else "wall_s"  # two threads spin while they wait: only the wall tells
    rate = {key: statistics.median(r["samples"] / r[clock] for r in lines) for key, lines in runs.items()}
    memory = {key: max(r["peak_mb"] for r in lines) for key, lines in runs.items()}
    print(f"\n{threads} threads, joint samples per second ({clock})")
    for (side, name), value in rate.items():
        peers, bound = rate.get(("peer", name.removesuffix(MODULES))), ""
        ratio = f"{value / peers:5.1f} x the peer" if side == "ours" and peers else ""
        if side == "ours" and OURS[name][0] in BOUND:
            bound = f"{rate['ours', BOUND[OURS[name][0]]] / value:5.2f} x the bound's time"
        print(f"{side:5} {name:42} {value:7.1f} {memory[side, name]:6.0f} MB  {ratio:18} {bound}")
    assert all(value > 0 for value in rate.values())
