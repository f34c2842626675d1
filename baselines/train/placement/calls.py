"""Calls to another process that has weights, and what they leave there.

Calls travel as bytes; what stands for an object of that process is written as its key there.  Nothing waits
before it is looked at: a process does its calls in order.
"""

from __future__ import annotations

import io
import pickle
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from baselines.lm.history import Move
from baselines.lm.later import Later
from baselines.train.placement.host import Call, Outline

Wait = Callable[[], bytes]
"""waits for a call's answer and returns it; raises what the call raised, `LostProcess` without a process"""


class LostProcess(RuntimeError):
    """A process with weights has ended, and with it all that it has learned since the last checkpoint."""


class Courier(Protocol):
    """Carries calls to a process: it gets every call, in the order in which they were sent."""

    def send(self, data: bytes) -> Wait:
        """Send a call and do not wait."""
        ...


class Process:
    """A process behind a courier: numbers what is left there, and tells it what nobody needs any more."""

    def __init__(self, courier: Courier):
        self.courier = courier
        self.dropped: deque[int] = deque()
        self._numbers = count()

    def ask(self, target: int | str, verb: str, *args: Any, **kwargs: Any) -> Callable[[], Any]:
        """Call a verb there.   -> waits for its result"""
        wait = self._send(Call(target, verb, args, kwargs, None, True, self._drop()))
        return lambda: pickle.loads(wait())

    def tell(self, target: int | str, verb: str, *args: Any) -> None:
        """Call a verb there that has no result; the next answer raises what it raises."""
        self._send(Call(target, verb, args, {}, None, False, self._drop()))

    def leave(self, target: int | str, verb: str, *args: Any) -> Left:
        """Call a verb there whose result stays there."""
        number = next(self._numbers)
        left = Left(self, number)
        self._send(Call(target, verb, args, {}, number, False, self._drop()))
        return left

    def write(self, target: int | str) -> Sequence[Move]:
        """Texts, whose histories stay there."""
        number = next(self._numbers)
        batch = Left(self, number)
        wait = self._send(Call(target, "write", (), {}, number, True, self._drop()))
        return Later(lambda: [_move(batch, k, outline) for k, outline in enumerate(pickle.loads(wait()))])

    def _send(self, call: Call) -> Wait:
        data = io.BytesIO()
        _Pickler(data, self).dump(call)
        return self.courier.send(data.getvalue())

    def _drop(self) -> list[int]:
        return [self.dropped.popleft() for _ in range(len(self.dropped))]


class Left:
    """An object in another process: by name, or by a number that is forgotten there once it is here."""

    def __init__(self, process: Process, key: int | str):
        self.process, self.key = process, key
        if isinstance(key, int):
            weakref.finalize(self, process.dropped.append, key)


@dataclass(eq=False)
class FarMove(Move):
    """A text whose history is in another process, or one token of it."""

    batch: Left | None = None
    index: int = 0
    """position in its batch"""
    token: int | None = None
    """position in the text, of a token; None for a whole text"""
    past: int = 0
    """tokens that stood before this one's first"""

    @property
    def read(self) -> int:
        """Tokens that stood before this one's first."""
        return self.past

    def tokens(self) -> list[Move]:
        """Every token of this text as a move of its own."""
        return [
            FarMove(
                None, [self.ids[k]], [self.logp[k]], self.text, True, self.batch, self.index, k, self.past + k
            )
            for k in range(len(self.ids))
        ]


def _move(batch: Left, index: int, outline: Outline) -> FarMove:
    ids, logp, text, closed, read = outline
    return FarMove(None, ids, logp, text, closed, batch, index, None, read)


class LaterLog(Mapping[str, float]):
    """Numbers to log that are waited for when they are looked at."""

    def __init__(self, wait: Callable[[], Mapping[str, float]]):
        self._wait = wait
        self._values: Mapping[str, float] | None = None

    def _all(self) -> Mapping[str, float]:
        if self._values is None:
            self._values = self._wait()
        return self._values

    def __getitem__(self, key: str) -> float:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


class _Pickler(pickle.Pickler):
    """Writes a call; what stands for an object of the process that it goes to is written as a key."""

    def __init__(self, file: io.BytesIO, process: Process):
        super().__init__(file)
        self.process = process

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, FarMove) and obj.batch is not None:
            self._check_home(obj.batch.process)
            return obj.batch.key, obj.index, obj.token
        if isinstance(obj, Left):
            self._check_home(obj.process)
            return obj.key
        return None

    def _check_home(self, process: Process) -> None:
        if process is not self.process:
            raise ValueError(
                "a history of one process was handed to another: histories stay with their policy"
            )
