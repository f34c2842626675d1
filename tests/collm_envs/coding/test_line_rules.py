"""The line rules of CoopHE-v0: golden cases, and the losses the published pipeline is known for."""

import json

import pytest
from folders import GOLDEN

from collm_envs.coding import line_rules

CASES = json.loads((GOLDEN / "coophe.json").read_text())
PROGRAMS = [case for case in CASES if "aux_completion" in case["input"]]
SLICES = [case for case in CASES if "n" in case["input"]]


@pytest.mark.parametrize("case", PROGRAMS, ids=[case["name"] for case in PROGRAMS])
def test_the_published_program_is_reproduced_character_by_character(case):
    row, want = case["input"], case["output"]
    aux = line_rules.extract(row["aux_completion"], "aux")
    main = line_rules.extract(row["main_completion"], row["entry_point"])
    assert (aux, main) == (want["aux_extracted"], want["main_extracted"])
    assert line_rules.merge(line_rules.imports_of(row["prompt"]), aux, main) == want["combined_program"]
    assert len(line_rules.asserts_of(row["test"], row["entry_point"])) == want["num_extracted_tests"]


@pytest.mark.parametrize("case", [case for case in PROGRAMS if "level_feedback_slice1" in case["output"]])
def test_the_published_signals_about_the_texts_are_reproduced(case):
    row, want = case["input"], case["output"]["level_feedback_slice1"]
    aux = line_rules.extract(row["aux_completion"], "aux")
    main = line_rules.extract(row["main_completion"], row["entry_point"])
    assert line_rules.is_defined(aux) is want["aux_defined"]
    assert line_rules.is_defined(main) is want["main_defined"]
    assert line_rules.calls_aux(main) is want["aux_called"]
    assert line_rules.is_thin_wrapper(main) is want["is_wrapper"]


@pytest.mark.parametrize("case", SLICES)
def test_the_published_slices_of_tests_are_reproduced(case):
    assert line_rules.sliced(case["input"]["test"], case["input"]["n"]) == case["output"]["sliced"]


def test_a_negative_slice_takes_the_last_asserts():
    test = "def check(candidate):\n    assert candidate(1) == 1\n    assert candidate(2) == 2\n"
    assert line_rules.sliced(test, -1) == "def check(candidate):\n    assert candidate(2) == 2\n"


def test_imports_classes_and_prose_outside_functions_are_lost():
    text = "import math\nX = 3\nclass A:\n    pass\nHere it is:\ndef f(x):\n    return x\nThat was it.\n"
    assert line_rules.cleanup(text) == "def f(x):\n    return x"


def test_what_follows_a_nested_function_is_lost():
    text = "def f(x):\n    def g(y):\n        return y\n    return g(x)\n"
    assert line_rules.extract(text, "f") == "def f(x):\n\n    def g(y):\n        return y"


def test_a_signature_over_several_lines_is_broken():
    assert line_rules.extract("def f(\n    x,\n):\n    return x\n", "f") == "def f(\n    x,"


def test_a_later_function_of_the_same_name_is_ignored():
    assert (
        line_rules.extract("def f(x):\n    return 1\n\ndef f(x):\n    return 2\n", "f")
        == "def f(x):\n    return 1"
    )


def test_a_docstring_at_the_depth_of_the_def_line_belongs_to_the_function():
    text = "def f(x):\n'''One.\nTwo\n'''\n    return x\n"
    assert line_rules.cleanup(text) == "def f(x):\n'''One.\nTwo\n'''\n    return x"


def test_sentences_are_removed_inside_docstrings_too():
    text = 'def f(x):\n    """\n    Return the value.\n    Keep (this).\n    """\n    return x\n'
    assert line_rules.cleanup(text) == 'def f(x):\n    """\n    Keep (this).\n    """\n    return x'


@pytest.mark.parametrize(
    ("function", "defined"),
    [
        ("def f(x):\n    return x", True),
        ("def f(x):\n    return(x)", False),
        ("def f(x):\n    # return it", True),
    ],
)
def test_a_function_is_defined_if_the_word_return_and_a_blank_stand_in_it(function, defined):
    assert line_rules.is_defined(function) is defined


@pytest.mark.parametrize(
    ("body", "thin"),
    [
        ("return aux(x)", True),
        ("return [aux(n) for n in x]", True),
        ("return 2 * aux(x) + 1", True),
        ("v = aux(x)\n    return v", True),
        ("v = aux(x)\n    return v + 1", False),
        ("v = aux(x)\n    w = v\n    return w", False),
        ('"""Doc."""\n    # note\n    return aux(x)', True),
        ("return x", False),
        ('"""Doc', True),
    ],
)
def test_thin_wrappers_are_known_by_their_lines(body, thin):
    assert line_rules.is_thin_wrapper(f"def f(x):\n    {body}") is thin


@pytest.mark.parametrize(("line", "ignored"), [("aux (1)", True), ("aux(1)", False), ("aux (12)", False)])
def test_only_one_spelling_of_an_ignored_call_is_noticed(line, ignored):
    assert line_rules.ignores_aux(f"def f(x):\n    {line}\n    return x") is ignored


def test_asserts_are_lines_that_name_the_candidate_each_once():
    test = (
        "def check(candidate):\n    assert candidate(1) == 1\n    assert True\n    assert candidate(1) == 1\n"
        "    x = candidate(2)\n    assert(candidate(3))\n    assert candidate(\n        4) == 4\n\n"
        "def other():\n    assert candidate(5)\n"
    )
    assert line_rules.asserts_of(test, "f") == ("assert f(1) == 1", "assert f(")


def test_a_test_without_a_check_function_is_refused():
    with pytest.raises(ValueError, match="def check"):
        line_rules.asserts_of("def test():\n    assert True\n", "f")
