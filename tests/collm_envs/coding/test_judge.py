"""Texts to verdicts with a sandbox that is a few lines of Python: what is asked of it, and when."""

from dataclasses import dataclass, field

import pytest

from collm_envs.coding import judge
from collm_envs.coding.judge import Limits, judge_lines, judge_modules, shared, try_tests
from collm_envs.coding.problem import Assert, Problem
from collm_envs.sandbox import CallFailed, InfraError, LoadError, Result, SandboxUnavailable

LIMITS = Limits(1.0, 3)


def problem(*tests):
    asserts = tuple(test if isinstance(test, Assert) else Assert(test) for test in tests)
    return Problem("def f(x): ...", "f", "x", "", "", asserts, (0,))


def result(*words, status="ok", error=None):
    return Result(status, words, tuple("" for _ in words), "process", {}, error)


@dataclass
class Fake:
    """Answers gradings from a list, and trusted calls with one value; remembers what it was asked."""

    answers: list = field(default_factory=list)
    value: object = None
    asked: list = field(default_factory=list)

    def grade(self, **asked):
        self.asked.append(asked)
        return self.answers.pop(0)

    check = grade

    def call(self, *arguments, **options):
        self.asked.append(arguments)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def test_tests_after_a_hang_are_run_again_without_the_one_that_hung():
    fake = Fake([result("ok", "timeout", "not_run", status="timeout"), result("wrong")])
    trial = try_tests(fake, problem("a", "b", "c"), LIMITS, "main", {})
    assert trial == (("ok", "timeout", "wrong"), ("", "", ""), 1, True, None, {})
    assert [asked["tests"] for asked in fake.asked] == [
        [{"assert": "a"}, {"assert": "b"}, {"assert": "c"}],
        [{"assert": "c"}],
    ]
    assert [asked["retry_timeouts"] for asked in fake.asked] == [True, False]


def test_after_three_hangs_the_rest_is_given_up():
    hang = result("timeout", "not_run", "not_run", "not_run", "not_run", status="timeout")
    answers = [Result(hang.status, hang.tests[: 5 - k], hang.messages[: 5 - k], "process") for k in range(3)]
    trial = try_tests(Fake(answers), problem(*"abcde"), LIMITS, "main", {})
    assert trial.tests == ("timeout", "timeout", "timeout", "not_run", "not_run")
    assert trial.timeouts == 3


def test_a_program_that_hangs_as_it_loads_is_not_begun_again():
    fake = Fake([result("not_run", "not_run", status="timeout")])
    assert try_tests(fake, problem("a", "b"), LIMITS, "main", {}).timeouts == 1
    assert len(fake.asked) == 1


def test_a_program_that_does_not_load_is_tried_once():
    error = LoadError("main", "NameError", "name 'x' is not defined", 0, 0)
    fake = Fake([result("not_run", status="load_error", error=error)])
    trial = try_tests(fake, problem("a", Assert("b", "def check(f): ...")), LIMITS, "main", {})
    assert (trial.tests, trial.error) == (("not_run", "not_run"), error)
    assert len(fake.asked) == 1


def test_asserts_that_are_modules_are_checked_one_by_one_and_broken_ones_not_at_all():
    fake = Fake([result("ok"), result("ok"), result("wrong")])
    tests = [
        Assert("m", "def check(f): ..."),
        "a",
        Assert("(", broken=True),
        Assert("n", "def check(f): ..."),
    ]
    trial = try_tests(fake, problem(*tests), LIMITS, "main", {})
    assert trial.tests == ("ok", "ok", "raised:SyntaxError", "wrong")
    assert ["tests" in asked for asked in fake.asked] == [True, False, False]


def test_the_last_turn_runs_no_program_that_nothing_depends_on():
    silent = "def f(x):\n    print(x)\n"
    for reasons, gradings in ((True, 1), (False, 0)):
        fake = Fake([result("wrong")], value=[None, []])
        judge_lines(fake, problem("a"), LIMITS, ["", silent], reasons)
        assert sum("tests" in asked for asked in fake.asked) == gradings


def test_a_program_that_ran_is_read_only_where_feedback_needs_reasons():
    for main, reasons, reads in (
        ("return x", True, 0),
        ("return aux(x) + 1", True, 1),
        ("return aux(x)", False, 0),
    ):
        fake = Fake([result("ok")], value=[None, []])
        judge_lines(fake, problem("a"), LIMITS, ["", f"def f(x):\n    {main}\n"], reasons)
        assert sum(type(asked) is tuple for asked in fake.asked) == reads


