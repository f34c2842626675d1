"""CoopHE-v0 through the public door: golden rewards, honest verdicts, prompts, feedback, options."""

import json
from random import Random

import pytest
from folders import GOLDEN

import collm_envs
from collm_envs.coding import verdict as earned
from collm_envs.coding.verdict import Part, Verdict
from collm_envs.task import Rejected

CASES = json.loads((GOLDEN / "coophe.json").read_text())
PROGRAMS = [case for case in CASES if "aux_completion" in case["input"]]
ROW = {key: PROGRAMS[0]["input"][key] for key in ("prompt", "test", "entry_point")}
AUX = PROGRAMS[0]["input"]["aux_completion"]
MAIN = PROGRAMS[0]["input"]["main_completion"]
LOGGED = {
    "pass_rate": "passed_rate",
    "passed_tests": "passed_tests",
    "total_tests": "total_tests",
    "timeouts": "timeout_num",
    "test_reward": "test_reward",
    "aux_usage_bonus": "aux_usage_bonus",
    "anti_wrapper_bonus": "anti_wrapper_bonus",
    "called_wo_used_deduction": "called_wo_used_deduction",
}
"""our metric -> the published logger's"""


def make(**options):
    options.setdefault("items", [ROW])
    return collm_envs.make("CoopHE-v0", **options)


def play(env, *texts):
    env.reset(seed=0)
    return env.step(dict(zip(env.agents, texts, strict=True)))


def info(env, *texts):
    return play(env, *texts)[4]["agent_0"]


def main_with(*lines):
    return "def running_even_sum(nums):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("case", PROGRAMS, ids=[case["name"] for case in PROGRAMS])
def test_golden_rewards_and_metrics_are_reproduced(case):
    row, want = case["input"], case["output"]
    env = make(items=[{key: row[key] for key in ROW}], timeout_s=0.2)
    _, rewards, _, _, infos = play(env, row["aux_completion"], row["main_completion"])
    logged = want["logger_metrics"]
    assert rewards["agent_0"] == rewards["agent_1"] == pytest.approx(want["reward"], abs=1e-9)
    metrics, parts = infos["agent_0"]["metrics"], infos["agent_0"]["reward_parts"]
    assert {ours: metrics[ours] for ours in LOGGED} == pytest.approx(
        {o: logged[t] for o, t in LOGGED.items()}
    )
    levels = [logged[f"level_{k}_reward"] for k in (1, 2, 3)]
    assert [parts[f"level_{k}"] for k in (1, 2, 3)] == pytest.approx(levels, abs=1e-9)


@pytest.mark.parametrize(
    ("aux", "main", "reward"),
    [
        pytest.param(AUX, main_with("s, out = 0, []", "for n in nums:", "    s += 0 if n % 2 else n",
                                    "    out.append(s)", "return out"), 2.5, id="correct, no call"),
        pytest.param(AUX.replace("x if x % 2 == 0 else 0", "[sum(y for y in x[:i + 1] if y % 2 == 0) "
                                 "for i in range(len(x))]"),
                     main_with("v = aux(nums)", "return v"), 3.0, id="two-line wrapper"),
        pytest.param(AUX, main_with("aux(1)", *MAIN.split("\n    ")[1:]), 4.0, id="aux(1) ignored unnoticed"),
        pytest.param(AUX, main_with("return [aux(n) for n in nums if n > 2]"), 2.4, id="two of five"),
        pytest.param(AUX, "I would rather not.", 0.4, id="main missing"),
        pytest.param(AUX, main_with("return (nums"), 1.0, id="syntax error"),
        pytest.param("import math\n" + AUX.replace("x if", "math.floor(x) if"),
                     MAIN.replace("aux(n)", "math.trunc(aux(n))"), 4.0, id="import of the prompt"),
        pytest.param(AUX, "import json\n" + MAIN.replace("aux(n)", "json.loads(str(aux(n)))"), 3.2,
                     id="import of the text is lost: only the empty list passes"),
        pytest.param("", "", 0.0, id="nothing"),
    ],
)  # fmt: skip
def test_rewards_worked_out_by_hand(aux, main, reward):
    assert play(make(), aux, main)[1]["agent_0"] == pytest.approx(reward, abs=1e-9)


def test_an_object_that_equals_everything_earns_what_its_plain_value_earns():
    """The published grader asks the object's own `__eq__` and pays 3.8; as plain data it is [0]."""
    main = main_with("return type('L', (list,), {'__eq__': lambda a, b: True})([0])  # aux(nums)")
    found = info(make(), AUX, main)
    assert found["metrics"]["passed_tests"] == 1
    assert sum(found["reward_parts"].values()) == pytest.approx(1.0 + 0.5 + 1 / 5 + 0.5)


