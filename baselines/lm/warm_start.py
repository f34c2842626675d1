"""A warm start: supervised steps of any model on whole conversations of a task's scripted player.

A model that has never earned anything in a task has nothing to learn from: every group earns the same.  Some
steps on clumsy play teach it the form of an answer; what is worth saying is then learned from the reward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch.optim import AdamW

from baselines.cli.progress import Progress
from baselines.lm.history import Message, Move
from baselines.lm.learning import learning_rate
from baselines.lm.policy import LM, History
from baselines.lm.template import Renderer
from collm_envs import Task, TextEnv, writers
from collm_envs.files import drafted

KEEP_EVERY = 5
"""steps of a warm start between two savings of it"""


@dataclass(frozen=True)
class Lessons:
    """How a warm start is taught."""

    steps: int
    batch: int
    """conversations of a step, those of all agents together"""
    lr: float
    player: str = "noisy"
    """scripted player whose texts are learned"""
    history: History = "full"
    seed: int = 0


def warm_start_in(kept: Path, env: TextEnv, lm: LM, lessons: Lessons, quiet: bool = False) -> None:
    """`warm_start` with progress on stderr, its state in the file `kept`; the caller removes that file.

    It stays until the model is saved: a full disk costs no step.  Raises KeyboardInterrupt that says how many
    steps are kept.
    """
    steps = lessons.steps
    with Progress(f"warm start {env.spec.id}", steps, quiet=quiet) as progress:

        def show_step(step: int, loss: float) -> None:
            if progress.done == 0 and step > 1:  # gone on from what was kept
                progress.done = step - 1
                progress.restart()
            progress.update(step, f"loss {loss:.2f}")

        try:
            warm_start(lm, env.task, lessons, kept=kept, on_step=show_step)
        except KeyboardInterrupt:
            at = len(torch.load(kept, weights_only=True)["losses"]) if kept.is_file() else 0
            goes_on = f"the first {at} are kept: the same command goes on from there" * bool(at)
            done = f"after {max(progress.done, at)} of {steps} steps; {goes_on or 'none is kept yet'}"
            raise KeyboardInterrupt(f"stopped in the warm start of {env.spec.id} {done}") from None


def warm_start(
    lm: LM,
    task: Task,
    lessons: Lessons,
    *,
    kept: Path | None = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Supervised steps on the player's conversations; returns each step's loss in nats a token.

    `on_step` is called with the steps taken and the loss after each.  With `kept` the state is saved to
    that file every KEEP_EVERY steps, and training continues from a state found there.
    """
    adam = AdamW(lm.parameters(), lr=lessons.lr, weight_decay=0.01)
    rng = Random(f"{lessons.seed}/warm-start")
    out = [] if kept is None or not kept.is_file() else _load_steps(kept, lm, adam, rng)
    for step in range(len(out), lessons.steps):
        moves = [
            move
            for _ in range(max(1, lessons.batch // len(task.agents)))
            for move in scripted_moves(task, lm.renderer, lessons, rng)
        ]
        tokens = sum(len(move.ids) for move in moves)
        adam.zero_grad(set_to_none=True)
        total = 0.0
        for scores in lm.logp(moves):
            loss = -scores.logp.sum() / tokens
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
        for group in adam.param_groups:
            group["lr"] = learning_rate(lessons.lr, step, lessons.steps, "cosine", 10)
        adam.step()
        out.append(total)
        if kept is not None and (len(out) % KEEP_EVERY == 0 or len(out) == lessons.steps):
            _save_steps(kept, lm, adam, rng, out)
        on_step(len(out), total)
    return out


def scripted_moves(task: Task, renderer: Renderer, lessons: Lessons, rng: Random) -> list[Move]:
    """The moves of one episode of the player on a train item, as tokens; no moves of agents that wait."""
    items, history = task.items("train"), lessons.history
    state = task.start(items[rng.randrange(len(items))], rng.getrandbits(31))
    heads: dict[str, Move] = {}
    moves, replies = [], Counter[str]()
    while True:
        texts = {agent: task.players[lessons.player](task, state, agent, rng) for agent in task.agents}
        for agent in writers(task, state):
            text, prompt = texts[agent], task.prompt(state, agent)
            replies[agent] += 1
            turn = replies[agent] if history == "full" else 1
            head = heads.get(agent) if history == "full" else None
            ids = renderer.first(prompt) if head is None else renderer.following(prompt, True, turn)
            heads[agent] = Move(Message(head, ids, prompt), renderer.reply(text, turn), text=text)
            moves.append(heads[agent])
        state = task.play(state, texts)
        if task.done(state):
            return moves


def _save_steps(file: Path, lm: LM, adam: AdamW, rng: Random, losses: list[float]) -> None:
    weights = [p.detach() for p in lm.parameters()]
    state = {"weights": weights, "adam": adam.state_dict(), "rng": rng.getstate(), "losses": losses}
    with drafted(file) as draft:  # another first run may be at the same steps
        torch.save(state, draft)


def _load_steps(file: Path, lm: LM, adam: AdamW, rng: Random) -> list[float]:
    """Set everything back to where `_save_steps` was called; returns the losses until then."""
    state = torch.load(file, weights_only=True)
    with torch.no_grad():
        for own, saved in zip(lm.parameters(), state["weights"], strict=True):
            own.copy_(saved)
    adam.load_state_dict(state["adam"])
    rng.setstate(state["rng"])
    return state["losses"]
