"""On a GPU: a random Qwen3-1.7B-shaped model in bf16, two agents, MAGRPO, 256 new tokens.

    python tests/bench/gpu_speed.py OUT [full|lora|full-graphs|lora-graphs]...

`-graphs` writes texts by CUDA graphs.  For each kind (all by default) prints and appends to
OUT/gpu_speed.jsonl one JSON line: tokens a second of sampling and of the update, peak memory, and the
update's share of the chip's dense bf16 peak (6 N operations a trained token; `PEAK` is the H200's, set
COLLM_PEAK_TFLOPS for another chip).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from speed_task import QWEN3_1_7B, LengthRatio, build_model

from baselines import magrpo
from baselines.play import rollout

PEAK = float(os.environ.get("COLLM_PEAK_TFLOPS", "989")) * 1e12
EPISODES, GROUP, NEW = 64, 4, 256


def measure(folder: str, kind: str) -> dict[str, float | str]:
    """Two updates after one to warm up."""
    task = LengthRatio()
    config = magrpo.Config(
        model=folder,
        bf16=True,
        device="cuda",
        episodes=EPISODES,
        group=GROUP,
        steps=3,
        max_new_tokens=NEW,
        lora_rank=16 if kind.startswith("lora") else 0,
        gradient_checkpointing=kind.startswith("full"),
        cuda_graphs=kind.endswith("-graphs"),
    )
    team = magrpo.team(config, task)
    spent = {"sample": 0.0, "update": 0.0}
    tokens = {"update": 0}
    play, learn = rollout.play, team.learn

    def timed_play(*args, **kwargs):
        torch.cuda.synchronize()
        start = time.perf_counter()
        out = play(*args, **kwargs)
        torch.cuda.synchronize()
        spent["sample"] += time.perf_counter() - start
        return out

    def timed_update(lessons, settings):
        start = time.perf_counter()
        out = learn(lessons, settings)
        torch.cuda.synchronize()
        spent["update"] += time.perf_counter() - start
        for lesson in lessons.values():
            tokens["update"] += sum(len(s.ids) for move in lesson.moves for s in move.chain())
        return out

    magrpo.play, team.learn = timed_play, timed_update
    steps = magrpo.train(config, task, team)
    next(steps)
    spent.update(sample=0.0, update=0.0)
    tokens.update(update=0)
    torch.cuda.reset_peak_memory_stats()
    sampled = sum(metrics["tokens"] for metrics in steps)
    size = sum(p.numel() for p in team.policies["agent_0"].causal.parameters())
    magrpo.play = play
    return {
        "kind": kind,
        "chip": torch.cuda.get_device_name(),
        "parameters": size,
        "sample_tokens_per_s": sampled / spent["sample"],
        "update_tokens_per_s": tokens["update"] / spent["update"],
        "joint_samples_per_s": sampled / NEW / 2 / sum(spent.values()),
        "update_share_of_peak": 6 * size * tokens["update"] / spent["update"] / PEAK,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30,
    }


def main(out: str, kinds: list[str]) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("gpu_speed: torch sees no GPU here")
    with tempfile.TemporaryDirectory() as folder:
        build_model(Path(folder), **QWEN3_1_7B, dtype="bfloat16")
        torch.set_default_dtype(torch.float32)
        for kind in kinds or ["lora", "lora-graphs", "full", "full-graphs"]:
            line = json.dumps(measure(folder, kind))
            print(line, flush=True)
            with (Path(out) / "gpu_speed.jsonl").open("a") as file:
                file.write(line + "\n")
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