def test_an_object_that_is_no_plain_data_earns_nothing():
    main = main_with("return type('E', (), {'__eq__': lambda a, b: True})()  # aux(nums)")
    env = make()
    assert info(env, AUX, main)["metrics"]["passed_tests"] == 0
    assert set(env.turns[-1].score.verdicts.values()) == {"unserialisable"}


@pytest.mark.parametrize(
    "main",
    [
        main_with("import sys", "sys.exit(0)", "return nums"),
        main_with("import os", "os._exit(0)", "return nums"),
        main_with("import inspect", "return inspect.stack()[1][0].f_locals['expected_result']"),
        main_with("try:", "    while True: pass", "except BaseException:", "    return nums"),
        "def running_even_sum(nums, x=exit()):\n    return nums\n",
    ],
)
def test_what_ends_hangs_or_reads_the_published_grader_earns_no_test(main):
    found = info(make(timeout_s=0.2, max_timeouts=1), AUX, main)
    assert found["metrics"]["passed_tests"] == 0
    assert found["reward_parts"] == {"level_1": 1.0, "level_2": 0.5, "level_3": 0.0}


def test_a_hang_in_one_test_costs_that_test():
    main = main_with("while nums == [5]: pass", *MAIN.split("\n    ")[1:])
    env = make(timeout_s=0.2)
    found = info(env, AUX, main)
    assert found["metrics"]["passed_tests"] == 4
    assert found["metrics"]["timeouts"] == 1
    assert list(env.turns[-1].score.verdicts.values()) == ["ok", "ok", "timeout", "ok", "ok"]


def test_tests_given_up_after_too_many_hangs_are_marked_as_timed_out():
    env = make(timeout_s=0.1, max_timeouts=2)
    assert info(env, AUX, main_with("while True: pass", "return 1"))["metrics"]["timeouts"] == 2
    assert list(env.turns[-1].score.verdicts.values()) == ["timeout"] * 5


def test_a_hang_while_the_program_is_defined_is_a_time_out_of_every_test():
    env = make(timeout_s=0.1)
    slow = "def running_even_sum(nums, x=[0 for _ in iter(int, 1)]):\n    return nums\n"
    assert info(env, AUX, slow)["metrics"] == {
        **info(env, AUX, slow)["metrics"],
        "passed_tests": 0,
        "timeouts": 1,
    }
    assert list(env.turns[-1].score.verdicts.values()) == ["timeout"] * 5


def test_one_agent_writes_main_alone():
    env = make(num_agents=1)
    observations, _ = env.reset(seed=0)
    assert "aux" not in observations["agent_0"]
    assert env.metadata["reward_range"] == (0.0, 2.1)
    alone = main_with(
        "t, out = 0, []", "for n in nums:", "    t += n * (1 - n % 2)", "    out.append(t)", "return out"
    )
    assert env.step({"agent_0": alone})[1] == {"agent_0": pytest.approx(2.1)}


def test_of_three_agents_the_first_and_the_last_are_read():
    env = make(num_agents=3)
    _, rewards, _, _, infos = play(env, AUX, "def aux(x):\n    return 0", MAIN)
    assert rewards["agent_2"] == pytest.approx(4.0)
    assert infos["agent_1"]["accepted"] == []
    assert [line["why"] for line in infos["agent_1"]["rejected"]] == ["this agent's text is not read"] * 2


def test_each_agent_reads_its_own_part():
    (helper, main), _ = (list(part.values()) for part in make().reset(seed=0))
    assert "def aux(...):" in helper
    assert "def running_even_sum(nums):" in main
    assert "`aux(...)`" in main
    assert ROW["prompt"].rstrip() in helper
    assert ROW["prompt"].rstrip() in main


def test_terse_prompts_say_the_same_in_fewer_characters():
    full, terse = (make(prompts=kind).reset(seed=0)[0] for kind in ("full", "terse"))
    assert terse["agent_0"].startswith("1/2 aux\nfrom typing import List\n")
    assert terse["agent_1"].split("\n")[0] == "2/2 running_even_sum uses aux"
    assert '"""' not in terse["agent_1"]
    for line in (">>> running_even_sum([1, 2, 3, 4])", "Running total of the even numbers only."):
        assert line in terse["agent_0"]
    assert all(len(terse[agent]) < len(full[agent]) / 2 for agent in full)


