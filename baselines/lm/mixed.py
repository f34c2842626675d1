"""Texts of several adapters of one base model, decoded side by side: its weights are read once for all.

    y = x W' + (x_a A_a') B_a'    for the rows x_a of each adapter a

Every batch keeps its own memory and random numbers, attends by itself and drops its own finished rows; what
batches share are the products with the base's weights.  So the texts are those of one batch after the other,
but for rounding.  Whoever looks at one of them has all decoded that were asked for until then.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from baselines.lm.history import Move
from baselines.lm.later import Later
from baselines.lm.llama import Chunk, LlamaEngine

if TYPE_CHECKING:
    from baselines.lm.policy import LM

Decoding = Generator[Chunk, Any, list[Move]]
"""texts that are being written: yields tokens to read, receives the logits after them, returns the moves"""


class Mixed:
    """The texts that policies on one base model were asked for, and that nobody has looked at yet."""

    def __init__(self, policy: LM):
        self.policy = policy
        """any of them: they have one engine and one precision"""
        self.waiting: dict[Decoding, list[Move]] = {}
        """decoding -> where its texts go"""
        self.dice: set[torch.Generator] = set()
        """random generators of the texts that wait"""

    def ask(self, decoding: Decoding, dice: Sequence[torch.Generator]) -> Sequence[Move]:
        """The texts of a batch with these random generators, decoded once somebody looks at them."""
        if not self.dice.isdisjoint(dice):  # texts that draw from one generator do so one after the other
            self.decode()
        moves = self.waiting[decoding] = []
        self.dice.update(dice)

        def wait() -> list[Move]:
            if decoding in self.waiting:
                self.decode()
            if len(moves) < len(dice):
                raise RuntimeError(f"{self.policy.name}: the decoding of these texts was broken off")
            return moves

        return Later(wait)

    def decode(self) -> None:
        """Write all texts that wait."""
        waiting, self.waiting, self.dice = self.waiting, {}, set()
        for moves, texts in zip(waiting.values(), decoded(self.policy, [*waiting]), strict=True):
            moves += texts


def decoded(policy: LM, decodings: Sequence[Decoding]) -> list[list[Move]]:
    """The texts of these decodings, by the engine and precision of `policy`, a token of each at a time."""
    engine, texts = policy.engine, {}
    logits: dict[Decoding, Tensor | None] = dict.fromkeys(decodings)
    with torch.no_grad(), policy.active():
        while logits:
            chunks = {}
            for decoding, read in logits.items():
                try:
                    chunks[decoding] = decoding.send(read)
                except StopIteration as end:
                    texts[decoding] = end.value
            if len(chunks) > 1:
                assert isinstance(engine, LlamaEngine)
                answers = engine.forward_all([*chunks.values()])
            else:
                answers = [engine.forward(*chunk) for chunk in chunks.values()]
            logits = dict(zip(chunks, answers, strict=True))
    return [texts[decoding] for decoding in decodings]


def mix(policies: Collection[LM]) -> None:
    """Let those of these policies that share a base model decode their texts in one batch.

    Raises ValueError where one cannot stand beside another adapter, and where no two share a base.
    """
    bases: dict[int, Mixed] = {}
    for policy in policies:
        if not isinstance(policy.engine, LlamaEngine):
            kind = type(policy.causal).__name__
            raise ValueError(f"{policy.name}: mixed_batches needs a model of the Llama shape, got {kind}")
        policy.mixed = bases.setdefault(id(policy.engine), Mixed(policy))
    if len(bases) == len(policies):
        names = ", ".join(policy.name for policy in policies)
        raise ValueError(
            f"mixed_batches needs several adapters on one base model; no two of {names} share one"
        )
