"""The built-in problems and the scripted players."""

import gzip
import json
import re
from random import Random
from statistics import mean

import pytest

import collm_envs
from collm_envs.coding.problem import COOPHUMANEVAL
from collm_envs.datasets import load

ITEMS = load(COOPHUMANEVAL)
ROWS = [item.data for split in ("train", "eval") for item in ITEMS[split]]


def play(task, item, player, seed=0):
    state, rng = task.start(item, seed), Random(f"{seed}/{item.id}")
    texts = {agent: task.players[player](task, state, agent, rng) for agent in task.agents}
    return task.play(state, texts).score, texts


def test_there_are_96_problems_to_train_on_and_32_others_to_evaluate_on_of_graded_difficulty():
    assert [len(ITEMS[split]) for split in ("train", "eval")] == [96, 32]
    assert len({row["entry_point"] for row in ROWS}) == 128
    assert len({row["prompt"] for row in ROWS}) == 128
    for split in ("train", "eval"):
        levels = [item.data["level"] for item in ITEMS[split]]
        assert levels == sorted(levels)
        assert all(levels.count(level) >= len(levels) // 4 for level in (1, 2, 3))


def test_every_problem_has_eight_asserts_whose_answers_vary():
    for row in ROWS:
        asserts = re.findall(r"assert candidate\(.*\) == (.*)", row["test"])
        assert len(asserts) >= 8, row["entry_point"]
        assert max(map(asserts.count, asserts)) <= len(asserts) / 2, row["entry_point"]


def test_every_prompt_is_the_signature_with_two_examples_that_hold():
    """Trusted code of our own: the reference is run here."""
    for row in ROWS:
        names = {}
        exec(row["aux"] + row["main"], names)
        examples = re.findall(r">>> (.*)\n    (.*)\n", row["prompt"])
        assert len(examples) == 2, row["entry_point"]
        for call, answer in examples:
            assert repr(eval(call, names)) == answer, call
        assert row["main"].split("\n")[0] == row["prompt"].split("\n")[0]
        compile(row["prompt"], row["entry_point"], "exec")


def test_the_first_assert_is_an_example_of_the_prompt_so_feedback_gives_nothing_away():
    for row in ROWS:
        call, answer = re.findall(r"assert candidate\((.*)\) == (.*)", row["test"])[0]
        assert f">>> {row['entry_point']}({call})\n    {answer}\n" in row["prompt"]


def test_no_problem_is_one_of_human_eval_or_coop_human_eval(real_data):
    with gzip.open(real_data / "HumanEval.jsonl.gz", "rt") as file:
        others = [json.loads(line) for line in file]
    others += json.loads((real_data / "CoopHumanEval.json").read_text())

    def words(row):
        text = row["prompt"][row["prompt"].rfind(f"def {row['entry_point']}") :].split(">>>")[0]
        return set(re.findall(r"[a-z]+", text.lower()))

    taken = {row["entry_point"]: words(row) for row in others}
    for row in ROWS:
        own = words(row)
        assert row["entry_point"] not in taken
        for name, theirs in taken.items():
            assert len(own & theirs) < 0.4 * len(own | theirs), (row["entry_point"], name)


@pytest.mark.parametrize(("env", "prompts"), [("CoopHE-v0", "full"), ("CoopHE-v1", "terse")])
def test_the_expert_earns_the_full_reward_on_every_problem(env, prompts):
    task = collm_envs.make_task(env, prompts=prompts)
    for item in (*task.items("train"), *task.items("eval")):
        score, _ = play(task, item, "expert")
        assert score.reward == pytest.approx(4.0), item.data["entry_point"]


@pytest.mark.parametrize(("env", "best"), [("CoopHE-v0", 2.1), ("CoopHE-v1", 3.1)])
def test_the_lone_expert_earns_all_that_one_agent_can(env, best):
    task = collm_envs.make_task(env, num_agents=1)
    for item in task.items("eval"):
        assert play(task, item, "expert")[0].reward == pytest.approx(best), item.data["entry_point"]


@pytest.mark.parametrize("env", ["CoopHE-v0", "CoopHE-v1"])
def test_three_experts_earn_the_full_reward(env):
    task = collm_envs.make_task(env, num_agents=3)
    for item in task.items("eval"):
        assert play(task, item, "expert")[0].reward == pytest.approx(4.0), item.data["entry_point"]


def test_noisy_lies_between_random_and_expert():
    task = collm_envs.make_task("CoopHE-v0", timeout_s=0.2, max_timeouts=1)
    noisy, chance = (
        [play(task, item, name)[0].reward for item in task.items("eval")] for name in ("noisy", "random")
    )
    assert 1.0 < mean(chance) < 2.0 < mean(noisy) < 3.5
    assert sum(reward == pytest.approx(4.0) for reward in noisy) > 5
    assert sum(reward < 2.0 for reward in noisy) > 5


def test_terse_texts_of_easy_problems_fit_a_small_model():
    task = collm_envs.make_task("CoopHE-v0", prompts="terse")
    easy = [item for item in task.items("train") if item.data["level"] == 1]
    sizes = [len(text) for item in easy for text in play(task, item, "noisy")[1].values()]
    assert max(sizes) < 250
    assert mean(sizes) < 100


def test_players_draw_from_the_given_generator_only():
    task = collm_envs.make_task("CoopHE-v0")
    state = task.start(task.items("train")[5], 0)
    for name, player in task.players.items():
        twice = [[player(task, state, agent, Random(7)) for agent in task.agents] for _ in range(2)]
        assert twice[0] == twice[1], name


PLAIN = {
    "task_id": "t/9",
    "prompt": "def f(x):\n    '''Do it.'''\n",
    "entry_point": "f",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}


def test_the_expert_names_an_item_without_a_reference():
    task = collm_envs.make_task("CoopHE-v0", items=[PLAIN])
    with pytest.raises(KeyError, match="'t/9' has no column 'aux'"):
        play(task, task.items("train")[0], "expert")


def test_the_expert_plays_a_row_with_a_canonical_solution():
    task = collm_envs.make_task("CoopHE-v0", items=[{**PLAIN, "canonical_solution": "    return x + 1\n"}])
    assert play(task, task.items("train")[0], "expert")[0].reward == pytest.approx(2.5)
