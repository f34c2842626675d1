"""The public class `Sandbox`: grade, check, grade_many, call."""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Literal, TypeVar

from . import grading, levels, remote
from .cases import read_test
from .grading import Slot
from .pool import Pool
from .result import CallFailed, InfraError, Level, Result, SandboxUnavailable
from .run import Program, Run
from .worker import Kind

ATTEMPTS = 3
"""tries of one grading before InfraError is raised"""
BACKENDS: dict[str, tuple[Kind, Level | None]] = {
    "auto": ("kernel", None),
    "wasm": ("wasm", "wasm"),
    "process": ("plain", "process"),
}
"""{backend: (kind of its zygotes, the level it requires; None: as in `require`)}"""
T = TypeVar("T")


class Sandbox:
    """Runs and grades untrusted programs; see the package's docstring.

    `workers` programs run at the same time; `require` is the weakest isolation that is accepted ("full",
    "no-ns" or "seccomp").  Two backends ignore `require` and are used only if named: "wasm" runs programs
    in WebAssembly (see `collm_envs.sandbox.wasm`), "process" in a bare process with limits.  Raises
    SandboxUnavailable if the machine cannot give that isolation.
    """

    def __init__(
        self,
        workers: int = 1,
        require: Level = "seccomp",
        backend: Literal["auto", "wasm", "process"] = "auto",
    ) -> None:
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise ValueError(f"workers: need an int of at least 1, got {workers!r}")
        if require not in levels.LEVELS:
            raise ValueError(f"require: need one of {list(levels.LEVELS)}, got {require!r}")
        if backend not in BACKENDS:
            raise ValueError(f"backend: need one of {list(BACKENDS)}, got {backend!r}")
        if sys.platform == "win32":
            raise SandboxUnavailable(
                "the sandbox needs fork, which Windows lacks, and so does its WebAssembly backend: "
                "use Linux, in WSL for example"
            )
        self.workers = workers
        kind, named = BACKENDS[backend]
        self._pool = Pool(workers, kind, named or require)
        self._finalizer = weakref.finalize(self, self._pool.close)
        self._proven = False
        try:
            self._with_slot(lambda slot: levels.stops_loops(slot.programs))
        except BaseException:
            self.close()
            raise
        self._proven = True

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process of this sandbox, after the gradings that other threads are running."""
        self._finalizer()

    def grade(
        self,
        *,
        main: str,
        entry_point: str,
        tests: Sequence[Mapping[str, Any]],
        aux: str | Mapping[str, str] | None = None,
        preamble: str = "",
        timeout_s: float = 2.0,
        counterfactual: bool = False,
        retry_timeouts: bool = False,
    ) -> Result:
        """Run one program against its tests.

        `preamble` is trusted Python, for example a problem's prompt: every text sees what it imports and
        defines, except the entry point; a statement of the preamble that raises is skipped.

        `timeout_s` is CPU seconds for the program with all its calls.  The wall-clock limit is three
        times that, and longer only if an overloaded machine starves the program.  `retry_timeouts` repeats a
        program that timed out once, with twice the limit.

        `counterfactual` grades again with each helper's value replaced by others of its type (see
        `inside.stubs`) and fills `without`, `used` and `aux_used`.

        Raises TypeError or ValueError for arguments that are not as the package's docstring says, and
        InfraError if the machine fails.  Whatever the untrusted texts do, the outcome is a Result.
        """
        program = _program(main, entry_point, aux, preamble)
        cases = [read_test(test, f"tests[{i}]", entry_point) for i, test in enumerate(tests)]

        def attempt(slot: Slot, changed: Program, chosen: Sequence[int], cpu_s: float) -> Run:
            return grading.grade(slot, changed, [cases[k] for k in chosen], cpu_s)

        return self._graded(program, len(cases), attempt, timeout_s, counterfactual, retry_timeouts)

    def check(
        self,
        *,
        main: str,
        entry_point: str,
        test: str,
        prompt: str = "",
        aux: str | Mapping[str, str] | None = None,
        preamble: str = "",
        timeout_s: float = 2.0,
        counterfactual: bool = False,
        retry_timeouts: bool = False,
    ) -> Result:
        """Run a `check(candidate)` from a data set, HumanEval style.  The result has one test.

        `test` and `prompt` are trusted: they run in a grader process, where `candidate` and the entry point's
        name call the program in its own process.  Arguments and values are copied between the two, so a
        program cannot change the arguments that a test holds.  `prompt` is executed before `test`, for the
        helpers and exceptions that it defines.  `main` is a whole program or a continuation of the prompt:
        a text whose first line that is no comment is indented.  The other arguments are as in `grade`.
        Raises ValueError (UnusableTest) if the tests themselves do not run.
        """
        test, prompt, main = _text("test", test), _text("prompt", prompt), _text("main", main)
        program = _program(prompt + main if _continues(main) else main, entry_point, aux, preamble)

        def attempt(slot: Slot, changed: Program, chosen: Sequence[int], cpu_s: float) -> Run:
            texts = ["check(candidate)"]
            run = remote.run(slot.programs, slot.tests, changed, texts, cpu_s, prompt, test)
            run.verdicts = run.verdicts or [("not_run", "")]
            return run

        return self._graded(program, 1, attempt, timeout_s, counterfactual, retry_timeouts)

    def _graded(
        self,
        program: Program,
        tests: int,
        attempt: Callable[[Slot, Program, Sequence[int], float], Run],
        timeout_s: float,
        counterfactual: bool,
        retry_timeouts: bool,
    ) -> Result:
        """The Result of `attempt(slot, program, indices of tests, CPU seconds)` for a number of `tests`."""
        cpu_s, unfit = _seconds(timeout_s), program.unfit()

        def work(slot: Slot) -> Result:
            outcome = Run("rejected_source", [("not_run", "")] * tests, unfit)
            without: dict[str, str] | None = {} if counterfactual else None
            if unfit is None:
                outcome = attempt(slot, program, range(tests), cpu_s)
                if outcome.status == "timeout" and retry_timeouts:
                    outcome = attempt(slot, program, range(tests), 2 * cpu_s)
                if counterfactual:
                    without = grading.without_helpers(partial(attempt, slot), program, outcome, cpu_s)
            return _result(slot, outcome, without)

        return self._with_slot(work)

    def grade_many(self, programs: Sequence[Mapping[str, Any]]) -> list[Result]:
        """`grade(**program)` of each program, `workers` at a time; results in the order of `programs`."""
        executor = ThreadPoolExecutor(min(self.workers, max(len(programs), 1)))
        try:
            return list(executor.map(lambda program: self.grade(**program), programs))
        finally:  # after Ctrl-C above all: what has begun ends by itself, the caller does not wait
            executor.shutdown(wait=False, cancel_futures=True)

    def call(self, program: str, function: str, *arguments: Any, timeout_s: float = 2.0) -> Any:
        """The value of `function(*arguments)`, run in a throw-away process: for trusted code on hostile data.

        `program` is the source that defines `function`.  Arguments and value are plain data, the value at
        most 1 MiB.  Raises CallFailed if the call returns no such value.
        """
        trusted = Program(_text("program", program), _text("function", function))
        cpu_s = _seconds(timeout_s)
        outcome, returned = self._with_slot(lambda slot: grading.values(slot, trusted, [arguments], cpu_s))
        verdict, message = outcome.verdicts[0]
        if verdict != "ok":
            error_text = f"{outcome.error.kind}: {outcome.error.message}" if outcome.error else message
            raise CallFailed(outcome.status if verdict == "not_run" else verdict, error_text)
        return returned[0]

    def _with_slot(self, work: Callable[[Slot], T]) -> T:
        """`work(slot)` on a free slot; an InfraError is retried on fresh processes, up to ATTEMPTS times."""
        failure: InfraError | None = None
        for _ in range(ATTEMPTS):
            try:
                with self._pool.slot() as slot:
                    return work(slot)
            except InfraError as error:
                failure = error
            except SandboxUnavailable as error:
                if not self._proven:
                    raise
                failure = InfraError(f"what worked before does not start again: {error}")
        assert failure is not None
        raise failure


def _program(main: str, entry_point: str, aux: str | Mapping[str, str] | None, preamble: str) -> Program:
    texts = {} if aux is None else aux if isinstance(aux, Mapping) else {"aux": aux}
    for what, name in (("entry_point", entry_point), *(("aux", name) for name in texts)):
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"{what}: need the name of a function, got {name!r}")
        if what == "aux" and name in (entry_point, "solution"):
            raise ValueError(f"aux: a helper cannot be called {name!r}")
    helpers = tuple((_text("aux", name), _text(name, text)) for name, text in texts.items())
    return Program(
        _text("main", main), _text("entry_point", entry_point), helpers, _text("preamble", preamble)
    )


def _text(what: str, text: str) -> str:
    """`text` as an exact str: marshal would write numpy's subclass as its buffer."""
    if not isinstance(text, str):
        raise TypeError(f"{what}: need a str, got {type(text).__name__}")
    return str.__str__(text)


def _continues(text: str) -> bool:
    """Whether the first line that is no comment is indented, so that the text continues a prompt."""
    lines = [line for line in text.split("\n") if line.strip()]
    code = (line for line in lines if not line.lstrip().startswith("#"))
    return next(code, (lines or [""])[0]).startswith((" ", "\t"))


def _seconds(timeout_s: float) -> float:
    if not isinstance(timeout_s, (int, float)) or not 0 < timeout_s < math.inf:
        raise ValueError(f"timeout_s: need a positive number of seconds, got {timeout_s!r}")
    return float(timeout_s)


def _result(slot: Slot, outcome: Run, without: Mapping[str, str] | None) -> Result:
    tests = tuple(verdict for verdict, _ in outcome.verdicts)
    messages = tuple(message for _, message in outcome.verdicts)
    level, features = slot.programs.level, slot.programs.features
    return Result(outcome.status, tests, messages, level, features, outcome.error, without)
