"""Asserts, checks and trusted calls; what the sandbox refuses from its caller, and how."""

import math
from random import Random

import pytest

from collm_envs.sandbox import CallFailed, Result, Sandbox, UnusableTest

SORT = [{"input": [xs], "expected": sorted(xs)} for xs in ([3, 1, 2], [], [2, 1], [5])]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as one:
        yield one


def grade(sandbox, main, tests=SORT, **how) -> Result:
    return sandbox.grade(main=main, entry_point="f", tests=tests, **how)


def test_asserts_of_every_shape_are_judged(sandbox):
    shapes = {
        "assert candidate(2) == 4": "ok",
        "assert f(2) == 5": "wrong",
        "assert 4 == candidate(2), 'the other way round'": "ok",
        "assert candidate(0) == -0.0": "ok",
        "assert candidate(2)": "ok",
        "assert not candidate(0)": "ok",
        "assert not candidate(1)": "wrong",
        "assert candidate('ab') == 'abab'": "ok",
        "assert candidate(None) is None": "raised:TypeError",
        "assert abs(candidate(0.1) - 0.2) < 1e-9": "ok",
        "assert abs(1 - candidate(0)) < 1": "wrong",
        "assert abs(candidate(1) - 1) <= 1": "ok",
        "assert str(candidate(3)) == '6'": "ok",
        "assert sorted(f([1])) == [1, 1] and candidate(x=1) == 2": "ok",
        "assert [candidate(i) for i in range(3)] == [0, 2, 4]": "ok",
        "assert candidate(1) == 1 + 1": "ok",
        "assert candidate(1) is True": "wrong",
        "assert candidate({1: (2, [3])}['x'])": "raised:KeyError",
    }
    result = grade(sandbox, "def f(x): return x + x\n", [{"assert": text} for text in shapes])
    assert dict(zip(shapes, result.tests, strict=True)) == shapes
    assert result.status == "ok"


def test_an_assert_that_code_must_judge_survives_a_program_that_dies(sandbox):
    main = "import os\ndef f(x):\n    if x == 1: os._exit(0)\n    return x\n"
    tests = [{"assert": f"assert str(candidate({x})) == '{x}'"} for x in range(3)]
    result = grade(sandbox, main, tests)
    assert result.tests == ("ok", "died", "ok")


def test_values_that_explode_in_honest_tests_cost_the_program_not_the_grader(sandbox):
    check = "def check(candidate):\n    assert sum(1 for _ in range(candidate(1))) == 5\n"
    result = sandbox.check(main="def f(x): return 10**15", entry_point="f", test=check, timeout_s=0.3)
    assert result.passed == 0


def test_a_check_may_use_the_prompts_helpers_and_builtin_exceptions(sandbox):
    prompt = "def encode(s): return s[::-1]\ndef f(s):\n    '''undo encode'''\n"
    check = """
def check(candidate):
    for text in ("abc", "x"):
        assert candidate(encode(text)) == text
    try:
        candidate(None)
    except TypeError:
        pass
    else:
        assert False
"""
    main = prompt + "    return s[::-1]\n"
    assert sandbox.check(main=main, entry_point="f", prompt=prompt, test=check).tests == ("ok",)
    cheat = "def encode(s): return ''\ndef f(s): return ''\n"
    assert sandbox.check(main=cheat, entry_point="f", prompt=prompt, test=check).tests == ("wrong",)


@pytest.mark.parametrize("test", ["def check(candidate:\n", "x = 1 / 0\n"])
def test_tests_that_do_not_run_are_the_callers_error(sandbox, test):
    with pytest.raises(UnusableTest, match="the tests do not run"):
        sandbox.check(main="def f(x): return x", entry_point="f", test=test)


def test_a_test_without_check_is_the_callers_error(sandbox):
    with pytest.raises(UnusableTest, match="check"):
        sandbox.check(main="def f(x): return x", entry_point="f", test="x = 1\n")