def test_terse_prompts_keep_the_last_letter_before_the_quotes():
    prompt = "def running_even_sum(nums):\n    r'''Sum in order'''\n"
    assert make(items=[{**ROW, "prompt": prompt}], prompts="terse").reset(seed=0)[0]["agent_0"] == (
        "1/2 aux\ndef running_even_sum(nums):\nSum in order"
    )


def test_level_feedback_tells_each_agent_what_it_needs():
    env = make()
    broken = main_with("return [len(n) for n in nums]")
    observations = play(env, AUX, broken)[0]
    for text in observations.values():
        assert "- Tests: 0 of 1 passed" in text
        assert (
            "assert running_even_sum([1, 2, 3, 4]) == [0, 2, 2, 6] -> TypeError: object of type 'int'" in text
        )
    assert "calls no helper" in observations["agent_1"]
    assert "calls no helper" not in observations["agent_0"]
    assert "def aux" not in observations["agent_1"], "nobody reads the other's code"


def test_level_feedback_places_a_syntax_error():
    text = play(make(), AUX, main_with("return (nums"))[0]["agent_0"]
    assert "- Syntax: line 8, column 12: '(' was never closed" in text


def test_level_feedback_runs_the_tests_of_a_main_function_without_return():
    text = play(make(), AUX, main_with("print(nums)"))[0]["agent_1"]
    assert "`running_even_sum`: missing" in text
    assert "-> AssertionError" in text


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        (["aux(1)", "return nums"], "line 2: the result of aux is thrown away"),
        (["v = aux(1)", "return nums"], "line 2: v is never read"),
        (["v = aux(1)", "v = 2", "return v"], "line 2: v is assigned anew in line 3 before it is read"),
        (["v = 1", "while v:", "    v = aux(v)", "return 1"], "uses what it returns"),
    ],
)
def test_level_feedback_names_wasted_calls(lines, what):
    assert what in play(make(), AUX, main_with(*lines))[0]["agent_1"]


def test_level_feedback_warns_of_a_thin_wrapper():
    assert "only hands on" in play(make(), AUX, main_with("return aux(nums)"))[0]["agent_1"]


@pytest.mark.parametrize(("n", "total"), [(1, 1), (2, 2), (-2, 2), (0, 5), (99, 5)])
def test_sandbox_slice_chooses_the_asserts_of_the_feedback_and_not_of_the_reward(n, total):
    env = make(sandbox_slice=n)
    observations, rewards, *_ = play(env, AUX, MAIN)
    assert f"Tests: {total} of {total} passed" in observations["agent_0"]
    assert rewards["agent_0"] == pytest.approx(4.0)


def test_plain_feedback_asks_for_a_revision_and_none_gives_the_turn_alone():
    assert play(make(feedback="none"), AUX, MAIN)[0] == dict.fromkeys(["agent_0", "agent_1"], "Turn 2 of 2.")
    plain = play(make(feedback="plain"), AUX, MAIN)[0]["agent_0"]
    assert plain == "Turn 2 of 2.\nRevise your function `aux`. Answer with its whole code and nothing else."


def test_self_contained_prompts_repeat_the_problem_and_the_last_text():
    env = make(self_contained=True)
    first = env.reset(seed=0)[0]["agent_0"]
    later = env.step({"agent_0": AUX, "agent_1": MAIN})[0]["agent_0"]
    assert first in later
    assert later.endswith("You wrote:\n" + AUX.strip())


def test_terse_feedback_is_a_few_bare_lines():
    assert play(make(prompts="terse"), AUX, MAIN)[0]["agent_1"] == "2\naux ok\nrunning_even_sum ok\n1/1\ncall"
    failed = play(make(prompts="terse"), "", main_with("return nums"))[0]["agent_1"].split("\n")
    wrong = "assert running_even_sum([1, 2, 3, 4]) == [0, 2, 2, 6] AssertionError"
    assert failed == ["2", "aux missing", "running_even_sum ok", "0/1", wrong, "no call"]


def test_an_episode_has_two_turns_unless_a_reward_stops_it():
    assert play(make(), AUX, MAIN)[2]["agent_0"] is False
    assert play(make(stop_above=3.8), AUX, MAIN)[2]["agent_0"] is True
    assert play(make(max_turns=1), AUX, MAIN)[2]["agent_0"] is True


def test_scale_and_shift_change_the_reward_and_nothing_else():
    env = make(reward_scale=2.0, reward_shift=-4.0)
    found = info(env, AUX, MAIN)
    assert env.turns[-1].score.reward == pytest.approx(4.0)
    assert found["metrics"]["raw_reward"] == pytest.approx(4.0)
    assert found["reward_parts"] == {"level_1": 2.0, "level_2": 1.0, "level_3": 5.0, "shift": -4.0}
    assert env.metadata["reward_range"] == (-4.0, 4.0)