def test_a_program_that_ran_nothing_is_read():
    fake = Fake(value=[[2, 1, "invalid syntax"], []])
    verdict = judge_lines(
        fake, problem(Assert("(", broken=True)), LIMITS, ["", "def f(x):\n    return x\n"], False
    )
    assert (verdict.parses, verdict.tests) == (False, ())


def test_a_text_that_breaks_the_parser_is_a_syntax_error():
    error = LoadError("main", "MemoryError", "too deeply nested or too large", 0, 0)
    fake = Fake([result("not_run", status="load_error", error=error)], value=CallFailed("died", ""))
    verdict = judge_lines(fake, problem("a"), LIMITS, ["", "def f(x):\n    return x\n"], True)
    assert (verdict.parses, verdict.error) == (False, "too much for the parser")
    verdict = judge_modules(fake, problem("a"), LIMITS, ["", ""], ["aux", "f"])
    assert [part.error for part in verdict.parts] == ["too much for the parser"] * 2


def test_a_failing_machine_is_no_verdict():
    class Broken(Fake):
        def grade(self, **asked):
            raise InfraError("out of memory")

    with pytest.raises(InfraError):
        judge_lines(Broken(value=[None, []]), problem("a"), LIMITS, ["", "def f(x):\n    return x\n"], True)


def test_a_helper_that_does_not_load_is_left_out():
    error = LoadError("aux", "ZeroDivisionError", "division by zero", 0, 0)
    fake = Fake(
        [result("not_run", status="load_error", error=error), result("ok")],
        value=[["1 / 0\ndef aux(): ...", None, True, [], []], ["def f(x): ...", None, True, [], []]],
    )
    verdict = judge_modules(fake, problem("a"), LIMITS, ["", ""], ["aux", "f"])
    assert [asked["aux"] for asked in fake.asked[1:]] == [{"aux": "1 / 0\ndef aux(): ..."}, None]
    assert verdict.tests == ("ok",)
    assert verdict.parts[0].error == "ZeroDivisionError: division by zero"
    assert not verdict.parts[0].defined
    assert not verdict.loads


MODULES = [["def aux(x): ...", None, True, [], []], ["def f(x): ...", None, True, ["aux"], []]]


@pytest.mark.parametrize(
    ("without", "alias", "used", "wrapper"),
    [
        ("wrong", "wrong", ("aux",), False),
        ("wrong", "ok", ("aux",), True),
        ("timeout", "wrong", ("aux",), False),
        ("ok", None, (), False),
    ],
)
def test_credit_follows_from_gradings_with_a_replaced_helper_and_a_replaced_main(
    without, alias, used, wrapper
):
    base = Result("ok", ("ok",), ("",), "process", without={"aux": without})
    fake = Fake([base] + ([result(alias)] if alias else []), value=MODULES)
    verdict = judge_modules(fake, problem("a"), LIMITS, ["", ""], ["aux", "f"])
    assert (verdict.used, verdict.wrapper) == (used, wrapper)
    assert not fake.answers
    assert all(not asked["retry_timeouts"] for asked in fake.asked[2:])


def test_a_helper_that_matters_to_any_batch_of_tests_is_used():
    for words in (("ok", "wrong"), ("wrong", "ok"), ("timeout", "wrong"), ("wrong", "timeout")):
        answers = [Result("ok", ("ok",), ("",), "process", without={"aux": word}) for word in words]
        batches = problem("a", Assert("m", "def check(f): ..."))
        assert try_tests(Fake(answers), batches, LIMITS, "main", {}).without == {"aux": "wrong"}


def test_nothing_is_credited_where_no_test_passes_or_no_helper_is_named():
    fake = Fake([result("wrong")], value=MODULES)
    assert judge_modules(fake, problem("a"), LIMITS, ["", ""], ["aux", "f"]).used == ()
    silent = [MODULES[0], ["def f(x): ...", None, True, [], []]]
    assert (
        judge_modules(Fake([result("ok")], value=silent), problem("a"), LIMITS, ["", ""], ["aux", "f"]).used
        == ()
    )


def test_one_process_has_one_sandbox_of_a_kind():
    assert shared("auto") is shared("auto")
    assert judge.shared("auto").call("def f(x): return x + 1", "f", 1) == 2


def test_a_machine_without_the_minimum_is_told_the_keyword_of_the_environment(monkeypatch):
    def refuse(workers, backend):
        raise SandboxUnavailable("the sandbox needs more")

    monkeypatch.setattr(judge, "_open", {})
    monkeypatch.setattr(judge, "Sandbox", refuse)
    with pytest.raises(SandboxUnavailable, match=r'needs more\n.*make\("CoopHE-v0", sandbox="wasm"\)'):
        shared("auto")
