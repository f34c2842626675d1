"""Runs a program on its cases in one slot: CPU budgets, restarts after a crash, stubs for helpers."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from . import remote
from .cases import Case
from .inside import stubs, wire
from .run import WALL, Program, Run, run
from .worker import Worker

MAX_CHILDREN = 3
"""children per grading: after a program dies in a call, a new child goes on with the next call"""
LEAST_S = 0.05
"""no child is started for less CPU time than this"""


class Slot(NamedTuple):
    """What one grading uses exclusively: a worker for programs and one for trusted tests."""

    programs: Worker
    tests: Worker


def _all(stretch: Callable[[int, float], Run], n: int, cpu_s: float) -> Run:
    """One verdict for each of n cases within one CPU budget; the status is the first that is not "ok".

    `stretch(start, cpu_s)` runs the cases from index `start` on in one child, until that child ends.
    """
    total = Run("ok")
    began, left = time.monotonic(), cpu_s
    for _ in range(MAX_CHILDREN):
        part = stretch(len(total.verdicts), left)
        total.verdicts += part.verdicts
        total.cpu_s += part.cpu_s
        total.error = total.error or part.error
        if total.status == "ok":
            total.status = part.status
        died_in_a_call = part.status == "died" and part.verdicts
        left = cpu_s - max(total.cpu_s, (time.monotonic() - began) / WALL)
        if not died_in_a_call or len(total.verdicts) == n or left < LEAST_S:
            break
    total.verdicts += [("not_run", "")] * (n - len(total.verdicts))
    return total


def grade(slot: Slot, program: Program, cases: Sequence[Case], cpu_s: float) -> Run:
    """The verdicts on all cases: first those that are data, then those that need the grader process."""
    data = [case for case in cases if not case.text]
    texts = [case.text for case in cases if case.text]

    def by_data(start: int, budget: float) -> Run:
        cases_left = data[start:]
        calls, rooms = [case.call for case in cases_left], [case.room for case in cases_left]
        return run(slot.programs, program, calls, rooms, budget, lambda i, frame: cases_left[i].judge(frame))

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
    """(the run, the value of each call as exact builtins, None for a call without a value)."""
    returned: list[Any] = [None] * len(calls)
    plain_calls = [wire.decode(wire.encode(list(arguments))) for arguments in calls]

    def stretch(start: int, budget: float) -> Run:
        def keep(i: int, frame: list[str]) -> str:
            returned[start + i] = wire.decode(frame, 2)
            return "ok"

        calls_left = plain_calls[start:]
        return run(slot.programs, program, calls_left, [0] * len(calls_left), budget, keep)

    return _all(stretch, len(calls), cpu_s), returned


Try = Callable[[Program, Sequence[int], float], Run]
"""attempt(program, indices of tests, CPU seconds) -> the run of those tests"""
ENDED = ("ok", "wrong", "unserialisable")


def without_helpers(attempt: Try, program: Program, base: Run, cpu_s: float) -> dict[str, str]:
    """{helper: ok, wrong or timeout}: the worst verdict on the passed tests once its value is replaced.

    Each kind of stub is tried until a test that passed fails.  `base` is the run without stubs.  The run of
    a stub may take ten times the CPU time of `base`, at least 0.5 s and at most WALL times `cpu_s`: enough
    for a program that a stub slows down, and a bound for one that a stub sends into an endless loop.
    """
    ended = [
        k for k, (verdict, _) in enumerate(base.verdicts) if verdict in ENDED or verdict[:7] == "raised:"
    ]
    passed = [base.verdicts[k][0] == "ok" for k in ended]
    if not any(passed):
        return {}
    budget = min(WALL * cpu_s, max(0.5, 10 * base.cpu_s))

    def without(name: str) -> str:
        for kind in stubs.KINDS if _mentions(program, name) else ():
            run = attempt(replace(program, stub=(name, kind)), ended, budget)
            if any(was and now != "ok" for was, (now, _) in zip(passed, run.verdicts, strict=True)):
                return "timeout" if run.status == "timeout" else "wrong"
        return "ok"

    return {name: without(name) for name, _ in program.helpers}


def _mentions(program: Program, name: str) -> bool:
    """Whether a later text contains the helper's name, normalised (NFKC) as Python does identifiers."""
    names = [helper for helper, _ in program.helpers]
    later = [text for _, text in program.helpers[names.index(name) + 1 :]]
    return any(name in unicodedata.normalize("NFKC", text) for text in (*later, program.main))
