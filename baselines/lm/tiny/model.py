"""The embedded language model: small enough to learn our tasks on one CPU core, an ordinary model otherwise.

A Qwen3-shaped causal model of about 0.2M parameters, a byte-level tokenizer in which digits and grid glyphs
are tokens of their own and nothing is unknown, and a supervised warm start on the `noisy` scripted player of
an environment.  The result is a `save_pretrained` folder, loaded like any other: `--model <folder>`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from baselines.lm import threads
from baselines.lm.cached import cache_folder, publish
from baselines.lm.policy import LM, Context, History
from baselines.lm.sampling import Sampling
from baselines.lm.tiny.tokenizer import FILE, load_tokenizer
from baselines.lm.warm_start import Lessons, warm_start_in
from collm_envs import TextEnv, make

STEPS, BATCH, LR = 1000, 8, 5e-3
REVISION = 3
"""increased with every change that alters the weights: part of the cache key"""
WEIGHTS = Path(__file__).with_name("weights")
"""warm starts that come with the package: `python -m baselines.train.warm_starts` makes them"""


def config(vocab_size: int) -> Qwen3Config:
    """About 0.2M parameters: hidden 64, 2 layers, 4 heads on 2 key-value heads, tied embeddings."""
    return Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=8192,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
    )


def fresh(seed: int) -> tuple[Qwen3ForCausalLM, PreTrainedTokenizerFast]:
    """A tiny model with random weights, a function of `seed`, and its tokenizer."""
    tokenizer = load_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config(len(tokenizer)))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, tokenizer


def folder(
    env: str,
    env_kwargs: dict[str, Any],
    history: History = "full",
    *,
    seed: int = 0,
    steps: int | None = None,
    quiet: bool = False,
) -> Path:
    """The warm-started tiny model for an environment: from the cache, from `weights/`, or made now.

    Making it takes a CPU core from 20 seconds (terse prompts, one turn) to 20 minutes (HouseBuild in full)
    and says how far it is on stderr; interrupted, it goes on from the last kept step when called again.
    The key in the cache (lm/cached.py) is everything the weights depend on.
    Raises ValueError for an environment without a `noisy` player and for a cache that cannot be written.
    """
    env_made, steps = make(env, **env_kwargs), STEPS if steps is None else steps
    name = key(env_made, history, seed, steps)
    target = cache_folder() / f"tiny-{name}"
    if target.is_dir():
        return target
    if "noisy" not in env_made.task.players:
        raise ValueError(f"{env} has no scripted player `noisy`, which the tiny model learns from at first")
    model, tokenizer = fresh(seed)
    shipped, kept = weights_file(env_made.spec.id, name), target.with_name(f"{target.name}.warm")
    if shipped.is_file():
        load_model(model, shipped)
    else:
        threads.fit(model)
        lm = LM("warm start", model, tokenizer, Sampling(), Context())
        lessons = Lessons(steps, BATCH, LR, history=history, seed=seed)
        warm_start_in(kept, env_made, lm, lessons, quiet)
        model.half().float()  # as shipped: what is made here and what came with the package differ in nothing
    publish(model, tokenizer, target)
    kept.unlink(missing_ok=True)
    return target


def key(env: TextEnv, history: History, seed: int, steps: int) -> str:
    """16 hex digits: hash of everything the weights depend on, the location of modules excepted."""
    alphabet = hashlib.sha256(FILE.read_text("utf-8").encode()).hexdigest()  # whatever a checkout's line ends
    env_facts = [env.spec.id, dict(env.spec.kwargs), env.spec.content_hash]
    facts = [REVISION, env_facts, alphabet, history, seed, steps, BATCH, LR]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def weights_file(env: str, name: str) -> Path:
    """Path of the shipped weights of a key, which may not exist; see train/warm_starts.py."""
    return WEIGHTS / f"{env}-{name}.safetensors"
