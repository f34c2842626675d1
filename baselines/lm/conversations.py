"""A batch of conversations of one policy: they read messages, write texts, and branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.lm import steady
from baselines.lm.cache import Chunk, Memory
from baselines.lm.history import Move, Segment
from baselines.lm.later import Later
from baselines.lm.mixed import DecodeLoop, Mixed
from baselines.lm.reading import appended
from baselines.lm.sampling import draw_tokens

if TYPE_CHECKING:
    from baselines.lm.policy import LM

SHRINK = 0.75
"""finished rows are removed from the batch once at most this share of its rows is unfinished"""


@dataclass
class Conversations:
    """Histories of one policy, side by side.  `read` appends messages, `write` moves; `pick` branches."""

    policy: LM
    dice: list[torch.Generator]
    """random generator of each history; adjacent histories with the same generator draw in one call"""
    heads: list[Segment | None]
    """the newest segment of each history"""
    unread: list[list[int]]
    """tokens of each history that the model has not processed yet"""
    memory: Memory
    logits: Tensor | None = field(default=None, repr=False)
    """(n, V) after the last token of each history; None until something was read"""
    streams: dict[int, torch.Generator] = field(default_factory=dict, repr=False)
    """seed -> generator of the branches made by `pick(seed=seed)`, shared by all branches"""
    pending: Later | None = field(default=None, repr=False)
    """the texts asked for last, where the histories do not end in them yet (lm/mixed.py)"""

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history.  Raises ValueError where max_context would not hold it."""
        self._settle()
        if self.policy.context.history == "last turn":
            self.heads = [None] * len(self.heads)
            self.unread = [[] for _ in self.heads]
            self.memory = Memory.empty(len(self.heads), self.policy.engine.layers, self.policy.device)
        for k, message in enumerate(messages):
            self._append_message(k, message)
        width = max(len(ids) for ids in self.unread)
        ids = torch.zeros(len(self.heads), width, dtype=torch.long)
        real = torch.zeros(len(self.heads), width, dtype=torch.bool)
        for k, new in enumerate(self.unread):
            ids[k, width - len(new) :] = torch.tensor(new)
            real[k, width - len(new) :] = True
        device = self.policy.device
        with torch.no_grad(), self.policy.active():
            self.logits = self.policy.engine.forward(
                ids.to(device), real.to(device), self.memory, self.policy.adapter
            )
        self.unread = [[] for _ in self.heads]

    def write(self) -> Sequence[Move]:
        """Sample one text for each history and append it; in mixed batches once somebody looks."""
        self._settle()
        assert self.logits is not None, "write() needs a read() before it"
        policy, logits = self.policy, self.logits
        if policy.steady:
            with torch.no_grad(), policy.active():
                ids, logps, self.memory = steady.write(policy, logits, self.memory, self.dice)
            self._end_in(moves := moves_of(policy, self.heads, ids, logps))
            return moves
        self.logits = None  # what is broken off after here has read on
        desk = policy.mixed or Mixed(policy)
        self.pending = texts = desk.ask(
            decode_loop(policy, self.heads, logits, self.memory, self.dice), self.dice
        )
        if policy.mixed is not None:
            return texts
        self._settle()
        return texts.wait()

    def pick(self, indices: Sequence[int], seed: int | None = None) -> Conversations:
        """The histories at `indices`, in this order; repeated ones become branches.

        With a `seed` they draw from the generator of that seed, which continues where the last `pick` with
        that seed left it; the histories' own generators do not advance.
        """
        self._settle()
        rows = torch.tensor(list(indices), dtype=torch.long, device=self.policy.device)
        # with a seed they are written beside these histories, which must stay as they are
        same = seed is None and list(indices) == list(range(len(self.heads)))
        return Conversations(
            self.policy,
            [self.dice[k] for k in indices] if seed is None else [self._stream(seed)] * len(indices),
            [self.heads[k] for k in indices],
            [list(self.unread[k]) for k in indices],
            self.memory if same else self.memory.pick(rows, share=self.policy.engine.shares),
            None if self.logits is None else self.logits.index_select(0, rows),
            self.streams,
        )

    def _settle(self) -> None:
        """Wait for the texts that were asked for last, and end the histories in them."""
        if self.pending is not None:
            self._end_in(self.pending.wait())
            self.pending = None

    def _end_in(self, moves: Sequence[Move]) -> None:
        self.heads, self.logits = [*moves], None
        self.unread = [move.ids[-1:] for move in moves]  # the last token was sampled, but not read

    def _stream(self, seed: int) -> torch.Generator:
        if seed not in self.streams:
            self.streams[seed] = torch.Generator(self.policy.device).manual_seed(seed)
        return self.streams[seed]

    def _append_message(self, k: int, message: str) -> None:
        head = self.heads[k]
        self.heads[k] = fresh = appended(self.policy, head, message)
        if fresh.parent is head:
            self.unread[k] = self.unread[k] + fresh.ids
        else:  # the row is read again from its new beginning
            self.unread[k] = fresh.all_ids()
            self.memory = self.memory.unshared()
            self.memory.mask[k] = False


def decode_loop(
    policy: LM,
    heads: Sequence[Segment | None],
    logits: Tensor,
    memory: Memory,
    dice: Sequence[torch.Generator],
) -> DecodeLoop:
    """Sample a text for each history: yields what is to be read next, and receives the logits after it.

    heads: the newest segment of each history; logits: (n, V) after it; memory: of these histories, which
    gains the columns of the texts; dice: the random generator of each.
    """
    ids: list[list[int]] = [[] for _ in heads]
    logps: list[list[float]] = [[] for _ in heads]
    done = [False] * len(heads)
    # `running` holds the rows still worth running: a copy once many have finished
    running, rows, start = memory, list(range(len(heads))), 0

    def put_back() -> None:
        if running is not memory:
            memory.put(torch.tensor(rows, device=policy.device), running, start)

    while True:
        token, logp = draw_tokens(logits, policy.sampling, [dice[k] for k in rows])
        for k, t, lp in zip(rows, token.tolist(), logp.tolist(), strict=True):
            if not done[k]:
                ids[k].append(t)
                logps[k].append(lp)
                done[k] = t in policy.eos or len(ids[k]) == policy.sampling.max_new_tokens
        live = [row for row, k in enumerate(rows) if not done[k]]
        if not live:
            break
        if len(live) <= SHRINK * len(rows):
            put_back()
            kept = torch.tensor(live, device=policy.device)
            running, start = running.pick(kept), running.mask.shape[1]
            token, rows = token[kept], [rows[row] for row in live]
        real = torch.tensor([[not done[k]] for k in rows], device=policy.device)
        logits = yield Chunk(token[:, None], real, running, policy.adapter)
    put_back()
    return moves_of(policy, heads, ids, logps)


def moves_of(
    policy: LM, heads: Sequence[Segment | None], ids: Sequence[list[int]], logps: Sequence[list[float]]
) -> list[Move]:
    """The texts of these tokens, each after its head."""
    eos, text = policy.eos, policy.renderer.text
    written = zip(heads, ids, logps, strict=True)
    return [Move(head, own, logp, text(own, eos), own[-1] in eos) for head, own, logp in written]
