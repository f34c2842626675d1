"""Real problems of others: every reference solution passes, every empty one fails, every test set runs."""

import ast
import gzip
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from collm_envs.sandbox import Sandbox


@pytest.fixture(scope="module")
def humaneval(real_data):
    with gzip.open(real_data / "HumanEval.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def coophumaneval(real_data):
    return json.loads((real_data / "CoopHumanEval.json").read_text())


def check_all(rows, body):
    """(task id, passed, verdicts) of each row with `body(row)` after its prompt, two at a time."""
    with Sandbox(workers=2) as sandbox, ThreadPoolExecutor(2) as executor:

        def one(row):
            result = sandbox.check(
                main=row["prompt"] + body(row),
                prompt=row["prompt"],
                entry_point=row["entry_point"],
                test=row["test"],
                timeout_s=10.0,
            )
            return row["task_id"], result.passed, result.tests

        return list(executor.map(one, rows))


def test_every_canonical_solution_of_humaneval_passes(humaneval):
    outcomes = check_all(humaneval, lambda row: row["canonical_solution"])
    assert len(outcomes) == 164
    assert [outcome for outcome in outcomes if not outcome[1]] == []


def test_no_empty_body_of_humaneval_passes(humaneval):
    outcomes = check_all(humaneval, lambda row: "    pass\n")
    assert len(outcomes) == 164
    assert [outcome for outcome in outcomes if outcome[1]] == []


def test_every_test_set_of_coophumaneval_loads_and_runs(coophumaneval):
    assert len(coophumaneval) == 82
    asserts = 0
    with Sandbox(workers=2) as sandbox:
        for row in coophumaneval:
            (function,) = (node for node in ast.parse(row["test"]).body if isinstance(node, ast.FunctionDef))
            lines = [ast.unparse(node) for node in function.body if isinstance(node, ast.Assert)]
            asserts += len(lines)
            program = {"main": row["prompt"] + "\n    pass\n", "entry_point": row["entry_point"]}
            result = sandbox.grade(tests=[{"assert": line} for line in lines], **program)
            assert (result.status, result.passed, result.total) == ("ok", 0, len(lines))
            whole = sandbox.check(test=row["test"], prompt=row["prompt"], **program)
            assert (whole.status, whole.passed) == ("ok", 0)
    assert asserts == 419
