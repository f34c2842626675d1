"""The prompts: the task at turn 1, feedback on the last texts at later turns.  In our own words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from collm_envs.coding.problem import Problem
from collm_envs.coding.verdict import Verdict

Feedback = Literal["level", "plain", "none"]
Prompts = Literal["full", "terse"]
MAX_MISUSES = 2
_QUOTES = re.compile(r"(\br)?(\"{3}|'{3})")


@dataclass(frozen=True)
class Coder:
    """The part of one agent: the function it writes and the helpers it may call."""

    number: int
    """from 1"""
    of: int
    name: str
    """name of its function; "" for an agent whose text is not read"""
    helpers: tuple[str, ...]
    is_main: bool
    modules: bool
    """whether imports and functions beside its own are kept"""


def opening(problem: Problem, seat: Coder) -> str:
    """The whole task for one agent."""
    team = f"You are agent {seat.number} of {seat.of}. " if seat.of > 1 else ""
    if not seat.name:
        return f"{team}The others solve a programming problem. Your text is not read in this task."
    work = _main_work(problem, seat) if seat.is_main else _helper_work(problem, seat)
    inside = "" if seat.modules else " Imports belong inside the function."
    return (
        f"{team}{work}\n\nProblem:\n{problem.prompt.rstrip()}\n\nAnswer with Python code only: "
        f"no explanation, no Markdown, no tests.{inside}\n{_skeleton(problem, seat)}"
    )


def terse_opening(problem: Problem, seat: Coder) -> str:
    """`opening` in few characters: who writes what, then the problem without its quotation marks."""
    if not seat.name:
        return f"{seat.number}/{seat.of} -"
    who = f"{seat.number}/{seat.of} {seat.name}"
    if seat.helpers:
        who += " uses " + " ".join(seat.helpers)
    lines = (_QUOTES.sub("", line).strip() for line in problem.prompt.split("\n"))
    return "\n".join([who, *(line for line in lines if line)])


def turn(heading: str, problem: Problem, seat: Coder, feedback: Feedback, verdict: Verdict) -> str:
    """The message of a later turn; `heading` is its first line, e.g. "Turn 2 of 2." """
    lines = [heading]
    if seat.name and feedback == "level":
        lines.append("What became of the last texts:")
        lines += [f"- {line}" for line in _report(problem, seat, verdict)]
    if seat.name and feedback != "none":
        lines.append(f"Revise your function `{seat.name}`. Answer with its whole code and nothing else.")
    return "\n".join(lines)


def terse_turn(heading: str, problem: Problem, seat: Coder, feedback: Feedback, verdict: Verdict) -> str:
    """`turn` in few characters."""
    if not seat.name or feedback != "level":
        return heading
    lines = [heading, *(f"{p.name} {'ok' if p.defined else 'missing'}" for p in verdict.parts if p.name)]
    if verdict.error:
        lines.append(verdict.error)
    lines.append(f"{_passed(problem, verdict)}/{len(problem.shown)}")
    lines += [f"{text} {why}" for text, why in _failed(problem, verdict)]
    if seat.is_main and seat.helpers and verdict.parts[-1].defined:
        lines.append("wrapper" if verdict.wrapper else "call" if verdict.calls else "no call")
    return "\n".join(lines)


def _helper_work(problem: Problem, seat: Coder) -> str:
    earlier = f" You may call {_and(seat.helpers)}, written by the agents before you." if seat.helpers else ""
    return (
        "Together you write one Python program for the problem below. The last agent writes "
        f"`{problem.entry_point}`; you write the helper function `{seat.name}`, which that may call. "
        "All write at the same time and see nothing of each other, so let it do a part of the work that is "
        f"easy to guess.{earlier}"
    )


def _main_work(problem: Problem, seat: Coder) -> str:
    if not seat.helpers:
        return f"Write the Python function `{problem.entry_point}` for the problem below."
    who = "Another agent writes" if len(seat.helpers) == 1 else "The other agents write"
    return (
        f"Together you write one Python program for the problem below. {who} {_and(seat.helpers)}; you "
        f"write `{problem.entry_point}` and may call that, using what it returns. All write at the same time "
        "and see nothing of each other, so you have to guess its parameters. Do not define it yourself, and "
        f"do a part of the work in `{problem.entry_point}`."
    )


def _skeleton(problem: Problem, seat: Coder) -> str:
    parameters = problem.parameters if seat.is_main else "..."
    return f"def {seat.name}({parameters}):\n    ..."


def _and(names: tuple[str, ...]) -> str:
    quoted = [f"`{name}(...)`" for name in names]
    if len(quoted) == 1:
        return f"the helper {quoted[0]}"
    return f"the helpers {', '.join(quoted[:-1])} and {quoted[-1]}"


def _report(problem: Problem, seat: Coder, verdict: Verdict) -> list[str]:
    lines = []
    for part in verdict.parts:
        if part.name:
            why = f" ({part.error})" if part.error else ""
            lines.append(f"`{part.name}`: {'found' if part.defined else 'missing'}{why}")
    lines.append(f"Syntax: {'OK' if verdict.parses else verdict.error}")
    if verdict.parses and verdict.error:
        lines.append(f"The program does not load: {verdict.error}")
    lines.append(f"Tests: {_passed(problem, verdict)} of {len(problem.shown)} passed")
    lines += [f"failed: {text} -> {why}" for text, why in _failed(problem, verdict)]
    if seat.is_main and seat.helpers and verdict.parts[-1].defined:
        lines.append(_use(seat, verdict))
        if verdict.wrapper:
            lines.append(f"Warning: `{seat.name}` only hands on what a helper does.")
    return lines


def _use(seat: Coder, verdict: Verdict) -> str:
    if not verdict.calls:
        return f"`{seat.name}` calls no helper."
    if verdict.misuses:
        return f"`{seat.name}` wastes what a helper returns: {'; '.join(verdict.misuses[:MAX_MISUSES])}."
    return f"`{seat.name}` calls a helper and uses what it returns."


def _passed(problem: Problem, verdict: Verdict) -> int:
    return sum(verdict.tests[k] == "ok" for k in problem.shown) if verdict.tests else 0


def _failed(problem: Problem, verdict: Verdict) -> list[tuple[str, str]]:
    """[(assert, reason)] of the shown tests that ran and failed."""
    if not verdict.tests:
        return []
    failed = [k for k in problem.shown if verdict.tests[k] not in ("ok", "not_run")]
    return [(problem.tests[k].text, _why(verdict.tests[k], verdict.messages[k])) for k in failed]


def _why(word: str, message: str) -> str:
    if word.startswith("raised:"):
        kind = word.removeprefix("raised:")
        return f"{kind}: {message}" if message else kind
    return {"wrong": "AssertionError", "timeout": "out of time"}.get(word, word)
