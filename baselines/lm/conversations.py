"""A batch of conversations of one policy: they read messages, write texts, and branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.lm import steady
from baselines.lm.cache import Memory
from baselines.lm.history import Move, Segment
from baselines.lm.llama import Chunk
from baselines.lm.mixed import Decoding, decoded
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
    pending: Sequence[Move] | None = field(default=None, repr=False)
    """the texts asked for last, where they may not have been written yet (lm/mixed.py)"""

    def read(self, messages: Sequence[str]) -> None:
        """Append one message to each history.  Raises ValueError where max_context would not hold it."""
        self._wait()
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
        assert self.logits is not None, "write() needs a read() before it"
        logits, self.logits = self.logits, None
        if self.policy.steady:
            with torch.no_grad(), self.policy.active():
                ids, logps, self.memory = steady.write(self.policy, logits, self.memory, self.dice)
            return self._append_moves(ids, logps)
        if self.policy.mixed is None:
            return decoded(self.policy, [self._decoding(logits)])[0]
        self.pending = self.policy.mixed.ask(self._decoding(logits), self.dice)
        return self.pending

    def _decoding(self, logits: Tensor) -> Decoding:
        """Yields what is to be read next, receives the logits after it, and returns the moves."""
        policy, sampling, device = self.policy, self.policy.sampling, self.policy.device
        ids: list[list[int]] = [[] for _ in self.heads]
        logps: list[list[float]] = [[] for _ in self.heads]
        done = [False] * len(self.heads)
        # `memory` holds the rows still worth running: a copy once many have finished
        memory, rows, start = self.memory, list(range(len(self.heads))), 0
        while True:
            token, logp = draw_tokens(logits, sampling, [self.dice[k] for k in rows])
            for k, t, lp in zip(rows, token.tolist(), logp.tolist(), strict=True):
                if not done[k]:
                    ids[k].append(t)
                    logps[k].append(lp)
                    done[k] = t in policy.eos or len(ids[k]) == sampling.max_new_tokens
            live = [row for row, k in enumerate(rows) if not done[k]]
            if not live:
                break
            if len(live) <= SHRINK * len(rows):
                self._put_back(rows, memory, start)
                kept = torch.tensor(live, device=device)
                memory, start = memory.pick(kept), memory.mask.shape[1]
                token, rows = token[kept], [rows[row] for row in live]
            real = torch.tensor([[not done[k]] for k in rows], device=device)
            logits = yield Chunk(token[:, None], real, memory, policy.adapter)
        self._put_back(rows, memory, start)
        return self._append_moves(ids, logps)

    def pick(self, indices: Sequence[int], seed: int | None = None) -> Conversations:
        """The histories at `indices`, in this order; repeated ones become branches.

        With a `seed` they draw from the generator of that seed, which continues where the last `pick` with
        that seed left it; the histories' own generators do not advance.
        """
        self._wait()
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

    def _wait(self) -> None:
        """Until the histories end in the texts that were asked for last."""
        if self.pending is not None:
            len(self.pending)

    def _stream(self, seed: int) -> torch.Generator:
        if seed not in self.streams:
            self.streams[seed] = torch.Generator(self.policy.device).manual_seed(seed)
        return self.streams[seed]

    def _put_back(self, rows: list[int], memory: Memory, start: int) -> None:
        """Copy back into `rows` the columns from `start` on of `memory`, a copy of these rows."""
        if memory is not self.memory:
            self.memory.put(torch.tensor(rows, device=self.policy.device), memory, start)

    def _append_message(self, k: int, message: str) -> None:
        head = self.heads[k]
        self.heads[k] = fresh = appended(self.policy, head, message)
        if fresh.parent is head:
            self.unread[k] = self.unread[k] + fresh.ids
        else:  # the row is read again from its new beginning
            self.unread[k] = fresh.all_ids()
            self.memory = self.memory.unshared()
            self.memory.mask[k] = False

    def _append_moves(self, ids: list[list[int]], logps: list[list[float]]) -> list[Move]:
        return [self._append_move(k, *text) for k, text in enumerate(zip(ids, logps, strict=True))]

    def _append_move(self, k: int, ids: list[int], logps: list[float]) -> Move:
        eos = self.policy.eos
        move = Move(self.heads[k], ids, logps, self.policy.renderer.text(ids, eos), ids[-1] in eos)
        self.heads[k] = move
        self.unread[k] = ids[-1:]  # the last token was sampled, but not read
        return move
