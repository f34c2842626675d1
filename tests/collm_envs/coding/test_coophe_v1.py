"""CoopHE-v1: what lives that v0 loses, and credit that no text can talk into being."""

import gzip
import json

import pytest

import collm_envs
from collm_envs.coding import verdict as earned
from collm_envs.coding.verdict import Part, Verdict

ROW = {
    "task_id": "t/0",
    "prompt": "def even_totals(nums):\n    '''Running total of the even numbers.\n"
    "    >>> even_totals([2, 4])\n    [2, 6]\n    '''\n",
    "test": "def check(candidate):\n    assert candidate([2, 4]) == [2, 6]\n    assert candidate([]) == []\n"
    "    assert candidate([5]) == [0]\n    assert candidate([1, 2, 3, 4]) == [0, 2, 2, 6]\n",
    "entry_point": "even_totals",
}  # fmt: skip
AUX = "def aux(x):\n    return x if x % 2 == 0 else 0\n"
MAIN = """def even_totals(nums):
    total, out = 0, []
    for n in nums:
        total += aux(n)
        out.append(total)
    return out
"""
WHOLE = MAIN.replace("aux(n)", "n * (1 - n % 2)")


def play(*texts, **options):
    env = collm_envs.make("CoopHE-v1", items=[ROW], num_agents=len(texts), **options)
    env.reset(seed=0)
    observations, rewards, _, _, infos = env.step(dict(zip(env.agents, texts, strict=True)))
    return rewards["agent_0"], infos["agent_0"], observations, env


def reward(*texts):
    return play(*texts)[0]


def test_a_shared_and_correct_program_earns_four():
    got, info, _, _ = play(AUX, MAIN)
    assert got == pytest.approx(4.0)
    assert info["reward_parts"] == {"level_1": 1.0, "level_2": 0.5, "level_3": 2.0, "cooperation": 0.5}
    assert (info["metrics"]["used_rate"], info["metrics"]["call_rate"]) == (1.0, 1.0)


@pytest.mark.parametrize(
    "main",
    [
        "import itertools\n\ndef even_totals(nums):\n    return list(itertools.accumulate(map(aux, nums)))\n",
        "def even_totals(\n    nums,\n    start=0,\n):\n    out = []\n    for n in nums:\n"
        "        start += aux(n)\n        out.append(start)\n    return out\n",
        "def even_totals(nums):\n    def step(n):\n        return aux(n)\n    out = []\n    for n in nums:\n"
        "        out.append(step(n) + (out[-1] if out else 0))\n    return out\n",
        "class Sum:\n    total = 0\n    def add(self, n):\n        self.total += aux(n)\n"
        "        return self.total\n\n"
        "def even_totals(nums):\n    total = Sum()\n    return [total.add(n) for n in nums]\n",
        "from functools import cache\n\n@cache\ndef part(n):\n    return aux(n)\n\n"
        + MAIN.replace("aux(n)", "part(n)"),
        "even_totals = lambda nums: [sum(map(aux, nums[:i + 1])) for i in range(len(nums))]\n",
        "Here is my function:\n\n" + MAIN + "\nIt's a running total.",
        "Sure!\n```python\nimport math\n```\nand\n```python\n" + MAIN + "```\nTry it:\n```\nprint(x)\n```",
        "```\nfor example (\n```\n~~~py\n" + MAIN + "~~~",
    ],
)  # fmt: skip
def test_python_lives(main):
    assert reward(AUX, main) == pytest.approx(4.0)


def test_what_was_tried_to_find_the_credit_stands_in_the_verdicts():
    verdicts = play(AUX, MAIN)[3].turns[-1].score.verdicts
    assert dict(list(verdicts.items())[4:]) == {"without aux": "wrong", "aux alone": "wrong"}
    loop = MAIN.replace("for n in nums:", "for n in nums:\n        while aux(n) > n: pass")
    assert play(AUX, loop, timeout_s=0.2)[3].turns[-1].score.verdicts["without aux"] == "timeout"


@pytest.mark.parametrize(
    ("main", "why"),
    [
        (WHOLE, "no mention"),
        (WHOLE + "# aux(1)", "a comment"),
        (WHOLE.replace("return", "'aux(1)'\n    return"), "a string"),
        (WHOLE.replace("return", "if False:\n        aux(1)\n    return"), "a dead branch"),
        (WHOLE.replace("return", "aux(1)\n    return"), "an ignored value"),
        (WHOLE.replace("return", "v = aux(1)\n    return"), "an unused variable"),
        ("def aux(x):\n    return x * (1 - x % 2)\n\n" + MAIN, "a shadow"),
    ],
)
def test_a_helper_whose_value_does_not_matter_earns_no_credit(main, why):
    got, info, _, _ = play(AUX, main)
    assert info["reward_parts"]["cooperation"] == 0.0, why
    assert got == pytest.approx(3.5)


