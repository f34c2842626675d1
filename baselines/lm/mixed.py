"""Texts of several adapters of one base model, decoded side by side: its weights are read once for all.

    y = x W' + (x_a A_a') B_a'    for the rows x_a of each adapter a

Every batch keeps its own memory and random numbers, attends by itself and drops its own finished rows; what
batches share are the products with the base's weights.  So the texts are those of one batch after the other,
but for rounding.  Whoever looks at one of them has all decoded that were asked for until then; texts that
nobody can look at any more are dropped, and draw no random numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from baselines.lm.cache import Chunk
from baselines.lm.history import Move
from baselines.lm.later import Later
from baselines.lm.llama import LlamaEngine, check_decoding

if TYPE_CHECKING:
    from baselines.lm.policy import LM

DecodeLoop = Generator[Chunk, Any, list[Move]]
"""writes the texts of a batch: yields tokens to read, receives the logits after them, returns the moves"""


class Request(NamedTuple):
    """Texts of a batch that were asked for."""

    dice: set[torch.Generator]
    """the random generators that they draw from"""
    moves: list[Move]
    """the texts; empty until they are written"""


class Mixed:
    """The texts that policies on one base model were asked for, and that nobody has looked at yet."""

    def __init__(self, policy: LM):
        self.policy = policy
        """any of them: they have one engine and one precision"""
        self.waiting: WeakKeyDictionary[DecodeLoop, Request] = WeakKeyDictionary()
        """in the order of asking; a loop is kept alive by the `Later` that stands for its texts"""

    def ask(self, loop: DecodeLoop, dice: Sequence[torch.Generator]) -> Later:
        """The texts of a batch whose rows draw from `dice`, decoded once somebody looks at them.

        Looking raises RuntimeError for texts whose decoding was broken off by an error.
        """
        request = Request({*dice}, [])
        if any(request.dice & other.dice for other in self.waiting.values()):
            self.decode()  # texts that draw from one generator do so one after the other
        self.waiting[loop] = request

        def wait() -> list[Move]:
            if loop in self.waiting:
                self.decode()
            if len(request.moves) < len(dice):
                raise RuntimeError(f"{self.policy.name}: the decoding of these texts was broken off")
            return request.moves

        return Later(wait)

    def decode(self) -> None:
        """Write all texts that wait."""
        waiting = dict(self.waiting)
        self.waiting.clear()
        for request, moves in zip(waiting.values(), run_loops(self.policy, [*waiting]), strict=True):
            request.moves.extend(moves)


def run_loops(policy: LM, loops: Sequence[DecodeLoop]) -> list[list[Move]]:
    """The texts of these loops, by the engine and precision of `policy`, a token of each at a time."""
    engine, texts = policy.engine, {}
    logits: dict[DecodeLoop, Tensor | None] = dict.fromkeys(loops)
    with torch.no_grad(), policy.active():
        while logits:
            chunks = {}
            for loop, read in logits.items():
                try:
                    chunks[loop] = loop.send(read)
                except StopIteration as end:
                    texts[loop] = end.value
            if len(chunks) > 1:
                assert isinstance(engine, LlamaEngine)
                answers = engine.forward_all([*chunks.values()])
            else:
                answers = [engine.forward(*chunk) for chunk in chunks.values()]
            logits = dict(zip(chunks, answers, strict=True))
    return [texts[loop] for loop in loops]


def mix(policies: Collection[LM]) -> None:
    """Let those of these policies that share a base model decode their texts in one batch.

    Raises ValueError, and changes none of them, where no two share a base, or a base that several share
    cannot decode for all of them at once.
    """
    sharing: dict[int, list[LM]] = {}
    for policy in policies:
        sharing.setdefault(id(policy.engine), []).append(policy)
    groups = [group for group in sharing.values() if len(group) > 1]
    if not groups:
        names = ", ".join(policy.name for policy in policies)
        raise ValueError(
            f"mixed_batches needs several adapters on one base model; no two of {names} share one"
        )
    for group in groups:
        check_decoding(group[0], "mixed_batches")
    for group in groups:
        desk = Mixed(group[0])
        for policy in group:
            policy.mixed = desk
