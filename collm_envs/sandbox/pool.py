"""The slots of a sandbox, handed to one caller at a time; they survive threads, forks and Ctrl-C."""

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
    """`workers` slots.  Each is started when it is first needed, and again after any doubt about it."""

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
        """A slot of one's own, waited for; whatever is raised while it is held, its processes are ended."""
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
        """End every process; a slot in use is ended by its user when done."""
        with self._changed:
            self._closed = True
            idle = list(self._idle)
            self._changed.notify_all()
        for slot in idle:
            for worker in slot:
                worker.kill()

    def forget(self) -> None:
        """In a forked copy of this process: leave the parent's processes alone, and begin anew."""
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
