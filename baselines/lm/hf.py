"""`hf:`, a policy for `collm eval` and `collm play`: a transformers model, read and written as in training.

    hf:runs/x/agent_1                                    a folder that `from_pretrained` loads, or a hub name
    hf:runs/x/agent_1?temperature=0.6&max_new_tokens=512 a peft adapter's folder is merged into its base
    hf:Qwen/Qwen3-1.7B?device=cuda&bf16=true&thinking=true
    hf:smollm2, hf:FILE.gguf                             a name of `collm models`, a GGUF file
    hf:tiny                                              the embedded model, warm-started on the environment

All seats of a round are decoded as one batch, each with its own random generator: a text depends on what its
seat has read and written, on the seat's seed and on the settings, not on the other seats of the batch (up to
rounding, which may differ between batches).  Defaults are those of `collm train`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Protocol

import torch

from baselines.lm.history import Message, Move, Segment, usage_of
from baselines.lm.loading import load_model, pick_device
from baselines.lm.policy import LM, Context
from baselines.lm.sampling import Sampling
from baselines.lm.template import Renderer
from baselines.lm.tiny import model as tiny
from collm_envs import TextEnv
from collm_envs.policies.query import read_query
from collm_envs.policies.seat import Reply, Seat

KEEP = 10_000
"""replies whose tokens are remembered: the histories of so many running episodes"""


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"need true or false, got {text!r}")
    return text == "true"


SAMPLING: Mapping[str, Callable[[str], Any]] = {
    "temperature": float,
    "top_p": float,
    "top_k": int,
    "max_new_tokens": int,
}
CONTEXT: Mapping[str, Callable[[str], Any]] = {
    "history": str,
    "max_context": int,
    "overflow": str,
    "thinking": _truth,
}
DEVICE: Mapping[str, Callable[[str], Any]] = {"device": str, "bf16": _truth}
CHOICES = {"history": ("full", "last turn"), "overflow": ("raise", "drop")}


def parse(text: str, env: TextEnv | None = None) -> HF:
    """The policy of "FOLDER_OR_NAME?setting=value&...".  `tiny` needs the `env` it is to play.

    Raises ValueError for what cannot be loaded.
    """
    model, _, query = text.partition("?")
    if not model:
        raise ValueError("hf: need a model folder or name, e.g. hf:runs/x/agent_0 or hf:Qwen/Qwen3-1.7B")
    settings, sampling, context = read_settings("hf", query, DEVICE)
    dtype = torch.bfloat16 if settings.get("bf16") else torch.float32
    device = pick_device(settings.get("device", "auto"))  # a missing device is refused before a warm start
    if model == "tiny":
        if env is None:
            raise ValueError("hf:tiny is warm-started on an environment: parse(rest, env)")
        model = str(tiny.folder(env.spec.id, dict(env.spec.kwargs), context.history))
    network, tokenizer = load_model(model, device, dtype=dtype)
    return HF(LM(f"hf:{text}", network, tokenizer, sampling, context))


def read_settings(
    kind: str, query: str, more: Mapping[str, Callable[[str], Any]]
) -> tuple[dict[str, Any], Sampling, Context]:
    """The settings of "setting=value&...", of which `more` are the kind's own, sampling and context.

    Raises ValueError, which begins with `kind`, for settings that cannot be.
    """
    settings = read_query(kind, query, {**SAMPLING, **CONTEXT, **more})
    for name, values in CHOICES.items():
        if name in settings and settings[name] not in values:
            raise ValueError(f"{kind}: {name} must be one of {values}, got {settings[name]!r}")
    sampling = Sampling(**{name: settings[name] for name in SAMPLING if name in settings})
    context = Context(**{name: settings[name] for name in CONTEXT if name in settings})
    if context.max_context <= sampling.max_new_tokens:
        raise ValueError(
            f"{kind}: max_context={context.max_context} leaves no room to read with "
            f"max_new_tokens={sampling.max_new_tokens}"
        )
    return settings, sampling, context


class Resuming(Protocol):
    """What writes an agent's next text, given the tokens of its history: an `LM`, a `Writer` of a server."""

    name: str
    renderer: Renderer
    eos: set[int]

    def resume(self, heads: Sequence[Segment | None], seeds: Sequence[int]) -> Any:
        """Histories that end in these segments, each with a generator of its own seed."""
        ...

    def digest(self) -> str:
        """sha256 (hex) of what determines its texts beside its name"""
        ...


class HF:
    """A language model at any number of seats.  It remembers only the tokens of its own replies."""

    def __init__(self, lm: Resuming):
        self.name = lm.name
        self.lm = lm
        self._written: dict[tuple[str, ...], Move] = {}

    @cached_property
    def digest(self) -> str:
        """Digest of the weights, which changes when they are trained further; the name does not."""
        return self.lm.digest()

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order.  Raises ValueError where a history exceeds max_context."""
        lm = self.lm
        past = [self._past(seat.history[:-1]) for seat in seats]
        talk = lm.resume(past, [seat.seed for seat in seats])
        talk.read([seat.history[-1] for seat in seats])
        replies = []
        for seat, move in zip(seats, talk.write(), strict=True):
            self._written.setdefault((*seat.history, move.text), move)
            replies.append(Reply(move.text, _usage(move, lm.renderer.thought(move.ids, lm.eos))))
        while len(self._written) > KEEP:
            del self._written[next(iter(self._written))]
        return replies

    def _past(self, history: tuple[str, ...]) -> Move | None:
        """The newest segment of a history that ends in a reply; a reply of another author is tokenised."""
        if not history:
            return None
        if history in self._written:
            return self._written[history]
        before, renderer = self._past(history[:-2]), self.lm.renderer
        message, text = history[-2:]
        turn = len(history) // 2
        read = renderer.answered(message, before is not None and renderer.ended(before.ids), turn)
        ids = renderer.reply(text, turn)
        return Move(Message(before, read, message), ids, text=text, closed=renderer.ended(ids))


def _usage(move: Move, thought: str) -> dict[str, Any]:
    return {**({"reasoning": thought} if thought else {}), **usage_of(move)}
