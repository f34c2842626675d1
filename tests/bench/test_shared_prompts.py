"""A group of eight that shares a prompt of 500 tokens, beside eight copies of it: CPU seconds and memory.

    COLLM_TEST_MODEL=FOLDER pytest -m bench -s tests/bench/test_shared_prompts.py

FOLDER holds a model of 135 million parameters.  About a CPU minute.
"""

from __future__ import annotations

import os
import time

import pytest
import torch

from baselines.lm.opening import Setup, open_all
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling

PROMPT, GROUP, WRITTEN, ROUNDS = 500, 8, 32, 3


def decoded(lm: LM, shares: bool) -> tuple[float, int]:
    """CPU seconds from the branching on, and bytes of keys and values at the end."""
    lm.engine.shares = shares
    talk = lm.converse(1, 0)
    talk.read(["word " * PROMPT])
    begin = time.process_time()
    group = talk.pick([0] * GROUP)
    group.write()
    seconds = time.process_time() - begin
    storages = {}
    for slab in group.memory.layers:
        for tensor in (slab.keys, slab.values, *(slab.prompt or ())):
            storages[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
    return seconds, sum(storages.values())


@pytest.mark.bench
def test_a_shared_prompt_takes_less_time_and_memory_than_copies():
    folder = os.environ.get("COLLM_TEST_MODEL", "")
    if not folder:
        pytest.skip("COLLM_TEST_MODEL does not name the folder of a model")
    torch.set_num_threads(1)
    lm = open_all({"agent": folder}, Setup(Sampling(max_new_tokens=WRITTEN), Context()))["agent"]
    lm.eos.clear()  # every text runs to its end
    runs: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for shares, lines in runs.items():
            lines.append(decoded(lm, shares))
    print("\na group of 8 behind 500 tokens: tokens of a CPU second while writing, MB of keys and values")
    for shares, lines in runs.items():
        seconds = min(line[0] for line in lines)
        name = "shared" if shares else "copied"
        print(f"{name}  {GROUP * WRITTEN / seconds:6.1f}  {lines[0][1] / 1e6:6.1f}")
    assert runs[True][0][1] < runs[False][0][1] / 2
