"""What a grading says: verdicts, statuses, messages, helpers that mattered, and errors for the caller."""

import sys

import pytest

from collm_envs.sandbox import Result, Sandbox

SORT = [{"input": [xs], "expected": sorted(xs)} for xs in ([3, 1, 2], [], [2, 1], [5])]
TWICE = [{"input": [x], "expected": 2 * x} for x in range(4)]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as one:
        yield one


def grade(sandbox, main, tests=SORT, **how) -> Result:
    return sandbox.grade(main=main, entry_point="f", tests=tests, **how)


def test_the_example_of_the_docstring(sandbox):
    result = sandbox.grade(
        aux="def aux(x): return sorted(x)",
        main="def f(xs): return aux(xs)",
        entry_point="f",
        tests=[{"input": [[3, 1, 2]], "expected": [1, 2, 3]}],
        timeout_s=2.0,
        counterfactual=True,
    )
    assert (result.passed, result.total, result.tests, result.status) == (1, 1, ("ok",), "ok")
    assert result.aux_used is True
    assert result.isolation in ("full", "no-ns", "seccomp")
    assert result.features["seccomp"] is True


def test_every_verdict_has_its_word(sandbox):
    main = """
import os
def f(x):
    if x == 0: return 0
    if x == 1: return -1
    if x == 2: raise KeyError("two")
    if x == 3: return object()
    if x == 4: os._exit(0)
    if x == 5: return 10
    while True: pass
"""
    tests = [{"input": [x], "expected": 2 * x} for x in range(8)]
    result = grade(sandbox, main, tests, timeout_s=0.3)
    assert result.tests == (
        "ok", "wrong", "raised:KeyError", "unserialisable", "died", "ok", "timeout", "not_run",
    )  # fmt: skip
    assert result.messages[2] == "'two'"
    assert result.messages[3] == "object"
    assert result.status == "died"
    assert (result.passed, result.total, result.aux_used) == (2, 8, None)


def test_answers_before_a_hang_count_and_those_after_it_do_not(sandbox):
    result = grade(sandbox, "def f(x):\n    while x == 2: pass\n    return 2 * x\n", TWICE, timeout_s=0.2)
    assert result.tests == ("ok", "ok", "timeout", "not_run")
    assert result.status == "timeout"


def test_a_program_that_dies_often_is_not_started_for_ever(sandbox):
    result = grade(sandbox, "import os\ndef f(x): os._exit(0)\n", TWICE)
    assert result.tests == ("died", "died", "died", "not_run")


@pytest.mark.parametrize(
    ("main", "part", "kind", "line"),
    [
        ("def f(:\n", "main", "SyntaxError", 1),
        ("x = 1\n\ndef f(xs):\n  return 1\n return 2\n", "main", "IndentationError", 5),
        ("import numpy\ndef f(x): pass\n", "solution", "ModuleNotFoundError", 0),
        ("x = 1\n", "solution", "NameError", 0),
        ("f = 1\n", "solution", "TypeError", 0),
        ("def f(x): pass\nraise SystemExit\n", "solution", "SystemExit", 0),
        ("def f(x): return " + "-" * 30_000 + "1\n", "main", "MemoryError|RecursionError|SyntaxError", 0),
    ],
)
def test_a_text_that_is_no_function_is_a_load_error(sandbox, main, part, kind, line):
    result = grade(sandbox, main)
    if result.status == "died":  # a parser that nesting kills takes only its own process along
        assert "|" in kind
        return
    assert result.status == "load_error"
    assert set(result.tests) == {"not_run"}
    assert result.error is not None
    assert result.error.part == part
    assert result.error.kind in kind.split("|")
    assert line in (0, result.error.line)


def test_an_error_names_the_column_and_says_what_python_says(sandbox):
    error = grade(sandbox, "def f(xs):\n    return (1,\n").error
    assert (error.line, error.column) == (2, 12)
    assert error.message == "'(' was never closed"


@pytest.mark.parametrize("main", ["def f(x): return '\0'", "x = '\udc80'", "#" * 70_000, "#é" * 30_000])
def test_unfit_sources_are_rejected_before_anybody_parses_them(sandbox, main):
    result = grade(sandbox, main)
    assert result.status == "rejected_source"
    assert result.error is not None
    assert set(result.tests) == {"not_run"}


def test_two_namespaces_export_one_name(sandbox):
    aux = "secret = 7\ndef other(x): return x\ndef aux(x): return sorted(other(x))\n"
    assert grade(sandbox, "def f(xs): return aux(xs)\n", aux=aux).passed == 4
    assert grade(sandbox, "def f(xs): return other(xs)\n", aux=aux).tests[0] == "raised:NameError"


