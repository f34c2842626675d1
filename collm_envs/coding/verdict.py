"""The verdict on a turn's texts and the reward for it: plain data and arithmetic, no sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from collm_envs.coding.problem import Problem
from collm_envs.task import Rejected

MAX_REJECTED = 20
"""lines of a text that are listed as rejected; further ones are only counted"""
SHOWN_CHARS = 80
"""characters shown of a rejected line, and of a test in the verdicts"""


@dataclass(frozen=True)
class Part:
    """One agent's text as a part of the program."""

    name: str
    """the function the agent has to define; "" if its text is not read"""
    code: str = ""
    """the part of the text that entered the program"""
    defined: bool = False
    error: str = ""
    """why the text could not be used, if that is its own fault"""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a turn's texts: plain data, kept in the state."""

    parts: tuple[Part, ...]
    """one an agent"""
    error: str = ""
    """why the program could not be read or loaded"""
    parses: bool = False
    loads: bool = False
    tests: tuple[str, ...] = ()
    """one verdict a test: ok, wrong, raised:<class>, timeout, died, unserialisable or not_run"""
    messages: tuple[str, ...] = ()
    """one a test: the message of the exception it raised"""
    timeouts: int = 0
    """runs that timed out; tests given up after the last one are not counted"""
    calls: bool = False
    """whether main calls a helper"""
    misuses: tuple[str, ...] = ()
    """calls of a helper whose value is not used, in words"""
    wrapper: bool = False
    """whether main only passes on a helper's value"""
    ignored: bool = False
    """whether the published rule finds aux's value unused: see line_rules.ignores_aux"""
    used: tuple[str, ...] = ()
    """helpers whose replacement makes a passed test fail"""
    counterfactuals: Mapping[str, str] = field(default_factory=dict)
    """"without aux", "aux alone" -> ok where as many tests pass, else wrong or timeout"""

    @property
    def passed(self) -> int:
        return self.tests.count("ok")


def published_reward(verdict: Verdict, total: int) -> tuple[dict[str, float], dict[str, float]]:
    """v0: (parts whose sum is the reward, metrics) of a verdict on a problem with `total` tests."""
    *helpers, main = verdict.parts
    aux = bool(helpers) and helpers[0].defined
    runs = main.defined and verdict.parses and total > 0
    passed = verdict.passed if runs else 0
    rate = passed / total if runs else 0.0
    credit = passed > 0 and verdict.calls and bool(helpers and helpers[0].code)
    bonus = {
        "test_reward": rate,
        "aux_usage_bonus": 0.5 * credit,
        "anti_wrapper_bonus": 1.0 * (credit and not verdict.wrapper),
        "called_wo_used_deduction": 0.5 * (credit and verdict.ignored),
    }
    test, call, own, waste = bonus.values()
    parts = {
        "level_1": 0.4 * aux + 0.6 * main.defined,
        "level_2": 0.5 * (main.defined and verdict.parses),
        "level_3": test + call + own - waste,
    }
    metrics = {**_common(verdict, passed, total if runs else 0), **bonus}
    return parts, metrics


def honest_reward(verdict: Verdict, total: int) -> tuple[dict[str, float], dict[str, float]]:
    """v1: (parts whose sum is the reward, metrics) of a verdict on a problem with `total` tests."""
    *helpers, main = verdict.parts
    share = sum(part.defined for part in helpers) / len(helpers) if helpers else 0.0
    used = len(verdict.used) / len(helpers) if helpers else 0.0
    rate = verdict.passed / total if main.defined else 0.0
    parts = {
        "level_1": 0.4 * share + 0.6 * main.defined,
        "level_2": 0.5 * (main.defined and verdict.loads),
        "level_3": 2.0 * rate,
        "cooperation": rate * 0.25 * (used + (used > 0 and not verdict.wrapper)),
    }
    return parts, {**_common(verdict, verdict.passed, total if main.defined else 0), "used_rate": used}


def _common(verdict: Verdict, passed: int, total: int) -> dict[str, float]:
    helpers, main = verdict.parts[:-1], verdict.parts[-1]
    return {
        "pass_rate": passed / total if total else 0.0,
        "fully_passed": float(0 < total == passed),
        "call_rate": float(verdict.calls),
        "timeouts": float(verdict.timeouts if total else 0),
        "passed_tests": float(passed),
        "total_tests": float(total),
        "aux_defined": float(any(part.defined for part in helpers)),
        "main_defined": float(main.defined),
        "thin_wrapper": float(verdict.wrapper),
    }


def named_verdicts(problem: Problem, verdict: Verdict) -> dict[str, str]:
    """{test: verdict}.  Tests given up after time-outs count as "timeout" too: time decided them."""
    given_up = "timeout" if verdict.timeouts else "not_run"
    words = (given_up if word == "not_run" else word for word in verdict.tests)
    tests = {f"{k}: {problem.tests[k].text[:SHOWN_CHARS]}": word for k, word in enumerate(words)}
    return {**tests, **verdict.counterfactuals}


def sorted_lines(text: str, part: Part) -> tuple[list[str], list[Rejected]]:
    """The lines of a text that entered the program, and those that did not."""
    code = [line for line in part.code.split("\n") if line.strip()]
    left = Counter(line.strip() for line in code)
    lost = []
    for line in (line.strip() for line in text.split("\n")):
        if line and left[line] == 0:
            lost.append(line)
        elif line:
            left[line] -= 1
    why = part.error or (f"not part of {part.name}" if part.name else "this agent's text is not read")
    rejected = [Rejected(line[:SHOWN_CHARS], why) for line in islice(lost, MAX_REJECTED)]
    if len(lost) > MAX_REJECTED:
        rejected.append(Rejected(f"... and {len(lost) - MAX_REJECTED} more lines", why))
    return code, rejected
