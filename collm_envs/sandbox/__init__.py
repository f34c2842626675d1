"""Runs and grades untrusted programs.  Standard library only.

    from collm_envs.sandbox import Sandbox

    with Sandbox(workers=2) as sandbox:
        result = sandbox.grade(
            aux="def aux(x): return sorted(x)",
            main="def f(xs): return aux(xs)",
            entry_point="f",
            tests=[{"input": [[3, 1, 2]], "expected": [1, 2, 3]}],
            timeout_s=2.0,
            counterfactual=True,
        )
        result.passed, result.total     # 1, 1
        result.tests                    # ("ok",), one verdict a test
        result.status                   # "ok"
        result.isolation                # "full"
        result.aux_used                 # True: a test fails once aux returns something else

Guarantee: the program runs in a process of its own that may compute and nothing else (no files, network,
processes, threads, signals), and the expected values never enter that process.  The program can only report
"call i returned this plain value"; the comparison is done outside.  No sandbox stops programs that have
memorised public tests, or exploits of the kernel itself.  Do not give a trainer that runs as root a
container daemon's socket: one exploit would then take over the whole machine.

Isolation, weakest first: "process" (limits only) < "wasm" < "seccomp" (allow-list of system calls) <
"no-ns" (and Landlock) < "full" (and namespaces with an empty root).  Linux gives "seccomp" or better to any
user in any container.  At start a test program attacks the sandbox; the level that resists is reported in
every result.  A level below `require` raises SandboxUnavailable: there is no silent fallback.  The backends
"wasm" and "process" are used only where they are named.

Calls of a Sandbox (all blocking and safe from several threads; from asyncio: `asyncio.to_thread`; a forked
copy of the process opens workers of its own):

    grade(main=, entry_point=, tests=, aux=None, preamble="", timeout_s=2.0, counterfactual=False,
          retry_timeouts=False) -> Result
        every text of the program sees what the trusted `preamble` imports and defines
    check(main=, entry_point=, test=, prompt="", ...) -> Result
        HumanEval style: `test` defines check(candidate), `main` may continue the prompt.  total is 1.
    grade_many([{keywords of grade}, ...]) -> [Result, ...]     all workers in parallel, results in order
    call(program, function, *arguments, timeout_s=2.0) -> value
        runs a trusted function of yours on untrusted data in a throw-away process; raises CallFailed

`main` alone is a single program in one namespace.  With `aux` (a text, or a mapping of helper name -> text
in order) every text has its own namespace: each helper sees the helpers before it, main sees all of them,
and only the one named function of a helper is visible.

A test is one of these mappings; `candidate` and the entry point's own name mean the same in an assert:

    {"input": [arguments], "expected": value}                     Python's == on plain data
    {"input": [arguments], "expected": value, "tolerance": 1e-6}  numbers differ by at most that
    {"input": [arguments], "truth": True}                         bool(value) is that
    {"assert": "assert candidate([1]) == [1]"}                    one trusted assert statement

Plain data: None, bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, of at most a
million nodes; subclasses are sent as their base class.  Anything else (a generator, a Fraction, an object of
a program's own) is "unserialisable".  An object's own __eq__, __bool__ or __repr__ is never called.

A program runs with this Python, most of its standard library, 512 MB and an empty standard input; what it
prints is discarded.  Threads cannot start, so asyncio does not work either.  Arguments, environment, paths,
host name and time zone are hidden: they look the same on every machine.

`counterfactual` tests whether a helper matters: the real helper runs, and its return value is replaced by
another value of the same type, or its changes to its arguments are undone.  The helper is used if a test
that passed then fails.  A program that detects the replacement and fails on purpose can still feign use.

A verdict is "ok", "wrong", "raised:<class name>", "timeout", "died", "unserialisable" or "not_run".  A status
is "ok" (all calls were answered), "rejected_source", "load_error", "timeout", "limit", "died" or
"protocol_error".  When the machine fails rather than the program, InfraError is raised: never a score.
"""

from .remote import UnusableTest
from .result import CallFailed, InfraError, LoadError, Result, SandboxError, SandboxUnavailable
from .sandbox import Sandbox

__all__ = [
    "CallFailed",
    "InfraError",
    "LoadError",
    "Result",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "UnusableTest",
]
