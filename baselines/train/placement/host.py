"""The process where weights are: opens some policies and critics of a run, and does what the driver asks.

Calls arrive as bytes, one after the other, and name their objects by keys: policies and critics by name, what
earlier calls left here (histories, texts) by the numbers that the driver gave them (placement/calls.py).
"""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import nn

from baselines.lm import threads
from baselines.lm.history import Move
from baselines.lm.policy import LM, Sizes
from baselines.train.critic import CriticSettings
from baselines.train.networks import open_networks
from baselines.train.settings import Settings

Key = int | str


class Call(NamedTuple):
    """A verb of an object in the process, and what becomes of its result."""

    target: Key
    verb: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    keep: int | None
    """the number that the result is kept under; None: it is not kept"""
    answer: bool
    """whether the result, or of texts their outlines, is sent back"""
    dropped: list[int]
    """numbers that the driver no longer needs"""


class Outline(NamedTuple):
    """What the driver is told of a text; its history stays here."""

    ids: list[int]
    logp: list[float]
    text: str
    closed: bool
    read: int


class Facts(NamedTuple):
    """What the driver is told of the networks that were opened."""

    policies: dict[str, Sizes]
    critics: dict[str, tuple[str, int]]
    """name -> the policy or trunk under its head, and the parameters that its own optimizer steps"""


class KeptTexts:
    """The texts of one `write`, and on request every token of one as a move of its own."""

    def __init__(self, moves: Sequence[Move]):
        self.moves = moves
        self._tokens: dict[int, list[Move]] = {}

    def at(self, index: int, token: int | None) -> Move:
        """The text at `index`, or one token of it."""
        if token is None:
            return self.moves[index]
        if index not in self._tokens:
            self._tokens[index] = self.moves[index].tokens()
        return self._tokens[index][token]


class Host:
    """The objects of one process."""

    def __init__(self) -> None:
        self.held: dict[Key, Any] = {"host": self}
        self.failure: Exception | None = None
        self.store: Any = None
        """where replicas meet, in the first of them"""

    def call(self, data: bytes) -> bytes | None:
        """Do what these bytes ask.  After an error every later call raises it: the state is in doubt."""
        if self.failure is not None:
            raise self.failure
        try:
            call: Call = _Unpickler(io.BytesIO(data), self.held).load()
            for key in call.dropped:
                self.held.pop(key, None)
            result = getattr(self.held[call.target], call.verb)(*call.args, **call.kwargs)
        except Exception as error:
            self.failure = error
            if dist.is_initialized():  # the other replicas must not wait for a sum that this one never joins
                dist.destroy_process_group()
            raise
        if call.verb == "write":
            result = KeptTexts(result)
        if call.keep is not None:
            self.held[call.keep] = result
        if not call.answer:
            return None
        answer = io.BytesIO()
        _Pickler(answer).dump(outlines(result.moves) if isinstance(result, KeptTexts) else result)
        return answer.getvalue()

    def open(
        self, settings: Settings, agents: Sequence[str], critics: CriticSettings, only: Sequence[str]
    ) -> Facts:
        """Open the policies named in `only` and the critics that live with them."""
        threads.ask(settings.threads)
        networks = open_networks(settings, agents, critics, only)
        self.held |= {f"policy/{name}": policy for name, policy in networks.policies.items()}
        self.held |= {f"critic/{name}": critic for name, critic in networks.critics.items()}
        return Facts(
            {name: policy.sizes for name, policy in networks.policies.items()},
            {name: (critic.actor, critic.stepped) for name, critic in networks.critics.items()},
        )

    def meet(self) -> int:
        """Open a port of this machine for replicas to meet at, and return its number."""
        self.store = store = dist.TCPStore(  # pyright: ignore[reportPrivateImportUsage]
            "0.0.0.0", 0, is_master=True, wait_for_workers=False
        )
        return store.port

    def join(self, address: str, port: int, rank: int, size: int) -> None:
        """Become one of `size` replicas: from now on gradients are summed over all of them."""
        policies = [value for value in self.held.values() if isinstance(value, LM)]
        backend = "nccl" if policies[0].device.type == "cuda" else "gloo"
        store = self.store or dist.TCPStore(address, port)  # pyright: ignore[reportPrivateImportUsage]
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
        for policy in policies:
            if policy.optimizer:
                policy.optimizer.reduce = sum_gradients

    def saved(self, policy: str) -> dict[str, bytes]:
        """What `save_pretrained` of a policy writes: file name -> contents."""
        with tempfile.TemporaryDirectory() as folder:
            self.held[f"policy/{policy}"].save_pretrained(Path(folder))
            files = [file for file in Path(folder).rglob("*") if file.is_file()]
            return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def sum_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Add up the gradients of all replicas, in each of them; one without texts has a gradient of 0."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)


def outlines(moves: Sequence[Move]) -> list[Outline]:
    """What the driver is told of these texts."""
    return [Outline(move.ids, move.logp, move.text, move.closed, move.read) for move in moves]


class _Pickler(pickle.Pickler):
    """Writes an answer; tensors leave their device, which the driver may not have."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor) and obj.device.type != "cpu":
            return obj.detach().cpu().__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    """Reads a call; what the driver holds by key is replaced by the objects themselves."""

    def __init__(self, file: io.BytesIO, held: dict[Key, Any]):
        super().__init__(file)
        self.held = held

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple):
            key, index, token = pid
            return self.held[key].at(index, token)
        return self.held[pid]
