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
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_model
from torch import nn
from torch.optim import Optimizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from baselines.cli.progress import Progress
from baselines.lm import threads
from baselines.lm.history import Message, Move
from baselines.lm.learning import learning_rate
from baselines.lm.policy import LM, Context, History
from baselines.lm.sampling import Sampling
from baselines.lm.template import Renderer
from baselines.lm.tiny.tokenizer import FILE, load_tokenizer
from collm_envs import Task, TextEnv, make
from collm_envs.files import drafted

STEPS, BATCH, LR = 1000, 8, 5e-3
REVISION = 3
"""increased with every change that alters the weights: part of the cache key"""
KEEP_EVERY = 25
"""steps of a warm start between two savings of it"""
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
    The cache is `$COLLM_CACHE`, by default ~/.cache/collm; its key is everything the weights depend on.
    Raises ValueError for an environment without a `noisy` player and for a cache that cannot be written.
    """
    env_made, steps = make(env, **env_kwargs), STEPS if steps is None else steps
    name = key(env_made, history, seed, steps)
    target = Path(os.environ.get("COLLM_CACHE", "~/.cache/collm")).expanduser() / f"tiny-{name}"
    if target.is_dir():
        return target
    if "noisy" not in env_made.task.players:
        raise ValueError(f"{env} has no scripted player `noisy`, which the tiny model learns from at first")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{target.parent}: {error.strerror}; set COLLM_CACHE to a folder to write in"
        raise ValueError(why) from error
    model, tokenizer = fresh(seed)
    shipped = weights_file(env_made.spec.id, name)
    if shipped.is_file():
        load_model(model, shipped)
    else:
        _warm_start_in(target, env_made, model, tokenizer, history, seed, steps, quiet)
    _publish(model, tokenizer, target)
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


def _warm_start_in(
    target: Path,
    env: TextEnv,
    model: Qwen3ForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    history: History,
    seed: int,
    steps: int,
    quiet: bool,
) -> None:
    """Warm-start `model` with progress on stderr, its state kept in a file against interrupts."""
    kept = target.with_name(f"{target.name}.steps")
    with Progress(f"warm start {env.spec.id}", steps, quiet=quiet) as progress:

        def show_step(step: int, loss: float) -> None:
            if progress.done == 0 and step > 1:  # gone on from what was kept
                progress.done = step - 1
                progress.restart()
            progress.update(step, f"loss {loss:.2f}")

        try:
            warm_start(
                model, tokenizer, env.task, history, seed=seed, steps=steps, kept=kept, on_step=show_step
            )
        except KeyboardInterrupt:
            at = len(torch.load(kept, weights_only=True)["losses"]) if kept.is_file() else 0
            goes_on = f"the first {at} are kept: the same command goes on from there" * bool(at)
            done = f"after {max(progress.done, at)} of {steps} steps; {goes_on or 'none is kept yet'}"
            raise KeyboardInterrupt(f"stopped in the warm start of {env.spec.id} {done}") from None
    kept.unlink(missing_ok=True)
    model.half().float()  # as shipped: what is made here and what came with the package differ in nothing


def _publish(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    """Save both as the folder `target` atomically; another first run may be making the same folder."""
    draft = target.with_name(f".draft.{os.getpid()}.{target.name}")
    try:
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        os.rename(draft, target)
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


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
    kept: Path | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Supervised steps on whole conversations of the `noisy` player; returns each step's loss in nats.

    `on_step` is called with the steps taken and the loss after each.  With `kept` the state is saved to
    that file every KEEP_EVERY steps, and training continues from a state found there.
    """
    threads.fit(model)
    lm = LM("warm start", model, tokenizer, Sampling(), Context())
    adam = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    rng = Random(f"{seed}/warm-start")
    out = [] if kept is None or not kept.is_file() else _load_steps(kept, model, adam, rng)
    for step in range(len(out), steps):
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
        if kept is not None and len(out) % KEEP_EVERY == 0:
            _save_steps(kept, model, adam, rng, out)
        on_step(len(out), total)
    return out


def _save_steps(file: Path, model: nn.Module, adam: Optimizer, rng: Random, losses: list[float]) -> None:
    state = {"model": model.state_dict(), "adam": adam.state_dict(), "rng": rng.getstate(), "losses": losses}
    with drafted(file) as draft:  # another first run may be at the same steps
        torch.save(state, draft)


def _load_steps(file: Path, model: nn.Module, adam: Optimizer, rng: Random) -> list[float]:
    """Set everything back to where `_save_steps` was called; returns the losses until then."""
    state = torch.load(file, weights_only=True)
    model.load_state_dict(state["model"])
    adam.load_state_dict(state["adam"])
    rng.setstate(state["rng"])
    return state["losses"]


def noisy_moves(task: Task, renderer: Renderer, history: History, rng: Random) -> list[Move]:
    """Every agent's moves of one episode of the `noisy` player on a train item, as tokens."""
    items = task.items("train")
    state = task.start(items[rng.randrange(len(items))], rng.getrandbits(31))
    heads: dict[str, Move] = {}
    moves, turn = [], 0
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
