"""From a program and its cases to verdicts, on one slot: budgets, second chances, stubs for helpers."""

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
"""a program that died in a call is run again for the calls after it, so often in all"""
LEAST_S = 0.05
"""a CPU budget below this is not worth a child"""


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


Try = Callable[[Program, Sequence[int], float], Run]
"""the tests of these indices on one program, within a budget of CPU seconds"""
ENDED = ("ok", "wrong", "unserialisable")


def without_helpers(attempt: Try, program: Program, base: Run, cpu_s: float) -> dict[str, str]:
    """Helper -> what becomes of the tests that passed once its value is replaced: ok, wrong or timeout.

    Each kind of stub is tried until one makes a test fail that passed.  `base` is the run without stubs.
    A stub may take ten times its CPU time, half a second at least, and three times the limit at most: a
    program that loops for ever on a stub costs no more, and one that a stub merely slows down is not lost.
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
    """Whether a text after a helper holds its name, in whatever letters Python takes for it."""
    names = [helper for helper, _ in program.helpers]
    later = [text for _, text in program.helpers[names.index(name) + 1 :]]
    return any(name in unicodedata.normalize("NFKC", text) for text in (*later, program.main))
