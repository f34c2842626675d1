"""Comparisons that are equal in CPU seconds, and their tables of results, which survive a kill."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from collm_envs.files import appending, saving

Metrics = TypeVar("Metrics")
HINT = "the same command goes on with the runs that are missing"


@dataclass
class Budget:
    """CPU seconds that steps of training may take, all threads of this process together."""

    cpu_s: float
    spent: float = 0.0

    def within(self, steps: Iterator[Metrics]) -> Iterator[Metrics]:
        """Yield steps until the seconds are spent; the last one may exceed them.  At least one step is taken.

        What the consumer does between two steps (evaluations, progress) is not counted.
        """
        while self.spent < self.cpu_s or not self.spent:
            start = time.process_time()
            try:
                metrics = next(steps)
            except StopIteration:
                return
            self.spent += time.process_time() - start
            yield metrics


def read_results(file: Path, key: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, without one that a kill cut short; none where there is no file.

    Of rows equal in the columns `key` only the last one is returned.
    """
    if not file.exists():
        return []
    text = file.read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))
    return [*{tuple(row[name] for name in key): row for row in rows}.values()] if key else rows


def append_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows of one run, under a head where the file is new.  A row that a kill cut short is taken away.

    Raises OSError that says how to go on where they cannot be written.
    """
    if not rows:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    with saving(str(file), HINT), appending(file) as lines:
        if not lines.tell():
            writer.writeheader()
        writer.writerows(rows)
        lines.write(text.getvalue())