def test_a_main_function_that_hands_on_the_helpers_work_earns_half_the_credit():
    aux = WHOLE.replace("even_totals", "aux")
    for main in (
        "def even_totals(nums):\n    return aux(nums)\n",
        MAIN.split("\n")[0] + "\n    v = aux(nums)\n    w = v\n    return w",
    ):
        got, info, _, _ = play(aux, main)
        assert (got, info["metrics"]["thin_wrapper"]) == (pytest.approx(3.75), 1.0)


def test_credit_grows_with_the_tests():
    got, info, _, _ = play(AUX, MAIN.replace("out = 0, []", "out = len(nums) // 4, []"))
    assert info["metrics"]["pass_rate"] == 0.75
    assert got == pytest.approx(1.5 + 2 * 0.75 + 0.75 * 0.5)


def test_namespaces_are_apart():
    assert reward(MAIN + "\n" + AUX + "\nhelp_me = 3\n", "even_totals\n" + MAIN) == pytest.approx(1.0), (
        "main's name"
    )
    assert reward(
        AUX + "\nLIMIT = 3\n", MAIN.replace("total, out = 0", "total, out = LIMIT - 3")
    ) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("texts", "want"),
    [
        (("", ""), 0.0),
        (("def aux(x): return x", ""), 0.4),
        (("", WHOLE), 0.6 + 0.5 + 2.0),
        (("def aux(x: return x", WHOLE), 0.6 + 2.0),
        (("1 / 0\n" + AUX, WHOLE), 0.6 + 2.0),
        ((AUX, "def even_totals(nums):\n    return nums[\n"), 0.4),
        ((AUX, "1 / 0\n" + MAIN), 1.0),
        ((AUX, "def even_totals(nums):\n    return nums\nreturn 3\n"), 1.0),
        ((AUX, "even_totals = 3\n"), 1.0),
        ((WHOLE,), 3.1),
        ((AUX + MAIN,), 3.1),
    ],
)
def test_rewards_worked_out_by_hand(texts, want):
    assert reward(*texts) == pytest.approx(want)


def test_of_three_agents_each_may_call_those_before_it():
    second = "def aux_2(nums):\n    return [aux_1(n) for n in nums]\n"
    main = MAIN.replace("in nums", "in aux_2(nums)").replace("aux(n)", "n")
    first = AUX.replace("aux", "aux_1")
    got, info, _, env = play(first, second, main)
    assert (got, info["metrics"]["used_rate"]) == (pytest.approx(4.0), 1.0)
    opening = env.reset(seed=0)[0]
    assert "the helper `aux_1(...)`, written by the agents before you" in opening["agent_1"]
    assert "the helpers `aux_1(...)` and `aux_2(...)`" in opening["agent_2"]
    got, info, _, _ = play(
        first, "def aux_2(nums):\n    return nums\n", WHOLE.replace("n * (1 - n % 2)", "aux_1(n)")
    )
    assert (got, info["metrics"]["used_rate"]) == (pytest.approx(1.5 + 2.0 + 0.25 * (0.5 + 1)), 0.5)
    got, _, _, _ = play(first.replace("x %", "aux_2(x) %"), second, main)
    assert got < 3.0, "the first helper sees no later one"


def test_a_lone_agent_writes_everything():
    got, info, observations, env = play(WHOLE)
    assert (got, env.metadata["reward_range"]) == (pytest.approx(3.1), (0.0, 3.1))
    assert info["metrics"]["call_rate"] == 0.0
    assert "calls no helper" not in observations["agent_0"]


def test_feedback_says_what_is_wrong_with_which_text():
    text = play("def aux(x: return x", MAIN)[2]["agent_0"]
    assert "- `aux`: missing (line 1, column" in text
    assert "-> NameError: name 'aux' is not defined" in text
    text = play(AUX, "1 / 0\n" + MAIN)[2]["agent_1"]
    assert "- The program does not load: ZeroDivisionError: division by zero" in text
    text = play(AUX, "```\ndef even_totals(nums):\n    return nums[\n```")[2]["agent_1"]
    assert "- Syntax: line 2, column 16: '[' was never closed" in text


def test_the_reward_of_a_verdict_needs_no_sandbox():
    """The example of the docstring."""
    verdict = Verdict(
        (Part("aux", "...", True), Part("f", "...", True)),
        parses=True,
        loads=True,
        tests=("ok", "wrong") * 5,
        calls=True,
        used=("aux",),
    )
    parts, _ = earned.honest_reward(verdict, 10)
    assert sum(parts.values()) == pytest.approx(2.75)


def test_all_canonical_solutions_of_human_eval_pass_and_none_without_a_body(real_data):
    with gzip.open(real_data / "HumanEval.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    task = collm_envs.make_task("CoopHE-v1", items=rows, num_agents=1, max_turns=1)
    for item in task.items("train"):
        right = task.play(
            task.start(item, 0), {"agent_0": item.data["prompt"] + item.data["canonical_solution"]}
        )
        empty = task.play(task.start(item, 0), {"agent_0": item.data["prompt"] + "    pass\n"})
        assert right.score.metrics["fully_passed"] == 1.0, item.id
        assert empty.score.metrics["fully_passed"] == 0.0, item.id
