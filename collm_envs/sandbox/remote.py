"""Tests that are code: they run in a grader process and call the program in its own process over a socket."""

from __future__ import annotations

import time
from collections.abc import Sequence

from .result import SandboxError
from .run import WALL, Child, Program, Run, clean, job_frame
from .worker import Hung, Worker

GRADER_FACTOR = 2.0
"""CPU seconds that the tests may use, per second of the program's limit"""
GRADER_LEAST_S = 1.0


class UnusableTest(SandboxError, ValueError):
    """The tests or their prompt cannot be run, so the program was not graded."""


def run(
    programs: Worker,
    tests: Worker,
    program: Program,
    texts: Sequence[str],
    cpu_s: float,
    prompt: str = "",
    check: str = "",
) -> Run:
    """Execute `prompt` and `check`, then each of `texts`, with `candidate` bound to a proxy of the program.

    Stops at the first text during which the program's process ended.  Raises InfraError or UnusableTest.
    """
    with Child(programs, b"p", program.frame([], True, cpu_s), cpu_s) as child:
        early = child.load()
        if early is not None:
            early.cpu_s = child.end().cpu_s
            return early
        child.channel.sock.setblocking(True)  # the grader inherits this mode with the socket
        grader_s = max(GRADER_FACTOR * cpu_s, GRADER_LEAST_S)
        job = job_frame(
            {
                "entry": program.entry,
                "prompt": prompt,
                "check": check,
                "tests": list(texts),
                "cpu_s": grader_s,
            }
        )
        with Child(tests, b"g", job, grader_s, child.channel.sock) as grader:
            child.channel.sock.close()  # or the program would not see the grader's end
            result = _verdicts(child, grader, len(texts))
        result.cpu_s = child.end().cpu_s
        return result


def _verdicts(child: Child, grader: Child, n: int) -> Run:
    verdicts: list[tuple[str, str]] = []
    while len(verdicts) < n:
        try:
            frame = grader.read()
        except Hung:
            if child.starved():
                grader.deadline = time.monotonic() + WALL * child.cpu_s
                continue
            return Run("timeout", [*verdicts, ("timeout", "")])
        match frame:
            case ["verdict", _, "died" | "protocol_error" as lost, "", ""]:
                status = child.why_gone() if lost == "died" else "protocol_error"
                return Run(status, [*verdicts, ("timeout" if status == "timeout" else "died", "")])
            case ["verdict", _, verdict, name, message]:
                verdicts.append(
                    (f"raised:{clean(name, 60)}" if verdict == "raised" else verdict, clean(message))
                )
            case ["unusable", name, message]:
                raise UnusableTest(f"the tests do not run: {name}: {clean(message)}")
            case _:  # a value the program returned was more than the tests could bear
                status = grader.why_gone()
                return Run("limit", [*verdicts, ("timeout" if status == "timeout" else "died", "")])
    return Run("ok", verdicts)
