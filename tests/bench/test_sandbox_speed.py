"""Gradings a second of 8 calls, beside the two usual ways to run a program; all in one run on one machine."""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sandbox_corpus.host import descendants

from collm_envs.sandbox import Sandbox

AUX = "def aux(x):\n    return sorted(x)\n"
MAIN = "def f(xs, k):\n    ys = aux(xs)\n    return [y * k for y in ys if y > 0]\n"
INPUTS = [([5, -3, 8, i], i) for i in range(8)]
EXPECTED = [[y * k for y in sorted(xs) if y > 0] for xs, k in INPUTS]
TESTS = [{"input": list(i), "expected": e} for i, e in zip(INPUTS, EXPECTED, strict=True)]
JOB = {"aux": AUX, "main": MAIN, "entry_point": "f", "tests": TESTS}

FRESH = """
import sys, json
aux, main, calls = json.load(sys.stdin)
scope = {}
exec(aux, scope)
exec(main, scope)
print(json.dumps([scope["f"](*call) for call in calls]))
"""


def fresh_subprocess(_=None):
    """The least a program in an interpreter of its own can cost."""
    command = [sys.executable, "-I", "-S", "-c", FRESH]
    done = subprocess.run(command, input=json.dumps([AUX, MAIN, INPUTS]), capture_output=True, text=True)
    assert json.loads(done.stdout) == EXPECTED


def _in_child(results):
    scope = {}
    exec(AUX + MAIN, scope)
    for (xs, k), expected in zip(INPUTS, EXPECTED, strict=True):
        assert scope["f"](xs, k) == expected
    results.append("passed")


def forked_by_multiprocessing(_=None):
    """As common benchmarks do: a manager for the verdict, a process for the program and its tests."""
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        results = manager.list()
        process = context.Process(target=_in_child, args=(results,))
        process.start()
        process.join(3)
        assert list(results) == ["passed"]


def rate(work, n, workers=1):
    """Calls of `work` a second, `workers` at a time."""
    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as executor:
        list(executor.map(work, range(n)))
    return n / (time.perf_counter() - began)


def private_mb(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in text.splitlines()[1:]}
    return sizes["Pss"], sizes["Private_Dirty"] + sizes["Private_Clean"]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(workers=2) as one:
        one.grade_many([JOB] * 50)
        yield one


@pytest.mark.bench
def test_gradings_a_second(sandbox):
    def one(_):
        assert sandbox.grade(**JOB).passed == 8

    rows = {
        "sandbox, 1 worker": [],
        "sandbox, 2 workers": [],
        "fresh python -I -S": [],
        "multiprocessing": [],
    }
    for _ in range(5):  # interleaved, so that a busy moment hurts all of them
        rows["sandbox, 1 worker"].append(rate(one, 300))
        began = time.perf_counter()
        assert all(result.passed == 8 for result in sandbox.grade_many([JOB] * 600))
        rows["sandbox, 2 workers"].append(600 / (time.perf_counter() - began))
        rows["fresh python -I -S"].append(rate(fresh_subprocess, 40))
        rows["multiprocessing"].append(rate(forked_by_multiprocessing, 10))
    base = statistics.median(rows["fresh python -I -S"])
    print()
    for name, rates in rows.items():
        middle = statistics.median(rates)
        spread = f"({min(rates):.0f} to {max(rates):.0f})"
        print(f"{name:20} {middle:7.0f} /s   {middle / base:5.1f} x fresh   {spread}")
    one_worker, two = (statistics.median(rows[f"sandbox, {w}"]) for w in ("1 worker", "2 workers"))
    assert one_worker >= 300
    assert one_worker / base >= 4.5
    assert two / base >= 7


@pytest.mark.bench
def test_latency_and_the_cost_of_the_counterfactual(sandbox):
    def latencies(**how):
        took = []
        for _ in range(500):
            began = time.perf_counter()
            assert sandbox.grade(**JOB, **how).passed == 8
            took.append(1000 * (time.perf_counter() - began))
        return took

    print()
    for name, how in (("grade", {}), ("with counterfactual", {"counterfactual": True})):
        took = latencies(**how)
        p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
        print(f"{name:20} p50 {p50:5.2f} ms   p99 {p99:5.2f} ms")
    unused = {**JOB, "main": MAIN.replace("aux", "sorted"), "counterfactual": True}
    began = time.perf_counter()
    for _ in range(100):
        assert sandbox.grade(**unused).aux_used is False
    print(
        f"unused helper        mean {10 * (time.perf_counter() - began):5.2f} ms (all three stubs are tried)"
    )


@pytest.mark.bench
def test_checks_a_second(sandbox):
    lines = "\n".join(f"    assert candidate(*{i!r}) == {e!r}" for i, e in zip(INPUTS, EXPECTED, strict=True))
    check = f"def check(candidate):\n{lines}\n"

    def one(_):
        assert sandbox.check(aux=AUX, main=MAIN, entry_point="f", test=check).passed == 1

    print(
        f"\ncheck(candidate)     {rate(one, 200):5.0f} /s with 1 worker, {rate(one, 400, 2):5.0f} /s with 2"
    )


@pytest.mark.bench
def test_start_and_memory_of_a_worker():
    took, sizes = [], []
    others = {pid for pid, _ in descendants(os.getpid())}
    for _ in range(5):
        began = time.perf_counter()
        with Sandbox():
            took.append(1000 * (time.perf_counter() - began))
            sizes = [private_mb(pid) for pid, _ in descendants(os.getpid()) if pid not in others]
    shared, private = (sum(size[k] for size in sizes) for k in (0, 1))
    print(f"\nstart {statistics.median(took):.0f} ms; a worker {shared:.1f} MB PSS, {private:.1f} MB private")