@pytest.mark.parametrize(
    "main",
    [
        "def f(x): raise StopIteration\n",
        "def f(x): raise type('StopIteration', (StopIteration,), {})\n",
        "def f(x): raise GeneratorExit\n",
        "def f(x): raise SystemExit\n",
        "def f(x): raise OSError('gone')\n",
        "import os\ndef f(x): os._exit(0)\n",
    ],
)
def test_no_exception_of_a_program_ends_a_loop_as_if_all_were_well(sandbox, main):
    check = """
def check(candidate):
    assert all(map(lambda x: candidate(x) == 2 * x, range(5)))
    assert not any(map(candidate, [0]))
    for _ in iter(lambda: candidate(0), 0):
        assert False
"""
    assert sandbox.check(main="def f(x): return 2 * x", entry_point="f", test=check).passed == 1
    assert sandbox.check(main=main, entry_point="f", test=check).passed == 0


def test_an_error_of_the_program_reaches_the_test_as_what_it_is(sandbox):
    check = """
def check(candidate):
    for x, kind in ((0, OSError), (1, FileNotFoundError), (2, UnicodeError), (3, Exception)):
        try:
            candidate(x)
        except kind:
            continue
        raise AssertionError(x)
"""
    main = """
class Own(Exception): pass
def f(x):
    if x == 0: raise OSError('no')
    if x == 1: raise FileNotFoundError(2, 'no')
    if x == 2: raise UnicodeError('no')
    raise Own
"""
    assert sandbox.check(main=main, entry_point="f", test=check).tests == ("ok",)


def test_an_exception_of_the_prompt_is_caught_by_its_name(sandbox):
    prompt = "class Full(Exception): pass\nclass Quiet(StopIteration): pass\n"
    check = """
def check(candidate):
    try:
        candidate(1)
    except Full as error:
        assert str(error) == "no room"
    else:
        assert False
    for _ in iter(lambda: candidate(2), 0):
        assert False
"""
    main = prompt + "def f(x):\n    if x == 1: raise Full('no room')\n    {}\n"
    how = {"entry_point": "f", "prompt": prompt, "test": check}
    assert sandbox.check(main=main.format("return 0"), **how).tests == ("ok",)
    assert sandbox.check(main=main.format("raise Quiet"), **how).passed == 0
    assert sandbox.check(main="def f(x): raise ValueError('no room')\n", **how).passed == 0


def test_a_text_that_begins_with_an_indented_line_continues_the_prompt(sandbox):
    how = {"entry_point": "f", "prompt": 'import math\ndef f(x):\n    """Root."""\n'}
    how["test"] = "def check(candidate):\n    assert candidate(4) == 2\n"
    body = "    return math.isqrt(x)\n"
    remark = "# the root\n\n    # rounded down\n"  # may stand in any column
    for main in (
        body,
        "\n \n" + body,
        how["prompt"] + body,
        remark + body,
        "  # whole\n" + how["prompt"] + body,
    ):
        assert sandbox.check(main=main, **how).passed == 1
    for main in ("", "    pass\n", "def f(x): return math.isqrt(x)\n"):
        assert sandbox.check(main=main, **how).passed == 0


def test_a_test_that_catches_everything_does_not_hide_that_the_program_is_gone(sandbox):
    check = "def check(candidate):\n    try: candidate(1)\n    except: pass\n"
    died = sandbox.check(main="import os\ndef f(x): os._exit(0)", entry_point="f", test=check)
    assert (died.tests, died.status) == (("died",), "died")
    assert sandbox.check(main="def f(x): raise ValueError", entry_point="f", test=check).passed == 1


def test_what_a_program_does_to_its_arguments_cannot_mislead_the_test(sandbox):
    check = "def check(candidate):\n    xs = [2, 1]\n    assert candidate(xs) == sorted(xs)\n"
    cheat = "def f(xs):\n    xs.clear()\n    return xs\n"
    assert sandbox.check(main=cheat, entry_point="f", test=check).tests == ("wrong",)


def test_texts_of_a_subclass_are_read_as_texts(sandbox):
    numpy = pytest.importorskip("numpy")
    text, name = numpy.str_("def f(x): return g(x)\n"), numpy.str_("f")
    aux = {numpy.str_("g"): numpy.str_("def g(x): return x\n")}
    tests = [{"input": [numpy.float64(2.5)], "expected": numpy.float64(2.5)}]
    assert sandbox.grade(main=text, aux=aux, entry_point=name, tests=tests).passed == 1
    test = numpy.str_("def check(candidate):\n    assert candidate('x') == 'x'\n")
    assert sandbox.check(main=text, aux=aux, entry_point=name, test=test).passed == 1
    assert sandbox.call(numpy.str_("def f(x): return x"), name, numpy.str_("é")) == "é"


