"""The embedded language model: small enough to learn our tasks on one CPU core, an ordinary model otherwise.

A Qwen3-shaped causal model of about 0.2M parameters, a byte-level tokenizer in which digits and grid glyphs
are tokens of their own and nothing is unknown, and a supervised warm start on the `noisy` scripted player of
an environment.  The result is a `save_pretrained` folder, loaded like any other: `--model <folder>`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from baselines.core.episode import Message, Move
from baselines.core.lm import LM, Context, History
from baselines.core.optim import learning_rate
from baselines.core.render import Renderer
from baselines.core.sampling import Sampling
from baselines.tiny.tokenizer import FILE, load_tokenizer
from collm_envs import Task, make

STEPS, BATCH, LR = 1000, 8, 5e-3
REVISION = 2
"""raised with every change that makes other weights: part of the cache's key"""


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
) -> Path:
    """The warm-started tiny model for an environment: from the cache, or made in well under a minute.

    The cache is `$COLLM_CACHE`, by default ~/.cache/collm; its key is everything the weights depend on.
    """
    steps = STEPS if steps is None else steps
    made = make(env, **env_kwargs)
    alphabet = hashlib.sha256(FILE.read_text("utf-8").encode()).hexdigest()  # whatever a checkout's line ends
    key = [REVISION, made.spec.to_dict(), alphabet, history, seed, steps, BATCH, LR]
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    target = Path(os.environ.get("COLLM_CACHE", "~/.cache/collm")).expanduser() / f"tiny-{name}"
    if not target.is_dir():
        model, tokenizer = fresh(seed)
        warm_start(model, tokenizer, made.task, history, seed=seed, steps=steps)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as draft:
            model.save_pretrained(draft)
            tokenizer.save_pretrained(draft)
            part = Path(f"{draft}.part")  # unique: another first run may be making the same folder
            try:
                shutil.copytree(draft, part)
                os.rename(part, target)
            except OSError:  # a full disk, or another process was first
                shutil.rmtree(part, ignore_errors=True)
                if not target.is_dir():
                    raise
    return target


def warm_start(
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    task: Task,
    history: History = "full",
    *,
    seed: int = 0,
    steps: int = STEPS,
    batch: int = BATCH,
    lr: float = LR,
) -> list[float]:
    """Supervised steps on whole conversations of the `noisy` player; returns each step's loss in nats."""
    lm = LM("warm start", model, tokenizer, Sampling(), Context())
    adam = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    rng = Random(f"{seed}/warm-start")
    out = []
    for step in range(steps):
        moves = [
            move
            for _ in range(max(1, batch // len(task.agents)))
            for move in noisy_moves(task, lm.renderer, history, rng)
        ]
        tokens = sum(len(move.ids) for move in moves)
        adam.zero_grad(set_to_none=True)
        total = 0.0
        for scores in lm.logp(moves):
            loss = -scores.logp.sum() / tokens
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = learning_rate(lr, step, steps, "cosine", 10)
        adam.step()
        out.append(total)
    return out


def noisy_moves(task: Task, renderer: Renderer, history: History, rng: Random) -> list[Move]:
    """Every agent's moves of one episode of the `noisy` player on a train item, as tokens."""
    items = task.items("train")
    state = task.start(items[rng.randrange(len(items))], rng.getrandbits(31))
    heads: dict[str, Move] = {}
    moves = []
    turn = 0
    while True:
        turn = turn + 1 if history == "full" else 1
        texts = {agent: task.players["noisy"](task, state, agent, rng) for agent in task.agents}
        for agent, text in texts.items():
            prompt = task.prompt(state, agent)
            head = heads.get(agent) if history == "full" else None
            ids = renderer.first(prompt) if head is None else renderer.following(prompt, True, turn)
            heads[agent] = Move(Message(head, ids, prompt), renderer.reply(text, turn), text=text)
            moves.append(heads[agent])
        state = task.play(state, texts)
        if task.done(state):
            return moves
