"""CoopHE-v1: what a problem's prompt imports and defines stands in every module the agents write."""

import ast
import gzip
import json

import pytest

import collm_envs

SIGNATURE = "def double_all(xs):\n    '''Double every number.'''\n"
TEST = "def check(candidate):\n    assert candidate([1]) == [2]\n    assert candidate([3, 4]) == [6, 8]\n"
ROW = {"task_id": "d/0", "entry_point": "double_all", "test": TEST}
AUX = "def aux(x):\n    return 2 * x\n"
MAIN = "def double_all(xs):\n    out = []\n    for x in xs:\n        out.append(aux(x))\n    return out\n"
PROMPTS = {
    "an import": ("from typing import List\n", "List[int]", "isinstance(x, int)"),
    "an alias": ("import math as m\n", "'m'", "m.isqrt(4) == 2"),
    "a star": ("from math import *\n", "type(pi)", "ceil(1.5) == 2"),
    "the future": ("from __future__ import annotations\n", "Unknown", "x is not None"),
    "a constant": ("LIMIT = 2\n", "type(LIMIT)", "LIMIT == 2"),
    "a helper": ("def twice(x):\n    return 2 * x\n", "twice(int.__call__)", "twice(x) == x + x"),
    "a class": ("class Pair:\n    size = 2\n", "Pair", "Pair().size == 2"),
    "a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n", "P", "P(x) == P(x)",
    ),
    "a decorator": ("def same(f):\n    return f\n", "same(int)", "same(x) == x"),
    "a type alias": ("from typing import List\nRow = List[int]\n", "Row", "Row is not None"),
    "a type variable": ("from typing import TypeVar\nT = TypeVar('T')\n", "T", "T.__name__ == 'T'"),
    "an exception": ("class Bad(Exception):\n    pass\n", "Bad", "issubclass(Bad, Exception)"),
    "a package that is not there": ("import numpy as np\nK = 3\n", "type(K)", "K == 3"),
}  # fmt: skip
PROMPTS["a helper"] = (PROMPTS["a helper"][0], "type(twice)", PROMPTS["a helper"][2])


def reward(prompt, aux, main):
    env = collm_envs.make("CoopHE-v1", items=[ROW | {"prompt": prompt + SIGNATURE}])
    env.reset(seed=0)
    return env.step({"agent_0": aux, "agent_1": main})[1]["agent_0"]


@pytest.mark.parametrize("name", PROMPTS)
def test_what_the_prompt_defines_is_there_for_both(name):
    head, annotation, condition = PROMPTS[name]
    aux = AUX.replace("(x)", f"(x: {annotation}) -> {annotation}").replace(
        "return", f"assert {condition}\n    return"
    )
    main = MAIN.replace("(xs)", f"(xs: {annotation})").replace(
        "out.append", f"assert {condition}\n        out.append"
    )
    assert reward(head, aux, main) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "head", ["from typing import List\n", "from __future__ import annotations\n", "K = 2\n"]
)
def test_an_answer_may_repeat_the_prompt(head):
    assert reward(head, head + AUX, head + MAIN) == pytest.approx(4.0)


def test_both_modules_have_the_same_class():
    head = "class Box:\n    def __init__(self, v):\n        self.v = v\n"
    aux = "def aux(x):\n    return Box(2 * x)\n"
    main = MAIN.replace(
        "out.append(aux(x))", "box = aux(x)\n        assert type(box) is Box\n        out.append(box.v)"
    )
    assert reward(head, aux, main) == pytest.approx(4.0)


def test_the_prompts_own_functions_call_what_was_written():
    head = "def over(xs):\n    return double_all(xs)\n"
    main = MAIN + "    \ndef double_again(xs):\n    return over(xs)\n"
    assert reward(head, AUX, main) == pytest.approx(4.0)
    recursive = "def double_all(xs):\n    return [aux(xs[0]), *over(xs[1:])] if xs else []\n"
    assert reward(head, AUX, recursive) == pytest.approx(4.0)


def test_the_prompts_empty_function_is_nobodys_answer():
    assert reward("", AUX, "x = 3\n") == pytest.approx(0.4)
    assert reward("", AUX, "x = double_all\n") == pytest.approx(0.4)


def test_the_problems_of_human_eval_with_imports_pass_without_repeating_them(real_data):
    with gzip.open(real_data / "HumanEval.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    rows = [row for row in rows if "import " in row["prompt"].split("def ")[0]]
    task = collm_envs.make_task("CoopHE-v1", items=rows, num_agents=1, max_turns=1)
    assert len(rows) >= 20
    for item in task.items("train"):
        tree = ast.parse(item.data["prompt"] + item.data["canonical_solution"])
        only = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == item.data["entry_point"]]
        text = ast.unparse(ast.Module(only, []))
        assert task.play(task.start(item, 0), {"agent_0": text}).score.metrics["fully_passed"] == 1.0, item.id
