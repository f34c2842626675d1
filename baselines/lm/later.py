"""A sequence whose values come later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Later(Sequence[Any]):
    """A sequence that is waited for when it is looked at."""

    def __init__(self, wait: Callable[[], Sequence[Any]]):
        self._wait = wait
        self._values: Sequence[Any] | None = None

    def _all(self) -> Sequence[Any]:
        if self._values is None:
            self._values = self._wait()
        return self._values

    def __getitem__(self, k: Any) -> Any:
        return self._all()[k]

    def __len__(self) -> int:
        return len(self._all())
