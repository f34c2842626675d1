"""Runs the corpus on a sandbox, and makes this process's kernel as strict as other machines' are."""

from __future__ import annotations

import ctypes
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collm_envs.sandbox import Sandbox
from collm_envs.sandbox.inside import syscalls
from sandbox_corpus.awkward import AWKWARD
from sandbox_corpus.breakouts import BREAKOUTS
from sandbox_corpus.cheats import CHEATS, CLOSE, TRUTH
from sandbox_corpus.honest import HONEST
from sandbox_corpus.host import Host, host, look
from sandbox_corpus.tricks import TRICKS

EARNS = {**HONEST, **AWKWARD}
INPUTS: tuple[list[int], ...] = ([3, 1, 2], [-5, -7], [100], [8, 8, 8, 11])
LIMIT_S = 0.1
"""CPU seconds for a hostile program: nothing is lost by stopping it early"""


def hostile_jobs(at: Host) -> dict[str, dict[str, Any]]:
    """name -> keywords of `grade`; every one of them must pass nothing."""
    answers = [{"input": [xs], "expected": [sum(xs), max(xs)]} for xs in INPUTS]
    close = [{"input": [x], "expected": math.sqrt(x), "tolerance": 1e-6} for x in (2.0, 3.0)]
    truth = [{"input": [x], "truth": True} for x in (1, 2)]
    jobs: dict[str, dict[str, Any]] = {}
    for programs, tests in (
        (CHEATS, answers),
        (BREAKOUTS, answers),
        (TRICKS, answers),
        (CLOSE, close),
        (TRUTH, truth),
    ):
        for name, text in programs.items():
            jobs[name] = {"main": at.fill(text), "entry_point": "f", "tests": tests, "timeout_s": LIMIT_S}
    return jobs


def honest_jobs() -> dict[str, dict[str, Any]]:
    """name -> keywords of `grade`; each must pass exactly `EARNS[name].passed`."""
    return {
        name: {"main": h.main, "aux": h.aux, "entry_point": "f", "tests": h.tests, "timeout_s": h.timeout_s}
        for name, h in EARNS.items()
    }


def wrong(sandbox: Sandbox, jobs: dict[str, dict[str, Any]], expected: dict[str, int]) -> list[str]:
    """The programs that did not pass as many tests as they should, in words."""
    results = sandbox.grade_many(list(jobs.values()))
    return [
        f"{name}: passed {result.passed} of {result.total}, not {expected.get(name, 0)}: {result}"
        for name, result in zip(jobs, results, strict=True)
        if result.passed != expected.get(name, 0)
    ]


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [f"{key}: {before[key]} -> {after[key]}" for key in before if before[key] != after[key]]


def play(folder: Path, workers: int = 2) -> dict[str, Any]:
    """The whole corpus on one sandbox: what went wrong, what changed on the host, the level."""
    with host(folder, INPUTS) as at:
        before = look(at)
        with Sandbox(workers=workers) as sandbox:
            failures = wrong(sandbox, hostile_jobs(at), {})
            failures += wrong(sandbox, honest_jobs(), {name: h.passed for name, h in EARNS.items()})
            probe = sandbox.grade(**honest_jobs()["half right"])
        return {"wrong": failures, "changed": changes(before, look(at)), "level": probe.isolation}


DENIED: dict[str, Sequence[tuple[str, int]]] = {
    "plain": (),
    "docker": [(name, 1) for name in ("unshare", "setns", "mount", "umount2", "pivot_root")],
}
DENIED["gvisor"] = [*DENIED["docker"], ("landlock_create_ruleset", 38), ("landlock_restrict_self", 38)]
DENIED["bare"] = [*DENIED["gvisor"], ("seccomp", 38)]


def restrict(profile: str) -> None:
    """Take system calls away from this process and all it starts, with the errno a real machine gives."""
    if not DENIED[profile]:
        return
    steps = [struct.pack("=HBBI", 0x20, 0, 0, 0)]
    for name, error in DENIED[profile]:
        number = syscalls.TABLES[syscalls.MACHINE or ""][name]
        steps += [struct.pack("=HBBI", 0x15, 0, 1, number), struct.pack("=HBBI", 6, 0, 0, 0x50000 | error)]
    steps.append(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(steps))
    program = struct.pack("=HxxxxxxQ", len(steps), ctypes.addressof(code))
    syscalls.prctl(38, 1)
    syscalls.call("seccomp", 1, 0, ctypes.create_string_buffer(program, len(program)))
