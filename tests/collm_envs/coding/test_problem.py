"""Rows to problems: which asserts count, in which form, and what is refused."""

import gzip
import json
import warnings
from collections import Counter

import pytest

from collm_envs.coding.problem import line_problem, parsed_problem, source

PROMPT = 'def f(x, y=(1, 2), *more: int):\n    """Do it."""\n'


def row(test, prompt=PROMPT, entry="f"):
    return {"prompt": prompt, "test": test, "entry_point": entry}


def check(*lines):
    return "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines)


def test_each_assert_counts_once_and_vacuous_ones_do_not():
    asserts = (
        "assert candidate(1) == 1",
        "assert True, 'fine'",
        "assert candidate(1) == 1, 'again'",
        "assert 1 < 2",
    )
    problem = parsed_problem(row(check(*asserts)), 1)
    assert [test.text for test in problem.tests] == ["assert f(1) == 1"]


def test_an_assert_about_something_computed_in_check_counts():
    problem = parsed_problem(
        row(check("value = candidate(1)", "assert value == 1", "assert len('x') == 1")), 1
    )
    (test,) = problem.tests
    assert test.text == "assert value == 1"
    assert test.check == check("value = candidate(1)", "assert value == 1", "pass").rstrip()


def test_an_assert_in_a_loop_is_one_test():
    problem = parsed_problem(row(check("for i in range(9):", "    assert candidate(i) == i")), 1)
    assert [test.text for test in problem.tests] == ["assert f(i) == i"]
    assert "for i in range(9):" in problem.tests[0].check


def test_an_assert_over_several_lines_counts_in_v1():
    problem = parsed_problem(row(check("assert candidate(", "    1) == 1")), 1)
    assert [test.text for test in problem.tests] == ["assert f(1) == 1"]


def test_only_what_needs_more_than_the_entry_point_is_run_as_a_module():
    tests = parsed_problem(
        row("LIMIT = 3\n" + check("assert candidate(1) < LIMIT", "assert sum(candidate(2)) == 3")), 1
    )
    assert [bool(test.check) for test in tests.tests] == [True, False]


def test_a_renamed_parameter_of_check_is_understood():
    test = "def check(program):\n    assert [program(i) for i in range(2)] == [0, 1]\n"
    assert parsed_problem(row(test), 1).tests[0].text == "assert [f(i) for i in range(2)] == [0, 1]"


@pytest.mark.parametrize(("n", "shown"), [(1, (0,)), (2, (0, 1)), (-1, (2,)), (0, (0, 1, 2)), (9, (0, 1, 2))])
@pytest.mark.parametrize("read", [line_problem, parsed_problem])
def test_a_slice_chooses_from_the_front_or_the_back(read, n, shown):
    test = check("assert candidate(1) == 1", "assert candidate(2) == 2", "assert candidate(3) == 3")
    assert read(row(test), n).shown == shown


def test_the_parameters_are_those_of_the_entry_point():
    prompt = "def helper(a, b):\n    return a\n\n" + PROMPT
    assert parsed_problem(row(check("assert candidate(1)"), prompt), 1).parameters == "x, y, *more"
    assert (
        parsed_problem(row(check("assert candidate()"), "def f():\n    '''Do it.'''\n"), 1).parameters == ""
    )


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("def check(candidate):\n    assert candidate(\n"), "test: need Python"),
        (row("assert f(1) == 1"), "test: need a function"),
        (row("def check():\n    assert f(1) == 1"), "test: need a function"),
        (row(check("assert True")), "asserts nothing about the candidate"),
        (row(check("assert candidate(1)"), prompt="Write f."), "prompt: need Python"),
        (row(check("assert candidate(1)"), entry="aux_2"), "other than a helper's"),
        (row(check("assert candidate(1)"), entry="class"), "other than a helper's"),
    ],
)
def test_what_cannot_be_understood_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        parsed_problem(bad, 1)


def test_every_published_problem_is_understood(real_data):
    rows = json.loads((real_data / "CoopHumanEval.json").read_text())
    assert Counter(len(line_problem(row, 1).tests) for row in rows) == {5: 75, 4: 2, 6: 2, 7: 1, 8: 1, 9: 1}
    assert [len(parsed_problem(row, 1).tests) for row in rows] == [
        len(line_problem(row, 1).tests) for row in rows
    ]


def test_every_human_eval_problem_is_understood(real_data):
    with gzip.open(real_data / "HumanEval.jsonl.gz", "rt") as file:
        problems = [parsed_problem(json.loads(line), 1) for line in file]
    assert len(problems) == 164
    assert min(len(problem.tests) for problem in problems) == 1
    modules = [problem.entry_point for problem in problems if any(test.check for test in problem.tests)]
    assert len(modules) == 7, "the others' asserts are complete statements"


def test_the_hub_names_have_their_published_slices():
    assert source("hub", "a1").hub == ("OpenMLRL/CoopHumanEval", "LovelyBuggies/CoopHumanEval")
    assert source("hub", "a1").slices["train"] == (("train", "test"), 16, None)
    human_eval = source("hub:openai/openai_humaneval")
    assert human_eval.slices["eval"] == (("test",), 0, 32)
    assert len(human_eval.revision) == 40
    assert source("hub:somebody/mirror", "a1") == source("hub", "a1") == source("my.jsonl")


def test_a_hub_data_set_without_a_known_commit_says_so():
    for data, name in (("hub", "OpenMLRL/CoopHumanEval"), ("hub:OpenMLRL/MBPP", "OpenMLRL/MBPP")):
        with pytest.warns(UserWarning, match=f"CoopHE: {name} is read at its branch `main`.*hub_revision="):
            source(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source("builtin"), source("hub:openai/openai_humaneval"), source("hub", "a" * 40)
