"""A sequence whose values come later: from another process, from a server, or from a batch with others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Later(Sequence[Any]):
    """A sequence that is waited for when it is looked at; whatever the waiting raises is raised there.

    Returned by `write` of conversations whose texts are not decoded at once (mixed batches, vLLM, other
    processes) and by `log_ratios`, `prompt_gains` and `values` of policies and critics in other processes.
    """

    def __init__(self, wait: Callable[[], Sequence[Any]]):
        self._wait = wait
        self._values: Sequence[Any] | None = None

    def wait(self) -> Sequence[Any]:
        """The values, once they are there."""
        if self._values is None:
            self._values = self._wait()
        return self._values

    def __getitem__(self, k: Any) -> Any:
        return self.wait()[k]

    def __len__(self) -> int:
        return len(self.wait())

    # those of `Sequence` take an IndexError, also one of the waiting, for the end of the values
    def __iter__(self) -> Iterator[Any]:
        return iter(self.wait())

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        return self.wait().index(value, start, stop)
