"""Each measure for one GPU against its absence, and CoMLRL: MAGRPO, a random Qwen3-1.7B-shaped model.

    COLLM_PEER_PYTHON=PYTHON python tests/bench/gpu_speed.py OUT [KIND]...

A KIND is a name of `KINDS`, all by default; `lora` and `full` are what the others are compared with.  For
each, prints and appends to OUT/gpu_speed.jsonl one JSON line: tokens a second of sampling and of the update,
joint samples a second, peak memory, and the update's share of the chip's dense bf16 peak (6 N operations a
trained token; `PEAK` is the H200's, set COLLM_PEAK_TFLOPS for another chip); the precision of the weights,
the commit and the date.  PYTHON has comlrl and collm; without it CoMLRL is left out.  Where torch sees no
GPU, all run at a toy size, in float32 and graphs without the capture, which shows that they run, and nothing
of their speed.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from speed_task import QWEN3_1_7B, LengthRatio, build_model, precision

from baselines import magrpo
from baselines.lm import policy
from baselines.lm.engines import Masks
from baselines.lm.packing import Batch, Tree
from baselines.play import rollout
from baselines.train.team import Team

PEAK = float(os.environ.get("COLLM_PEAK_TFLOPS", "989")) * 1e12


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    device: str
    shape: Mapping[str, int]
    """of the model, as `build_model` takes it"""
    episodes: int
    new: int
    """tokens of a text"""
    repeats: int
    """how often a prompt says its ten words"""
    dtype: str
    """of the weights on disk, which CoMLRL trains as they are"""
    group: int = 4


GPU = Size("cuda", QWEN3_1_7B, episodes=64, new=256, repeats=40, dtype="bfloat16")
TOY = Size("cpu", {}, episodes=8, new=6, repeats=10, dtype="float32")
STEPS = 3
"""of a training; the first is to warm up, and not counted"""


@contextmanager
def rows_alone() -> Iterator[None]:
    """Updates with a row for each text: prompts are read again for each, and no row needs a mask."""
    batches = policy.batches
    with patch.object(policy, "batches", lambda *args, shared: batches(*args, shared=False)):
        yield


@contextmanager
def dense_rows() -> Iterator[None]:
    """The same with a dense mask, which keeps flash attention out."""
    inputs = Masks.inputs

    def dense(masks: Masks, batch: Batch) -> dict[str, Any]:
        B, P = batch.ids.shape
        full = torch.ones(P, P, dtype=torch.bool, device=batch.ids.device).tril().expand(B, 1, P, P)
        return inputs(masks, replace(batch, tree=Tree(full, torch.arange(P).to(full.device).expand(B, P))))

    with rows_alone(), patch.object(Masks, "inputs", dense):
        yield


def copied(team: Team) -> None:
    """Every text of a group keeps a copy of the keys and values of its prompt."""
    for lm in team.policies.values():
        lm.engine.shares = False


def steady_on_a_cpu(team: Team) -> None:
    """Fixed shapes without the capture, where a GPU would have `cuda_graphs`."""
    for lm in team.policies.values():
        lm.steady = lm.steady or lm.device.type == "cpu"


@dataclass(frozen=True)
class Kind:
    """A way to train."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    adjust: Callable[[Team], None] = lambda team: None
    within: Callable[[], AbstractContextManager[None]] = nullcontext


BASES = {"lora": {"lora_rank": 16}, "full": {"gradient_checkpointing": True}}
PARTS = {
    "": Kind(),
    "-graphs": Kind({"cuda_graphs": True}, steady_on_a_cpu),
    "-copies": Kind(adjust=copied),
    "-float32": Kind({"bf16": False}),
    "-rows": Kind(within=rows_alone),
    "-rows-dense": Kind(within=dense_rows),
}
KINDS = {
    base + part: replace(kind, settings={**own, **kind.settings})
    for base, own in BASES.items()
    for part, kind in PARTS.items()
}
KINDS["lora-mixed"] = Kind({**BASES["lora"], "mixed_batches": True})
PEERS = {"comlrl-lora": 16, "comlrl-full": 0}
"""CoMLRL with adapters of this rank, or with all weights"""