@pytest.mark.parametrize(
    "trick",
    [
        "def f(xs): return sorted(xs)\n",
        "import builtins\nbuiltins.f = sorted\n",
        "import sys\nsys.modules['solution'] = sys.modules['aux']\nf = sorted\n",
        "import sys\nsys._getframe(2).f_locals['given']['f'] = sorted\n",
        "import sys\nsys.settrace(lambda frame, event, arg: frame.f_globals.update(f=sorted))\n",
    ],
    ids=["by name", "builtins", "modules", "frames", "trace"],
)
def test_a_helper_cannot_ship_the_whole_solution(sandbox, trick):
    result = grade(sandbox, "x = 1\n", aux=trick + "def aux(x): return x\n")
    assert (result.status, result.passed) == ("load_error", 0)


def test_helpers_see_the_helpers_before_them(sandbox):
    helpers = {"low": "def low(x): return sorted(x)\n", "high": "def high(x): return low(x)\n"}
    main = "def f(xs): return high(xs)\n"
    result = grade(sandbox, main, aux=helpers, counterfactual=True)
    assert (result.passed, result.used) == (4, ("low", "high"))
    backwards = dict(reversed(helpers.items()))
    assert grade(sandbox, main, aux=backwards).tests[0] == "raised:NameError"


@pytest.mark.parametrize(
    ("main", "used"),
    [
        ("def f(xs): return aux(xs)\n", True),
        ("def f(xs):\n    y = aux(xs)\n    return y if xs else []\n", True),
        ("def f(xs): return sorted(xs)  # aux(xs)\n", False),
        ("def f(xs):\n    if False: return aux(xs)\n    return sorted(xs)\n", False),
        ("def f(xs):\n    try: aux(xs)\n    except RuntimeError: pass\n    return sorted(xs)\n", False),
        ("def aux(x): return sorted(x)\ndef f(xs): return aux(xs)\n", False),
        ("def f(xs): return None\n", False),
        ("def f(xs):\n    while aux(xs) is None: pass\n    return aux(xs)\n", True),
    ],
)
def test_a_helper_counts_when_its_absence_is_felt(sandbox, main, used):
    result = grade(sandbox, main, aux="def aux(x): return sorted(x)\n", counterfactual=True)
    assert result.aux_used is used


def test_a_helper_that_only_echoes_is_felt_when_it_is_gone(sandbox):
    result = grade(
        sandbox, "def f(x): return 2 * aux(x)", TWICE, aux="def aux(x): return x", counterfactual=True
    )
    assert result.aux_used is True


def test_a_single_program_has_no_helper_to_miss(sandbox):
    assert grade(sandbox, "def f(xs): return sorted(xs)", counterfactual=True).aux_used is False


def test_a_timeout_can_be_given_a_second_chance(sandbox):
    main = "import time\nwhile time.process_time() < 0.3: pass\ndef f(x): return 2 * x\n"
    assert grade(sandbox, main, TWICE, timeout_s=0.25).status == "timeout"
    assert grade(sandbox, main, TWICE, timeout_s=0.25, retry_timeouts=True).passed == 4


def test_time_is_counted_for_all_calls_together(sandbox):
    main = """
import time
def f(x):
    until = time.process_time() + 0.15
    while time.process_time() < until: pass
    return 2 * x
"""
    result = grade(sandbox, main, TWICE, timeout_s=0.4)
    assert result.status == "timeout"
    assert 1 <= result.passed <= 2


def test_many_gradings_come_back_in_order(sandbox):
    jobs = [
        {
            "main": f"def f(x): return x + {k}",
            "entry_point": "f",
            "tests": [{"input": [1], "expected": 1 + k % 7}],
        }
        for k in range(20)
    ]
    assert [r.passed for r in sandbox.grade_many(jobs)] == [int(k < 7) for k in range(20)]
    assert sandbox.grade_many([]) == []


def test_one_program_leaves_nothing_for_the_next(sandbox):
    poison = """
import builtins, math, random, sys
builtins.sorted = math.pi = random.random = None
sys.modules.clear()
def f(x): pass
"""
    for _ in range(3):
        grade(sandbox, poison)
    main = (
        "import math, random\ndef f(xs): return sorted(xs) if math.pi > 3 and random.random() < 1 else None\n"
    )
    assert grade(sandbox, main).passed == 4


def test_the_same_program_gives_the_same_answer(sandbox):
    main = "import random\ndef f(): return [hash('x'), list({'a', 'b', 'c'}), random.random()]\n"
    answers = [sandbox.call(main, "f") for _ in range(4)]
    with Sandbox() as another:
        answers.append(another.call(main, "f"))
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes the way Linux shows them")
def test_messages_are_cut_and_printable(sandbox):
    main = """
E = type('\\x1b[31m' + 'A' * 999, (Exception,), {})
def f(x):
    raise E if x else ValueError('\\n\\x1b' * 999)
"""
    result = grade(sandbox, main, TWICE[:2])
    assert result.messages[0].startswith("\\n\\x1b\\n")
    assert all(word.isprintable() and len(word) < 1000 for word in (*result.tests, *result.messages))
