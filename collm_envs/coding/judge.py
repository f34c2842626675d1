"""A turn's texts to a verdict, through a sandbox.  The only place of the family where programs run.

Every function takes the sandbox as an argument; `shared` is the one of this process.  A machine that fails
raises `InfraError`: that is no verdict.
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
"""what stands for an agent that says nothing"""
ALIAS = "def {entry}(*arguments, **named):\n    return {name}(*arguments, **named)\n"
"""a main function that adds nothing"""
WORDS = ("", "ok", "timeout", "wrong")
"""what batches of tests say of a helper, the weakest first"""
UNREADABLE = (0, 0, "too much for the parser")
MAX_WORKERS = 8
KEYWORD = 'An environment takes the backend as its keyword `sandbox`: make("CoopHE-v0", sandbox="wasm").'
_open: dict[tuple[int, Backend], Sandbox] = {}
_lock = threading.Lock()


class Limits(NamedTuple):
    """When a program has had its time."""

    timeout_s: float
    """CPU seconds for a program with all its calls"""
    max_timeouts: int
    """tests that may time out before the rest is given up"""
    retry: bool = True
    """whether the first time-out is repeated with twice the limit before it counts"""


class TestRun(NamedTuple):
    """The tests of a problem, run on one program."""

    tests: tuple[str, ...]
    messages: tuple[str, ...]
    timeouts: int
    loaded: bool = False
    """whether any test came to run"""
    error: LoadError | None = None
    without: Mapping[str, str] = {}
    """helper -> ok, wrong or timeout: what becomes of the tests that passed once its value is replaced"""

    @property
    def passed(self) -> int:
        return self.tests.count("ok")


def shared(backend: Backend) -> Sandbox:
    """The sandbox of this process: opened at first use, closed at exit; a fork opens its own.

    Raises SandboxUnavailable where the machine cannot give what `backend` promises.
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
    """Every test of the problem on one program, hangs and all; with `counterfactual`, `without` is filled.

    A program that hangs in a test is begun again for the tests after it, until `max_timeouts` tests have
    hung.
    """
    program: dict[str, Any] = {"main": main, "entry_point": problem.entry_point, "aux": dict(aux) or None}
    program |= {"preamble": problem.preamble, "counterfactual": counterfactual}
    found: dict[int, tuple[str, str]] = {}
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
        said = dict(zip(batch, zip(result.tests, result.messages, strict=True), strict=True))
        if hung:  # what it did not come to is asked again
            said = {k: what for k, what in said.items() if what[0] != "not_run"}
        found.update(said)
        waiting = [k for k in waiting if k not in said]
        timeouts += hung
        if not said:  # it did not even load in time
            break
    loaded = error is None and any(word != "not_run" for word, _ in found.values())
    found.update((k, ("raised:SyntaxError", "")) for k, test in enumerate(problem.tests) if test.broken)
    verdicts = [found.get(k, ("not_run", "")) for k in range(len(problem.tests))]
    words, messages = tuple(v for v, _ in verdicts), tuple(m for _, m in verdicts)
    return TestRun(words, messages, timeouts, loaded, error, without)


def judge_lines(
    sandbox: Sandbox, problem: Problem, limits: Limits, texts: Sequence[str], reasons: bool
) -> Verdict:
    """CoopHE-v0: the first text's aux and the last text's main in one namespace, by the line rules.

    Without `reasons` a program that no reward depends on is not run.
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
        return verdict  # what ran is Python: no need to read it
    error, misuses = _read(sandbox, "line_program", program, main) or (UNREADABLE, [])
    if error:
        return replace(
            verdict, error=_place(error), parses=False, loads=False, tests=(), messages=(), timeouts=0
        )
    return replace(verdict, misuses=tuple(misuses))


def judge_modules(
    sandbox: Sandbox, problem: Problem, limits: Limits, texts: Sequence[str], names: Sequence[str]
) -> Verdict:
    """CoopHE-v1: every text a module of its own that sees the helpers before it.

    A helper that is not defined or does not load is left out; main gets what there is.
    """
    asked = [[text, name, list(names[:k])] for k, (text, name) in enumerate(zip(texts, names, strict=True))]
    found = _read(sandbox, "agents", asked) or [["", UNREADABLE, False, [], []] for _ in texts]
    parts = [
        Part(name, code, defined, _place(error) if error else "")
        for name, (code, error, defined, _, _) in zip(names, found, strict=True)
    ]
    calls, misuses = found[-1][3:]
    verdict = Verdict(tuple(parts), parses=True, calls=bool(calls), misuses=tuple(misuses))
    if not parts[-1].defined:
        return replace(verdict, error=parts[-1].error, parses=not parts[-1].error)
    helpers = {part.name: part.code for part in parts[:-1] if part.defined}
    trial = try_tests(sandbox, problem, limits, parts[-1].code, helpers, counterfactual=bool(helpers))
    while trial.error and trial.error.part in helpers:
        del helpers[trial.error.part]
        k = list(names).index(trial.error.part)
        parts[k] = replace(parts[k], defined=False, error=_said(trial.error))
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
    """With `used` and `wrapper` filled, by counterfactuals: without a helper's value, and without main."""
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
    """The verdict with the outcome of the tests."""
    error = _said(trial.error) if trial.error else ""
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
    """The plain asserts that wait, all at once; where none does, the next test that is a module."""
    return [k for k in waiting if not tests[k].check] or list(waiting[:1])


def _grade(sandbox: Sandbox, problem: Problem, batch: list[int], **how: Any) -> Result:
    check = problem.tests[batch[0]].check
    if check:
        return sandbox.check(test=check, prompt=problem.scope, **how)
    return sandbox.grade(tests=[{"assert": problem.tests[k].text} for k in batch], **how)


def _read(sandbox: Sandbox, function: str, *arguments: Any) -> Any:
    """A function of `reading` in a throw-away process; None where the text was too much for it."""
    try:
        return sandbox.call(READING, function, *arguments)
    except CallFailed:
        return None


def _place(error: Sequence[Any]) -> str:
    line, column, message = error
    return f"line {line}, column {column}: {message}" if line else str(message)


def _said(error: LoadError) -> str:
    what = f"{error.kind}: {error.message}" if error.message else error.kind
    return f"{what} (line {error.line}, column {error.column})" if error.line else what
