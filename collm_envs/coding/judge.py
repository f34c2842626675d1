"""Grades a turn's texts in a sandbox.  The only module of the coding tasks that runs programs.

Every function takes the sandbox as an argument; `shared` returns that of this process.  If the machine
fails, `InfraError` is raised and there is no verdict.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from collm_envs.coding import line_rules
from collm_envs.coding.problem import Assert, Problem
from collm_envs.coding.verdict import Part, Verdict
from collm_envs.sandbox import CallFailed, LoadError, Result, Sandbox, SandboxUnavailable

Backend = Literal["auto", "wasm", "process"]
READING = Path(__file__).with_name("parse_answer.py").read_text(encoding="utf-8")
SILENCE = "def {name}(*arguments, **named):\n    return None\n"
"""the program of an agent that writes nothing"""
ALIAS = "def {entry}(*arguments, **named):\n    return {name}(*arguments, **named)\n"
"""a main function that only calls a helper"""
WORDS = ("", "ok", "timeout", "wrong")
"""verdicts on a helper, the weakest first: of several batches the strongest counts"""
UNREADABLE = (0, 0, "too much for the parser")
MAX_WORKERS = 8
KEYWORD = 'An environment takes the backend as its keyword `sandbox`: make("CoopHE-v0", sandbox="wasm").'
_open: dict[tuple[int, Backend], Sandbox] = {}
_lock = threading.Lock()


class Limits(NamedTuple):
    """Limits on the time of a program."""

    timeout_s: float
    """CPU seconds for a program with all its calls"""
    max_timeouts: int
    """tests that may time out before the tests left are given up"""
    retry: bool = True
    """whether the first time-out is repeated with twice the limit before it counts"""


class TestRun(NamedTuple):
    """The tests of a problem, run on one program."""

    tests: tuple[str, ...]
    messages: tuple[str, ...]
    timeouts: int
    loaded: bool = False
    """whether any test was run"""
    error: LoadError | None = None
    without: Mapping[str, str] = {}
    """{helper: ok, wrong or timeout}: the verdict on the passed tests once its value is replaced"""

    @property
    def passed(self) -> int:
        return self.tests.count("ok")


def shared(backend: Backend) -> Sandbox:
    """The sandbox of this process: opened at first use, closed at exit; a forked process opens its own.

    Raises SandboxUnavailable if the machine cannot give the isolation of `backend`.
    """
    key = os.getpid(), backend
    with _lock:
        if key not in _open:
            workers = min(os.cpu_count() or 1, MAX_WORKERS)
            try:
                _open[key] = Sandbox(workers, backend=backend)
            except SandboxUnavailable as error:
                raise SandboxUnavailable(f"{error}\n{KEYWORD}") from None
        return _open[key]


def try_tests(
    sandbox: Sandbox,
    problem: Problem,
    limits: Limits,
    main: str,
    aux: Mapping[str, str],
    counterfactual: bool = False,
) -> TestRun:
    """The outcome of every test of the problem on one program; with `counterfactual`, `without` is filled.

    After a time-out the program is started again for the tests that follow, until `max_timeouts` tests
    have timed out.
    """
    program: dict[str, Any] = {"main": main, "entry_point": problem.entry_point, "aux": dict(aux) or None}
    program |= {"preamble": problem.preamble, "counterfactual": counterfactual}
    outcomes: dict[int, tuple[str, str]] = {}
    without: dict[str, str] = {}
    timeouts, error = 0, None
    waiting = [k for k, test in enumerate(problem.tests) if not test.broken]
    while waiting and timeouts < limits.max_timeouts and error is None:
        batch = _next_batch(problem.tests, waiting)
        retry = limits.retry and timeouts == 0
        result = _grade(sandbox, problem, batch, timeout_s=limits.timeout_s, retry_timeouts=retry, **program)
        error, hung = result.error, result.status == "timeout"
        for name, word in (result.without or {}).items():
            without[name] = max(word, without.get(name, ""), key=WORDS.index)
        batch_outcomes = dict(zip(batch, zip(result.tests, result.messages, strict=True), strict=True))
        if hung:  # the tests it did not reach are run in the next batch
            batch_outcomes = {k: what for k, what in batch_outcomes.items() if what[0] != "not_run"}
        outcomes.update(batch_outcomes)
        waiting = [k for k in waiting if k not in batch_outcomes]
        timeouts += hung
        if not batch_outcomes:  # the program did not load in time
            break
    loaded = error is None and any(word != "not_run" for word, _ in outcomes.values())
    outcomes.update((k, ("raised:SyntaxError", "")) for k, test in enumerate(problem.tests) if test.broken)
    verdicts = [outcomes.get(k, ("not_run", "")) for k in range(len(problem.tests))]
    words, messages = tuple(v for v, _ in verdicts), tuple(m for _, m in verdicts)
    return TestRun(words, messages, timeouts, loaded, error, without)


def judge_lines(
    sandbox: Sandbox, problem: Problem, limits: Limits, texts: Sequence[str], reasons: bool
) -> Verdict:
    """CoopHE-v0: the first text's aux and the last text's main in one namespace, by the line rules.

    Without `reasons` (no feedback follows) a program that no reward depends on is not run.
    """
    last = len(texts) - 1
    aux = line_rules.extract(texts[0], "aux") if last else ""
    main = line_rules.extract(texts[-1], problem.entry_point)
    parts = [Part("") for _ in texts]
    if last:
        parts[0] = Part("aux", aux, line_rules.is_defined(aux))
    parts[-1] = Part(problem.entry_point, main, line_rules.is_defined(main))
    verdict = Verdict(
        tuple(parts),
        parses=True,
        calls=bool(last) and line_rules.calls_aux(main),
        wrapper=bool(last) and line_rules.is_thin_wrapper(main),
        ignored=bool(last) and line_rules.ignores_aux(main),
    )
    program = line_rules.merge(problem.imports, aux, main)
    if parts[-1].defined or (reasons and main):
        verdict = _tried(verdict, try_tests(sandbox, problem, limits, program, {}))
    if verdict.loads and not (reasons and verdict.calls):
        return verdict  # what ran is Python: no need to parse it
    error, misuses = _read(sandbox, "line_program", program, main) or (UNREADABLE, [])
    if error:
        return replace(
            verdict, error=_position(error), parses=False, loads=False, tests=(), messages=(), timeouts=0
        )
    return replace(verdict, misuses=tuple(misuses))


def judge_modules(
    sandbox: Sandbox, problem: Problem, limits: Limits, texts: Sequence[str], names: Sequence[str]
) -> Verdict:
    """CoopHE-v1: every text is a module of its own that sees the earlier helpers.

    A helper that is not defined or does not load is left out; main sees the others.
    """
    requests = [
        [text, name, list(names[:k])] for k, (text, name) in enumerate(zip(texts, names, strict=True))
    ]
    readings = _read(sandbox, "agents", requests) or [["", UNREADABLE, False, [], []] for _ in texts]
    parts = [
        Part(name, code, defined, _position(error) if error else "")
        for name, (code, error, defined, _, _) in zip(names, readings, strict=True)
    ]
    calls, misuses = readings[-1][3:]
    verdict = Verdict(tuple(parts), parses=True, calls=bool(calls), misuses=tuple(misuses))
    if not parts[-1].defined:
        return replace(verdict, error=parts[-1].error, parses=not parts[-1].error)
    helpers = {part.name: part.code for part in parts[:-1] if part.defined}
    trial = try_tests(sandbox, problem, limits, parts[-1].code, helpers, counterfactual=bool(helpers))
    while trial.error and trial.error.part in helpers:
        del helpers[trial.error.part]
        k = list(names).index(trial.error.part)
        parts[k] = replace(parts[k], defined=False, error=_error_text(trial.error))
        trial = try_tests(sandbox, problem, limits, parts[-1].code, helpers, counterfactual=bool(helpers))
    verdict = _tried(replace(verdict, parts=tuple(parts)), trial)
    verdict = replace(verdict, loads=verdict.loads and not any(part.error for part in parts))
    return _credited(sandbox, problem, limits, verdict, helpers, trial.without)


def _credited(
    sandbox: Sandbox,
    problem: Problem,
    limits: Limits,
    verdict: Verdict,
    helpers: dict[str, str],
    without: Mapping[str, str],
) -> Verdict:
    """The verdict with `used` and `wrapper` filled: the tests without a helper's value, and without main."""
    entry = problem.entry_point
    once = limits._replace(max_timeouts=1, retry=False)
    used = tuple(name for name, word in without.items() if word != "ok")
    alone = {}
    for name in used:
        trial = try_tests(sandbox, problem, once, ALIAS.format(entry=entry, name=name), helpers)
        worse = "timeout" if trial.timeouts else "wrong"
        alone[name] = "ok" if trial.passed >= verdict.passed else worse
    credit = {f"without {name}": word for name, word in without.items()}
    credit |= {f"{name} alone": word for name, word in alone.items()}
    return replace(verdict, used=used, wrapper="ok" in alone.values(), counterfactuals=credit)


