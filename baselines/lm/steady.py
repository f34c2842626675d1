"""Texts written with tensors whose shapes never change, so that a GPU can replay one captured step.

The plain loop (lm/conversations.py) asks the device after every token which rows have ended, and drops them:
right on a CPU, where every row costs.  On a GPU a step of decoding is many small kernels, and starting them
from Python takes longer than running them.  Here the device itself ends rows and counts their tokens; the
host looks once in `LOOK` steps whether all have ended, and a CUDA graph repeats the step.

Rows that have ended stay in the batch and read nothing, and random numbers are drawn ahead for texts of full
length.  So a generator that serves one row gives a first text the numbers of the plain loop; one that several
rows share does so until the plain loop drops a row, and later texts get others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.lm.cache import Memory, Slab
from baselines.lm.llama import check_decoding
from baselines.lm.sampling import choices, columns_at, uniforms

if TYPE_CHECKING:
    from baselines.lm.policy import LM

LOOK = 16
"""steps between two looks at whether all rows have ended"""
WARM_UP = 3
"""steps before the capture: libraries allocate what they need in them"""


def check(policy: LM) -> None:
    """Raise ValueError where a step of this policy's texts cannot be captured."""
    check_decoding(policy, "cuda_graphs")
    if policy.device.type != "cuda":
        raise ValueError(f"cuda_graphs needs a GPU of CUDA, got device {policy.device}")


class SteadySlab(Slab):
    """One layer's keys and values, in a rectangle of its final size; a step writes the column `at`."""

    def __init__(self, slab: Slab, rows: int, capacity: int, at: Tensor):
        super().__init__()
        self.prompt, self.at, self.length = slab.prompt, at, slab.length
        assert slab.is_initialized or slab.prompt is not None, "nothing was read"
        read = (slab.keys, slab.values) if slab.prompt is None else slab.prompt
        self.lazy_initialization(*read)
        self.keys, self.values = (x.new_zeros(rows, x.shape[1], capacity, x.shape[3]) for x in read)
        if slab.length:
            self.keys[..., : slab.length, :] = slab.keys[..., : slab.length, :]
            self.values[..., : slab.length, :] = slab.values[..., : slab.length, :]

    def update(self, key_states: Tensor, value_states: Tensor, *args, **kwargs) -> tuple[Tensor, Tensor]:
        self.keys.index_copy_(2, self.at, key_states)
        self.values.index_copy_(2, self.at, value_states)
        return self.keys, self.values

    def cut(self, length: int) -> Slab:
        """What was written, to go on with."""
        slab = Slab()
        slab.prompt = self.prompt
        slab.lazy_initialization(self.keys, self.values)
        slab.keys, slab.values, slab.length = self.keys, self.values, length
        return slab


class SteadyMemory(Memory):
    """A copy of a memory with room for `more` columns, which are written one by one."""

    def __init__(self, memory: Memory, more: int):
        rows, past = memory.mask.shape
        self.at = torch.tensor([past], device=memory.mask.device)
        self.tokens = memory._held()
        mask = memory.mask.new_zeros(rows, past + more)
        mask[:, :past] = memory.mask
        layers: list[Slab] = [SteadySlab(slab, rows, past + more, self.at) for slab in memory.layers]
        super().__init__(layers, mask, memory.shared)

    def append(self, real: Tensor) -> tuple[Tensor, Tensor]:
        """Count the next column.   real: (B, 1) -> its position ids (B, 1), the mask (B, 1, 1, C)"""
        self.tokens += real
        self.mask.index_copy_(1, self.at, real)
        return (self.tokens - 1).clamp(min=0), self.mask[:, None, None, :]

    def cut(self, length: int) -> Memory:
        """The first `length` columns, as memory that grows again."""
        layers = [slab.cut(length) for slab in self.layers if isinstance(slab, SteadySlab)]
        return Memory(layers, self.mask[:, :length].clone(), self.shared)


class Desk:
    """The tensors of a batch of texts that are being written, and the step that writes one token of each."""

    def __init__(self, policy: LM, logits: Tensor, memory: Memory, dice: Sequence[torch.Generator]):
        limit, rows, device = policy.sampling.max_new_tokens, len(logits), logits.device
        self.policy = policy
        self.logits = logits.clone()
        self.memory = SteadyMemory(memory, limit)
        self.u = torch.cat([uniforms(dice) for _ in range(limit)], dim=1)
        self.step = torch.zeros(1, dtype=torch.long, device=device)
        self.ends = torch.tensor(sorted(policy.eos), device=device)
        self.ids = torch.zeros(rows, limit, dtype=torch.long, device=device)
        self.logps = torch.zeros(rows, limit, device=device)
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.done = torch.zeros(rows, dtype=torch.bool, device=device)

    def write(self) -> None:
        """Draw a token for each row from `logits`, read them, and leave the next logits there."""
        sampling = self.policy.sampling
        options = choices(self.logits, sampling, sort_all=True)
        if sampling.temperature == 0:
            column = options.logp.argmax(-1)
        else:
            column = columns_at(options.logp, self.u.index_select(1, self.step))
        token = options.name(column)
        self.ids.index_copy_(1, self.step, token[:, None])
        self.logps.index_copy_(1, self.step, options.logp.gather(-1, column[:, None]))
        self.lengths += ~self.done
        self.done |= (token[:, None] == self.ends).any(-1) | (self.lengths == sampling.max_new_tokens)
        real = ~self.done[:, None]
        read = self.policy.engine.forward(token[:, None], real, self.memory, self.policy.adapter)
        self.logits.copy_(read)
        self.memory.at += 1
        self.step += 1


def write(
    policy: LM, logits: Tensor, memory: Memory, dice: Sequence[torch.Generator]
) -> tuple[list[list[int]], list[list[float]], Memory]:
    """Token ids of a text for each row, their log-probabilities, and the memory after them.

    logits: (B, V) after what each row has read; dice: the generator of each row.  On a GPU all steps but the
    first `WARM_UP` are replays of a captured one.
    """
    desk, limit, taken = Desk(policy, logits, memory, dice), policy.sampling.max_new_tokens, 0
    past = memory.mask.shape[1]
    step = desk.write
    if logits.device.type == "cuda" and limit > LOOK:
        step, taken = captured(desk), WARM_UP
    while taken < limit and not bool(desk.done.all()):
        for _ in range(min(LOOK, limit - taken)):
            step()
            taken += 1
    lengths, ids, logps = desk.lengths.tolist(), desk.ids.tolist(), desk.logps.tolist()
    return (
        [row[:n] for row, n in zip(ids, lengths, strict=True)],
        [row[:n] for row, n in zip(logps, lengths, strict=True)],
        desk.memory.cut(past + taken),
    )


def captured(desk: Desk) -> Callable[[], None]:
    """A function that takes one step, after the first `WARM_UP` were taken here."""
    device = desk.logits.device
    stream = capture_stream(device)
    with torch.cuda.device(device):  # cuda:1 is not the one that a capture is of by default
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                desk.write()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):  # records, and changes nothing
            desk.write()
    return graph.replay


@cache
def capture_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which steps are captured: one a device, for cuBLAS keeps memory for each stream."""
    return torch.cuda.Stream(device)
