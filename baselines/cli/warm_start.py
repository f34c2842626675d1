"""`collm warm-start`: supervised steps of a model on scripted play, to a folder that `--model` takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

import collm_envs
from baselines.cli.terminal import console, flags, note
from baselines.lm import threads
from baselines.train.keywords import read_object


@dataclass
class WarmStart:
    """Teach a model the form of a task's texts by a scripted player's play: minutes for 135M parameters."""

    env: str
    """environment id"""
    env_kwargs: str = "{}"
    """its keywords, as JSON: those it will be trained with"""
    model: str = "smollm2"
    """a name of `collm models`, a folder, a GGUF file or a hub name; what was learned is merged into it"""
    player: Annotated[str, arg(name="from")] = "noisy"
    """scripted player whose texts are learned (`collm envs ENV` names them)"""
    steps: int = 20
    """optimizer steps"""
    batch: int = 8
    """conversations of a step, all agents together"""
    lr: float = 5e-4
    """AdamW's learning rate, at its highest"""
    lora_rank: int = 16
    """rank of the adapter that learns; 0: all weights do"""
    seed: int = 0
    """fixes items, the player's texts and the adapter"""
    threads: int = 0
    """CPU threads; 0: torch's own number"""
    out: Path | None = None
    """folder for the model; default: runs/warm-start-ENV"""


def warm_start(args: Sequence[str]) -> None:
    """Run the command line after `collm warm-start`; prints the folder."""
    settings = flags(WarmStart, args, "collm warm-start")
    env = collm_envs.make(settings.env, **read_object("--env-kwargs", settings.env_kwargs))
    if settings.player not in env.task.players:
        there = ", ".join(env.task.players)
        raise ValueError(f"{settings.env} has no player {settings.player!r}; it has {there}")
    out = settings.out or Path(f"runs/warm-start-{env.spec.id}")
    if out.exists():
        raise ValueError(f"{out} is there already; move it away, or choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    threads.ask(settings.threads)
    import torch

    from baselines.lm.cached import publish
    from baselines.lm.opening import Setup, open_all
    from baselines.lm.policy import Context
    from baselines.lm.sampling import Sampling
    from baselines.lm.warm_start import Lessons, warm_start_in

    torch.manual_seed(settings.seed)
    setup = Setup(Sampling(), Context(), lora_rank=settings.lora_rank, lora_alpha=2 * settings.lora_rank)
    lm = open_all({"warm start": settings.model}, setup)["warm start"]
    lessons = Lessons(settings.steps, settings.batch, settings.lr, settings.player, seed=settings.seed)
    facts = json.dumps([asdict(settings), env.spec.content_hash], default=str)
    kept = out.with_name(f".{out.name}-{hashlib.sha256(facts.encode()).hexdigest()[:8]}.warm")
    warm_start_in(kept, env, lm, lessons)
    publish(lm.model.merge_and_unload() if lm.adapter else lm.model, lm.tokenizer, out)
    kept.unlink(missing_ok=True)
    note(console(), f"{out}: play it with  collm eval {env.spec.id} --policy hf:{out}", copied=True)
