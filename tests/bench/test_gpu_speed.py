"""Every measurement of gpu_speed.py runs on a CPU, at a toy size."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from baselines.lm import threads

sys.path.append(str(Path(__file__).parent))
import gpu_speed


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_kind_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(threads, "SMALL", 0)  # as a large model: prompts are shared, updates read trees
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "not" / "there"
    gpu_speed.main(str(out), [])
    lines = [json.loads(line) for line in (out / "gpu_speed.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines][: len(gpu_speed.KINDS)] == [*gpu_speed.KINDS]
    assert all(line["joint_samples_per_s"] > 0 for line in lines)
    assert {line["precision"].replace("frozen float32, ", "") for line in lines} == {"trained float32"}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", line["date"]) and "commit" in line for line in lines)


def test_a_kind_that_is_none_is_refused_by_name(tmp_path):
    with pytest.raises(SystemExit, match="no kind 'lora-graph'; there are lora, "):
        gpu_speed.main(str(tmp_path), ["lora-graph"])


def test_the_documentation_has_a_command_for_every_kind():
    page = (Path(__file__).parents[2] / "docs/placement.md").read_text(encoding="utf-8")
    commands = re.findall(r"gpu_speed\.py OUT (.*)", page)
    assert sorted(" ".join(commands).split()) == sorted([*gpu_speed.KINDS, *gpu_speed.PEERS])