def _tried(verdict: Verdict, trial: TestRun) -> Verdict:
    """The verdict with the outcome of the tests filled in."""
    error = _error_text(trial.error) if trial.error else ""
    if not error and not trial.loaded and trial.timeouts:
        error = "it does not load in time"
    return replace(
        verdict,
        error=error,
        loads=trial.loaded,
        tests=trial.tests,
        messages=trial.messages,
        timeouts=trial.timeouts,
    )


def _next_batch(tests: Sequence[Assert], waiting: Sequence[int]) -> list[int]:
    """Indices of all waiting plain asserts; if there are none, of the next test that is a module."""
    return [k for k in waiting if not tests[k].check] or list(waiting[:1])


def _grade(sandbox: Sandbox, problem: Problem, batch: list[int], **how: Any) -> Result:
    check = problem.tests[batch[0]].check
    if check:
        return sandbox.check(test=check, prompt=problem.scope, **how)
    return sandbox.grade(tests=[{"assert": problem.tests[k].text} for k in batch], **how)


def _read(sandbox: Sandbox, function: str, *arguments: Any) -> Any:
    """The value of a function of parse_answer.py in a throw-away process; None if that process failed."""
    try:
        return sandbox.call(READING, function, *arguments)
    except CallFailed:
        return None


def _position(error: Sequence[Any]) -> str:
    line, column, message = error
    return f"line {line}, column {column}: {message}" if line else str(message)


def _error_text(error: LoadError) -> str:
    what = f"{error.kind}: {error.message}" if error.message else error.kind
    return f"{what} (line {error.line}, column {error.column})" if error.line else what
