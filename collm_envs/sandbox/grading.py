"""From a program and its cases to verdicts, on one slot: budgets, second chances, stubs for helpers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from . import remote
from .cases import Case
from .inside import wire
from .run import WALL, Program, Run, run
from .worker import Worker

MAX_CHILDREN = 3
"""a program that died in a call is run again for the calls after it, so often in all"""
LEAST_S = 0.05
"""a CPU budget below this is not worth a child"""

STUBS = {
    "none": "def {name}(*arguments, **named):\n    return None\n",
    "echo": "def {name}(*arguments, **named):\n    return arguments[0] if arguments else None\n",
    "raises": "def {name}(*arguments, **named):\n    raise RuntimeError('stub')\n",
}
"""what a helper is replaced by to see whether it mattered"""


class Slot(NamedTuple):
    """What one grading needs to itself: a worker for programs, and one for trusted tests."""

    programs: Worker
    tests: Worker


def _all(stretch: Callable[[int, float], Run], n: int, cpu_s: float) -> Run:
    """One verdict for each of n cases, inside one CPU budget; the status is the first thing that went wrong.

    `stretch(start, cpu_s)` runs the cases from `start` on, as far as one child gets.
    """
    whole = Run("ok")
    began, left = time.monotonic(), cpu_s
    for _ in range(MAX_CHILDREN):
        part = stretch(len(whole.verdicts), left)
        whole.verdicts += part.verdicts
        whole.cpu_s += part.cpu_s
        whole.error = whole.error or part.error
        if whole.status == "ok":
            whole.status = part.status
        died_in_a_call = part.status == "died" and part.verdicts
        left = cpu_s - max(whole.cpu_s, (time.monotonic() - began) / WALL)
        if not died_in_a_call or len(whole.verdicts) == n or left < LEAST_S:
            break
    whole.verdicts += [("not_run", "")] * (n - len(whole.verdicts))
    return whole


def grade(slot: Slot, program: Program, cases: Sequence[Case], cpu_s: float) -> Run:
    """All cases: those that are data first, then those that need the grader process."""
    data = [case for case in cases if not case.text]
    texts = [case.text for case in cases if case.text]

    def by_data(start: int, budget: float) -> Run:
        rest = data[start:]
        calls, rooms = [case.call for case in rest], [case.room for case in rest]
        return run(slot.programs, program, calls, rooms, budget, lambda i, frame: rest[i].judge(frame))

    def by_text(start: int, budget: float) -> Run:
        return remote.run(slot.programs, slot.tests, program, texts[start:], budget)

    first = _all(by_data, len(data), cpu_s) if data or not texts else Run("ok")
    if not texts:
        return first
    loaded = not data or any(verdict != "not_run" for verdict, _ in first.verdicts)
    left = cpu_s - first.cpu_s
    second = Run("ok", [("not_run", "")] * len(texts))
    if loaded and left >= LEAST_S:
        second = _all(by_text, len(texts), left)
    merged = [second.verdicts.pop(0) if case.text else first.verdicts.pop(0) for case in cases]
    status = first.status if first.status != "ok" else second.status
    return Run(status, merged, first.error or second.error, first.cpu_s + second.cpu_s)


def values(
    slot: Slot, program: Program, calls: Sequence[Sequence[Any]], cpu_s: float
) -> tuple[Run, list[Any]]:
    """What a program's calls returned, as exact builtins; None where there is no value."""
    found: list[Any] = [None] * len(calls)
    plain = [wire.decode(wire.encode(list(arguments))) for arguments in calls]

    def stretch(start: int, budget: float) -> Run:
        def keep(i: int, frame: list[str]) -> str:
            found[start + i] = wire.decode(frame, 2)
            return "ok"

        rest = plain[start:]
        return run(slot.programs, program, rest, [0] * len(rest), budget, keep)

    return _all(stretch, len(calls), cpu_s), found


def used_helpers(
    slot: Slot, program: Program, cases: Sequence[Case], base: Run, cpu_s: float
) -> tuple[str, ...]:
    """Names of the helpers some stub of which lowers the number of cases passed.

    Stubs get ten times the CPU time that the program itself took, 0.5 s at least: a program that loops for
    ever on a stub is not worth its whole limit.
    """
    passed = sum(verdict == "ok" for verdict, _ in base.verdicts)
    budget = min(cpu_s, max(0.5, 10 * base.cpu_s))

    def lowers(name: str, stub: str) -> bool:
        texts = tuple((n, stub.format(name=name) if n == name else text) for n, text in program.helpers)
        run = grade(slot, replace(program, helpers=texts), cases, budget)
        return sum(verdict == "ok" for verdict, _ in run.verdicts) < passed

    if passed == 0:
        return ()
    names = [name for name, _ in program.helpers]
    return tuple(name for name in names if any(lowers(name, stub) for stub in STUBS.values()))
