"""How far a long command is: a bar on a terminal, elsewhere a line every few seconds.  Nothing is cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

EVERY_S = 10.0
"""seconds between two lines of a command whose output nobody watches"""


class Progress:
    """A context around `total` steps, told on stderr.

    On a terminal one line is redrawn.  To a pipe or a file a line is written for the first step, then at most
    every EVERY_S seconds, and at the end: name, step, numbers, time left.  `done` steps were taken earlier.
    """

    def __init__(
        self,
        name: str,
        total: int,
        done: int = 0,
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.name, self.total, self.done, self.quiet = name, total, done, quiet
        self.console = Console(stderr=True) if console is None else console
        self.clock, self.numbers = clock, ""
        self.began_at, self.began = done, clock()
        self.next = self.began
        self.printed: tuple[int, str] | None = None
        self.bar: Bar | None = None
        if self.console.is_interactive and not quiet:
            self.bar = Bar(*_columns(self.console.width), console=self.console)
            self.task = self.bar.add_task(name, total=total, completed=done, numbers="")

    def __enter__(self) -> Progress:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar:
            self.bar.stop()
        elif self.done > self.began_at and self.printed != (self.done, self.numbers):
            self._print()

    def restart(self) -> None:
        """Count the time left from now on: what came before was no step."""
        self.began_at, self.began = self.done, self.clock()
        if self.bar:
            self.bar.reset(self.task, completed=self.done, total=self.total)

    def update(self, done: int, *numbers: str) -> None:
        """`done` of all steps are taken; `numbers` are told with it, the most telling first."""
        first = self.done == self.began_at < done
        self.done, self.numbers = done, "  ".join(numbers)
        if self.bar:
            shown = fitted(numbers, self.console.width - _taken(self.name, self.total, self.console.width))
            self.bar.update(self.task, completed=done, numbers=shown)
        elif first or self.clock() >= self.next:
            self._print()

    def left(self) -> float | None:
        """Seconds until the end at the pace so far; None before the first step."""
        taken = self.done - self.began_at
        return (self.clock() - self.began) / taken * (self.total - self.done) if taken else None

    def _print(self) -> None:
        if self.quiet:
            return
        left = self.left()
        parts = [f"{self.name} {self.done}/{self.total}", self.numbers]
        if left is not None and self.done < self.total:
            parts.append(f"{duration(left)} left")
        # not through the console: it would break the line at a width that nobody looks at
        print("  ".join(filter(None, parts)), file=self.console.file, flush=True)
        self.printed, self.next = (self.done, self.numbers), self.clock() + EVERY_S


def fitted(numbers: Sequence[str], width: int) -> str:
    """As many of the numbers as fit into `width` characters, from the first on, each of them whole."""
    shown = ""
    for number in numbers:
        longer = f"{shown}  {number}" if shown else number
        if len(longer) > width:
            break
        shown = longer
    return shown


def duration(seconds: float) -> str:
    """1:05, or 2:01:05 from an hour on."""
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"


def _bar_width(width: int) -> int:
    return 24 if width >= 100 else 8 if width >= 50 else 0


def _taken(name: str, total: int, width: int) -> int:
    """Columns of a terminal line that are not for numbers: name, bar, step, time left and gaps."""
    return len(name) + _bar_width(width) + 2 * len(str(total)) + 1 + len("0:00:00") + 5


def _columns(width: int) -> list[ProgressColumn]:
    bar = [BarColumn(bar_width=_bar_width(width))] if _bar_width(width) else []
    return [
        TextColumn("{task.description}", markup=False),
        *bar,
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeRemainingColumn(),
    ]