def measure(folder: str, name: str, size: Size) -> dict[str, float | str]:
    """The figures of a training of ours."""
    kind, task = KINDS[name], LengthRatio(repeats=size.repeats)
    settings = {"bf16": True, **kind.settings}
    if size.device == "cpu":  # which would refuse both
        settings |= {"bf16": False, "cuda_graphs": False}
    config = magrpo.Config(
        model=folder,
        device=size.device,
        episodes=size.episodes,
        group=size.group,
        steps=STEPS,
        max_new_tokens=size.new,
        **settings,
    )
    with kind.within():
        team = magrpo.team(config, task)
        kind.adjust(team)
        return {"kind": name, **timed_steps(config, task, team, size)}


def timed_steps(config: magrpo.Config, task: LengthRatio, team: Team, size: Size) -> dict[str, float | str]:
    """The seconds of sampling and of updates in all steps but the first, and what was done in them."""
    spent, tokens = {"sample": 0.0, "update": 0.0}, {"update": 0}
    play, learn = rollout.play, team.learn
    cuda = size.device == "cuda"
    finish = torch.cuda.synchronize if cuda else lambda: None

    def timed_play(*args, **kwargs):
        finish()
        start = time.perf_counter()
        out = play(*args, **kwargs)
        finish()
        spent["sample"] += time.perf_counter() - start
        return out

    def timed_update(lessons, settings):
        start = time.perf_counter()
        out = learn(lessons, settings)
        finish()
        spent["update"] += time.perf_counter() - start
        for lesson in lessons.values():
            tokens["update"] += sum(len(s.ids) for move in lesson.moves for s in move.chain())
        return out

    with patch.object(magrpo, "play", timed_play), patch.object(team, "learn", timed_update):
        steps = magrpo.train(config, task, team)
        next(steps)
        spent.update(sample=0.0, update=0.0)
        tokens.update(update=0)
        if cuda:
            torch.cuda.reset_peak_memory_stats()
        sampled = sum(metrics["tokens"] for metrics in steps)
    lm = team.policies["agent_0"]
    weights = sum(p.numel() for p in lm.causal.parameters())
    return {
        "chip": torch.cuda.get_device_name() if cuda else "cpu",
        "parameters": weights,
        "precision": precision(lm.model, lm.autocast),
        "sample_tokens_per_s": sampled / spent["sample"],
        "update_tokens_per_s": tokens["update"] / spent["update"],
        "joint_samples_per_s": (STEPS - 1) * size.episodes / sum(spent.values()),
        "update_share_of_peak": 6 * weights * tokens["update"] / spent["update"] / PEAK,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0,
    }


def measure_peer(python: str, folder: str, name: str, size: Size) -> dict[str, float | str]:
    """CoMLRL's training: for each step of ours an epoch of as many joint samples, in smaller steps."""
    prompts = size.episodes // size.group
    numbers = (1, size.group, torch.get_num_threads(), size.new, size.repeats, PEERS[name], STEPS, prompts)
    command = [python, Path(__file__).with_name("peer_comlrl.py"), "magrpo", folder, *map(str, numbers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(done.stdout.splitlines()[-1])
    return {"kind": name, "joint_samples_per_s": line["samples"] / line["wall_s"], **line}


def origin() -> dict[str, str]:
    """The date, and the commit that is measured, `-dirty` where code was changed since; "" without git."""
    commit, line = "", ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    if shutil.which("git"):
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
        commit = done.stdout.strip()
    return {"commit": commit, "date": date.today().isoformat()}


def main(out: str, names: list[str]) -> None:
    size, peer = GPU if torch.cuda.is_available() else TOY, os.environ.get("COLLM_PEER_PYTHON", "")
    known = [*KINDS, *PEERS]
    if strange := sorted(set(names) - set(known)):
        raise SystemExit(f"gpu_speed: no kind {strange[0]!r}; there are {', '.join(known)}")
    Path(out).mkdir(parents=True, exist_ok=True)
    if size is TOY:
        print("gpu_speed: torch sees no GPU here: a toy size, whose figures say nothing", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        build_model(Path(folder), **size.shape, dtype=size.dtype)
        torch.set_default_dtype(torch.float32)
        for name in names or known:
            if name in KINDS:
                figures = measure(folder, name, size)
            elif peer:
                figures = measure_peer(peer, folder, name, size)
            else:
                print(f"{name}: left out, COLLM_PEER_PYTHON is not set", file=sys.stderr)
                continue
            line = json.dumps({**figures, **origin()})
            print(line, flush=True)
            with (Path(out) / "gpu_speed.jsonl").open("a") as file:
                file.write(line + "\n")
            gc.collect()  # a team in a cycle would stay on the device
            torch.cuda.empty_cache()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