def test_tests_that_draw_at_random_draw_the_same_each_time(sandbox):
    check = "import random\ndef check(c):\n    assert c(0) == [random.random() for _ in range(3)]\n"
    rng = Random(0)
    main = f"def f(x): return {[rng.random() for _ in range(3)]}\n"
    assert sandbox.check(main=main, entry_point="f", test=check).passed == 1


def test_arguments_that_cannot_travel_are_the_tests_fault(sandbox):
    with pytest.raises(UnusableTest, match="plain data only, got something function"):
        sandbox.check(
            main="def f(g): return g(1)",
            entry_point="f",
            test="def check(candidate):\n    assert candidate(lambda x: x) == 1\n",
        )


def test_a_program_cannot_make_the_tests_look_unusable(sandbox):
    test = "assert candidate(1) == 1\ndef check(candidate): pass\n"
    assert sandbox.check(main="def f(x): return x", entry_point="f", test=test).tests == ("ok",)
    assert sandbox.check(main="def f(x): return 2", entry_point="f", test=test).tests == ("wrong",)
    assert sandbox.check(main="def f(x): raise OSError", entry_point="f", test=test).passed == 0
    died = sandbox.check(main="import os\ndef f(x): os._exit(0)", entry_point="f", test=test)
    assert died.tests == ("died",)


def test_a_trusted_function_runs_on_hostile_data(sandbox):
    program = """
import ast
def names(text):
    return sorted(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))
"""
    assert sandbox.call(program, "names", "a + b(c)") == ["a", "b", "c"]
    with pytest.raises(CallFailed, match="SyntaxError"):
        sandbox.call(program, "names", "a +")
    with pytest.raises(CallFailed, match="unserialisable") as failure:
        sandbox.call("def g(): return object()", "g")
    assert failure.value.status == "unserialisable"
    with pytest.raises(CallFailed, match="timeout"):
        sandbox.call("def g():\n    while True: pass", "g", timeout_s=0.1)


@pytest.mark.parametrize(
    ("error", "match", "how"),
    [
        (ValueError, "timeout_s: need a positive number", {"timeout_s": 0}),
        (ValueError, "timeout_s: need a positive number", {"timeout_s": math.nan}),
        (ValueError, r"entry_point: need the name of a function, got 'f\(\)'", {"entry_point": "f()"}),
        (ValueError, "aux: a helper cannot be called 'f'", {"aux": {"f": "def f(): pass"}}),
        (TypeError, "main: need a str, got NoneType", {"main": None}),
        (TypeError, r"tests\[0\]: need a mapping", {"tests": ["assert f(1)"]}),
        (ValueError, r"tests\[0\]: need the keys of one of", {"tests": [{"input": [1]}]}),
        (TypeError, "input is the list of arguments, got str", {"tests": [{"input": "x", "expected": 1}]}),
        (
            ValueError,
            "need plain data, got something object",
            {"tests": [{"input": [object()], "expected": 1}]},
        ),
        (ValueError, r"tests\[0\]: need one assert statement", {"tests": [{"assert": "f(1) == 1"}]}),
        (
            ValueError,
            r"tests\[0\]: tolerance: need",
            {"tests": [{"input": [1], "expected": 1, "tolerance": -1}]},
        ),
    ],
)
def test_wrong_arguments_are_named(sandbox, error, match, how):
    with pytest.raises(error, match=match):
        sandbox.grade(**{"main": "def f(x): return x", "entry_point": "f", "tests": SORT, **how})


@pytest.mark.parametrize(
    ("match", "how"),
    [
        ("workers: need an int of at least 1, got 0", {"workers": 0}),
        ("require: need one of", {"require": "best"}),
        ("backend: need", {"backend": "docker"}),
    ],
)
def test_wrong_settings_are_named(match, how):
    with pytest.raises(ValueError, match=match):
        Sandbox(**how)


def test_a_closed_sandbox_says_so():
    sandbox = Sandbox()
    sandbox.close()
    sandbox.close()
    with pytest.raises(ValueError, match="the sandbox is closed"):
        grade(sandbox, "def f(x): return x")
