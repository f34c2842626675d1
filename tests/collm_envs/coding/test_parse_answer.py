"""Which part of an answer is the code: fences of all kinds, none, halves of them, and prose around."""

import pytest

import collm_envs
from collm_envs.coding import parse_answer

CODE = "def aux(x):\n    return 2 * x\n"
F = "`" * 3
DOC = f'def aux(x):\n    """Doubles.\n\n    {F}\n    aux(2) -> 4\n    {F}\n    """\n    return 2 * x\n'
INDENTED = "    def aux(x):\n        return 2 * x\n"
ANSWERS = {
    "code alone": CODE,
    "a closing fence": CODE + F,
    "a closing fence, then a sentence": f"{CODE}{F}\nThis is simple and efficient.\n",
    "a sentence, code, a closing fence, a sentence": f"Here it is:\n\n{CODE}{F}\nIt's simple.",
    "a closing fence beside the code": f"{CODE.rstrip()}{F}\nThis is it.",
    "a fence": f"{F}python\n{CODE}{F}",
    "a fence that is never closed": f"Sure:\n{F}python\n{CODE}",
    "a fence after words": f"The code is {F}python\n{CODE}{F} and so on.",
    "no line after the fence": f"{F}def aux(x):\n    return 2 * x\n{F}",
    "all in one line": f"{F}python def aux(x): return 2 * x{F}",
    "the language stuck to the code": f"{F}python{CODE}{F}",
    "the language in a line of its own": f"{F}\npython\n{CODE}{F}",
    "the language without a fence": f"python\n{CODE}",
    "another name of the language": f"{F}Py3\n{CODE}{F}",
    "attributes": f'{F} python title="a.py" {{1-2}}\n{CODE}{F}',
    "attributes in braces": f"{F}{{.python .lines}}\n{CODE}{F}",
    "a longer fence": f"{F}``\n{CODE}{F}``",
    "tildes": f"~~~python\n{CODE}~~~",
    "tildes that are never closed": f"~~~python\n{CODE}",
    "indented tildes": f"  ~~~\n{INDENTED}  ~~~",
    "tildes around backticks": f"~~~\n{F}\n{CODE}{F}\n~~~",
    "an indented fence": f"1. Double it:\n\n    {F}python\n{INDENTED}    {F}\n2. Done.",
    "a fence in a list": f"- {F}python\n  def aux(x):\n      return 2 * x\n  {F}",
    "a fence in a docstring": DOC,
    "a fence in a docstring in a fence": f"{F}python\n{DOC}{F}",
    "a fence in a docstring with prose around": f"Here:\n\n{DOC}\nThat's all.",
    "a fence in a string": f"def aux(x):\n    return 2 * x + len('{F}') - 3\n",
    "an example before": f"For example\n{F}\nprint(aux(3))\n{F}\nso:\n{F}\n{CODE}{F}",
    "an example after": f"{F}\n{CODE}{F}\nUse it:\n{F}\nprint(aux(3))\n{F}",
    "no Python before": f"{F}bash\npip install it\n{F}\n{F}python\n{CODE}{F}",
    "two versions": f"{F}\n{CODE}{F}\nor\n{F}\n{CODE.replace('2', '3')}{F}",
    "an empty fence before": f"{F}\n{F}\n{CODE}",
    "imports before": f"{F}\nfrom operator import mul\n{F}\n{F}\ndef aux(x):\n    return mul(2, x)\n{F}",
    "a constant, with prose around": "Use this.\nK = 2\ndef aux(x):\n    return K * x\nThat's it.",
    "prose that begins like code": f"class of easy problems\n{CODE}from here it's clear",
    "a further function that is cut": f"{CODE}\n\ndef test_aux():\n    assert aux(",
    "many fences before": f"{F}\nx\n{F}\n" * 5 + CODE,
}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("name", ANSWERS)
def test_the_function_is_found(name, ends):
    ((code, error, defined, _, _),) = parse_answer.agents([[ANSWERS[name].replace("\n", ends), "aux", []]])
    assert (error, defined) == (None, True)
    scope = {}
    exec(code, scope)
    assert [scope["aux"](x) for x in (0, 3, -1)] == [0, 6, -2]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"{F}python\ndef aux(x):\n    y = 1\n    return (y\n{F}\nSo.", 3),
        ("def aux(x):\n    y = 1\n    return (y\n", 3),
        (f"def aux(x):\n    y = 1\n    return (y\n{F}\nSo.", 3),
    ],
)
def test_half_a_function_is_an_error_in_its_own_line_and_not_a_shorter_function(text, line):
    ((_, error, defined, _, _),) = parse_answer.agents([[text, "aux", []]])
    assert (error[0], defined) == (line, False)


@pytest.mark.parametrize(
    "text", ["", "I cannot do that.", f"{F}\n{F}", f"{F}\nprint(3)\n{F}", "aux(3)", "~~~"]
)
def test_what_holds_no_function_defines_none(text):
    assert parse_answer.agents([[text, "aux", []]])[0][2] is False


@pytest.mark.parametrize(
    "text", [F * 4000, (F + "\naux\n") * 3000, "def aux(\n" * 3000, "aux = aux\n" * 3000]
)
def test_text_made_to_take_long_is_read_or_given_up(text):
    """In the sandbox, where two CPU seconds are all it gets."""
    task = collm_envs.make_task("CoopHE-v1")
    state = task.start(task.items("eval")[0], 0)
    assert 0.0 <= task.play(state, {"agent_0": text, "agent_1": text}).score.reward <= 1.5
