"""The slots of a sandbox, each used by one caller at a time; safe with threads, forks and Ctrl-C."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from . import levels
from .grading import Slot
from .result import Level
from .worker import Kind, Worker


class Pool:
    """`workers` slots.  A slot's processes start at its first use, and anew after any error."""

    def __init__(self, workers: int, kind: Kind, require: Level) -> None:
        self._workers = workers
        self._kind: Kind = kind
        self._require: Level = require
        self._closed = False
        self._fresh()
        _ALL.add(self)

    def _fresh(self) -> None:
        self._changed = threading.Condition()
        trusted: Kind = "plain" if self._kind == "plain" else "kernel"
        self._slots = [
            Slot(
                Worker(self._kind, lambda worker: levels.admit(worker, self._require)),
                Worker(trusted, lambda worker: levels.admit(worker, "process")),
            )
            for _ in range(self._workers)
        ]
        self._idle = list(self._slots)

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """A slot for the caller alone; blocks until one is free.

        An exception inside ends the slot's processes.
        """
        with self._changed:
            while not self._idle and not self._closed:
                self._changed.wait()
            if self._closed:
                raise ValueError("the sandbox is closed")
            slot = self._idle.pop()
        try:
            yield slot
        except BaseException:
            for worker in slot:
                worker.kill()
            raise
        finally:
            with self._changed:
                self._idle.append(slot)
                closed = self._closed
                self._changed.notify()
            if closed:
                for worker in slot:
                    worker.kill()

    def close(self) -> None:
        """End the processes of all idle slots; a slot in use ends when its caller returns it."""
        with self._changed:
            self._closed = True
            idle = list(self._idle)
            self._changed.notify_all()
        for slot in idle:
            for worker in slot:
                worker.kill()

    def forget(self) -> None:
        """In a forked copy of this process: leave the parent's slots running, and make new ones."""
        for slot in self._slots:
            for worker in slot:
                worker.forget()
        self._fresh()


_ALL: weakref.WeakSet[Pool] = weakref.WeakSet()


def _forget_all() -> None:
    for pool in list(_ALL):
        pool.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