def test_rejected_lines_name_what_did_not_enter_the_program():
    found = info(make(), "Here you are:\nimport math\n" + AUX, MAIN)
    assert found["accepted"] == AUX.strip().split("\n")
    assert found["rejected"] == [
        Rejected(line, "not part of aux")._asdict() for line in ("Here you are:", "import math")
    ]


def test_a_long_tail_of_rejected_lines_is_counted():
    rejected = info(make(), "no\n" * 100, MAIN)["rejected"]
    assert len(rejected) == earned.MAX_REJECTED + 1
    assert rejected[-1]["line"] == "... and 80 more lines"


def test_a_multi_line_assert_fails_as_published_whatever_the_program_does():
    asserts = ("    assert candidate([1,", "        3]) == [0, 0]", "    assert candidate([]) == []")
    test = "\n".join(["def check(candidate):", *asserts, ""])
    found = info(make(items=[{**ROW, "test": test}]), AUX, MAIN)
    assert (found["metrics"]["passed_tests"], found["metrics"]["total_tests"]) == (1, 2)


def test_an_assert_that_needs_an_import_of_the_prompt_is_run_with_it():
    test = "def check(candidate):\n    assert math.isclose(sum(candidate([2, 4])), 8)\n"
    assert info(make(items=[{**ROW, "test": test}]), AUX, MAIN)["metrics"]["fully_passed"] == 1.0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "test": "assert True"}, "item 'item/0': test: need a function `def check"),
        ({**ROW, "entry_point": "running even"}, "item 'item/0': entry_point"),
        ({**ROW, "entry_point": "aux"}, "item 'item/0': entry_point"),
        ({"prompt": "x", "test": "y"}, "missing column 'entry_point'"),
        ({**ROW, "prompt": ""}, "column 'prompt' must hold"),
    ],
)
def test_a_bad_row_is_named(row, message):
    with pytest.raises(ValueError, match=message):
        make(items=[row])


@pytest.mark.parametrize(
    "options",
    [
        {"feedback": "expert_edits"},
        {"prompts": "short"},
        {"timeout_s": 0},
        {"timeout_s": float("nan")},
        {"max_timeouts": 0},
        {"sandbox_slice": "all"},
        {"sandbox": "docker"},
        {"num_agents": 0},
        {"max_turns": 0},
    ],
)
def test_a_bad_option_is_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        make(**options)


def test_the_reward_of_a_verdict_needs_no_sandbox():
    verdict = Verdict(
        (Part("aux", "def aux(x): ...", True), Part("f", "def f(x): ...", True)),
        parses=True,
        tests=("ok", "wrong", "ok", "timeout", "ok"),
        calls=True,
        ignored=True,
    )
    parts, metrics = earned.published_reward(verdict, 5)
    assert sum(parts.values()) == pytest.approx(0.4 + 0.6 + 0.5 + 3 / 5 + 0.5 + 1.0 - 0.5)
    assert metrics["pass_rate"] == pytest.approx(0.6)


def test_the_scene_shows_the_problem_the_parts_and_the_tests():
    env = make(render_mode="ansi")
    play(env, AUX, MAIN)
    scene = env.task.scene(env.snapshot)
    assert list(scene.texts) == ["problem", "aux (agent_0)", "running_even_sum (agent_1)", "tests"]
    assert scene.texts["tests"].split("\n")[0].startswith("ok       0: assert")
    assert "def aux" in env.render()


def test_every_published_problem_runs(real_data):
    rows = json.loads((real_data / "CoopHumanEval.json").read_text())
    task = collm_envs.make_task("CoopHE-v0", items=rows, max_turns=1)
    for item in task.items("train"):
        state = task.start(item, 0)
        chance = {agent: task.players["random"](task, state, agent, Random(0)) for agent in task.agents}
        score = task.play(state, chance).score
        assert score.metrics["total_tests"] == len(state.problem.tests) > 3
        assert set(score.verdicts.values()) <= {"ok", "wrong", "raised:TypeError"}, item.id


@pytest.mark.parametrize("id", ["CoopHE-v0", "CoopHE-v1"])
def test_a_row_is_parsed_once_however_many_environments_have_it(id):
    first, second = (collm_envs.make_task(id) for _ in range(2))
    for item in first.items("eval"):
        assert first.start(item, 0).problem is second.start(item, 1).problem
    other = collm_envs.make_task(id, sandbox_slice=2)
    assert other.start(item, 0).problem != first.start(item, 0).problem
