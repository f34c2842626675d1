"""CoopHE: agents write a helper and the function that calls it, graded by hidden tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, get_args

from collm_envs.coding import prompts as wording
from collm_envs.coding.judge import SILENCE, Backend, Limits, judge_lines, shared
from collm_envs.coding.players import PLAYERS
from collm_envs.coding.problem import COOPHUMANEVAL, Problem, line_problem, source
from collm_envs.coding.prompts import Coder, Feedback, Prompts
from collm_envs.coding.verdict import Verdict, named_verdicts, published_reward, sorted_lines
from collm_envs.datasets import load
from collm_envs.keywords import Frame, choice, real_number, whole_number
from collm_envs.task import Item, Scene, Score, agent_names


@dataclass(frozen=True)
class State:
    """A problem, the agents' last texts and the verdict on them."""

    item: Item
    problem: Problem
    turn: int = 0
    """turns played"""
    verdict: Verdict | None = None
    """the verdict on the last texts; None at turn 1"""
    score: Score = field(default_factory=lambda: Score(0.0))
    texts: Mapping[str, str] = field(default_factory=dict)
    """{agent: text} of the last turn"""


class CoopHE:
    """Two agents write one Python function together: a helper `aux`, and the main function that may call it.

    **What each agent sees.**  Turn 1: the problem (a signature with a docstring and examples) and its own
    part: the first agent writes `aux`, the last one the main function.  They see nothing of each other.
    Turn 2, `feedback="level"`: whether both functions are there, the syntax of the program, how many of the
    first `sandbox_slice` asserts pass and which fail with what error; main also reads whether it calls
    `aux`, discards the value, or only passes it on.  "plain": only the request to revise.  "none": only the
    number of the turn.  `original_prompt` and `previous_response` repeat the first prompt and the agent's
    last text; `self_contained=True` turns both on.  `sandbox_slice=-n` takes the last n asserts, 0 all.

    **What each agent writes.**  One Python function.  Fences and prose are removed by line rules: a
    function is its `def` line and the deeper lines after it.  Code outside functions is dropped, and so
    is the remainder of a function after a nested one; imports belong inside.  The program is the prompt's
    imports, then `aux`, then main.  `num_agents=1`: main alone.  More than two: the first writes `aux`, the
    last main, the texts between are not read.

    **Terse prompts.**  `prompts="terse"`: a line `1/2 aux`, or `2/2 name uses aux`, then the problem's
    lines without quotation marks; feedback as bare lines: `aux ok`, `1/1`, `no call`.

    **Reward**, shared, each turn; range 0 to 4 (2.1 for one agent):

        R = 0.4 [aux defined] + 0.6 [main defined]      the lines below only if main is defined
          + 0.5 [the program parses]                    the lines below only if it parses
          + passed/total
          + 0.5 [calls aux] + 1.0 [and is no thin wrapper] - 0.5 [and ignores aux]    if passed > 0

    Defined: extracted, and contains `return`.  The last line reads the text of main: `aux(` in a comment
    counts.  A thin wrapper is one returned expression with aux, or `v = aux(...)` and `return v`.  Example:
    both defined, 3 of 5 asserts pass, main calls aux in a loop: 0.4 + 0.6 + 0.5 + 0.6 + 0.5 + 1.0 = 3.6.
    `reward_scale` and `reward_shift` change what is handed out.  Metrics: `pass_rate`, `fully_passed`,
    `call_rate` (whether main calls aux), `timeouts` and the parts.

    **Grading.**  Programs run in a sandbox (`sandbox="auto"`; "wasm", "process": see collm_envs.sandbox),
    each with `timeout_s` CPU seconds for all its asserts; the first time-out is tried again with twice the
    limit, and counts only if that runs out too.  After a time-out the program is started again for the
    asserts that follow, until `max_timeouts` asserts have timed out.
    `Score.verdicts` holds every assert's verdict; "timeout" is the only one a slower machine may change.

    **Keywords.**
    - `feedback`: what later prompts say: "level", "plain" or "none", see above
    - `sandbox_slice`: asserts that feedback reports: the first n, the last n for -n, 0 for all
    - `timeout_s`: CPU seconds of a program for all its asserts
    - `max_timeouts`: time-outs after which the remaining asserts are not run
    - `sandbox`: how programs are confined: "auto", "process" or "wasm" (`collm_envs.sandbox`)

    **End.**  After `max_turns` turns, or after a turn with a reward above `stop_above` (off by default).

    **Data and licence.**  Built in: 96 problems to train on and 32 to evaluate on, ours (MIT), each with a
    reference helper and main function.  `data="hub"`: OpenMLRL/CoopHumanEval (its card says Apache-2.0),
    "hub:openai/openai_humaneval" (MIT), "hub:OpenMLRL/MBPP" (MBPP sanitized, CC BY 4.0), with the published
    slices; only HumanEval's revision is known and pinned, `hub_revision` pins the others.  A path: your
    JSONL.  `items=[{"task_id": ..., "prompt": ..., "test": ..., "entry_point": ...}]`: your own rows.

    **Source and where we differ.**  arXiv:2601.21972 and OpenMLRL/LLM_Collab_Code_Generation at e5b008e.
    There the program runs in the trainer's own process and grades itself; here it cannot pass by defining
    `__eq__`, reading the expected values or ending the process, and a hang costs `timeout_s`, not 10 s an
    assert.  The prompts are ours; later ones are not wrapped twice.  There rewards are shifted by -4
    (`reward_shift=-4.0`) and episodes stop above -0.2 (`stop_above=-0.2`).

    **Versions.**  v0: the published task.  v1: without the accidents of its implementation.
    """

    revision = 1
    parallel_play = True
    players = PLAYERS
    best = 4.0
    best_alone = 2.1
    read: Callable[[Mapping[str, Any], int], Problem] = staticmethod(line_problem)

    def __init__(
        self,
        *,
        items: Any = None,
        data: str = "builtin",
        hub_revision: str | None = None,
        limit: int | None = None,
        num_agents: int = 2,
        feedback: Feedback = "level",
        sandbox_slice: int = 1,
        prompts: Prompts = "full",
        frame: Frame = Frame(max_turns=2),
        timeout_s: float = 1.0,
        max_timeouts: int = 3,
        sandbox: Backend = "auto",
    ):
        self.agents = agent_names(num_agents)
        self.feedback: Feedback = choice("feedback", feedback, get_args(Feedback))
        self.prompts: Prompts = choice("prompts", prompts, get_args(Prompts))
        self.backend: Backend = choice("sandbox", sandbox, get_args(Backend))
        self.slice = whole_number("sandbox_slice", sandbox_slice)
        self.limits = Limits(
            real_number("timeout_s", timeout_s), whole_number("max_timeouts", max_timeouts, 1)
        )
        if self.limits.timeout_s <= 0:
            raise ValueError(f"timeout_s: need more than 0, got {timeout_s!r}")
        self.frame, self.max_turns = frame, frame.max_turns
        self.reward_range = frame.reward_range(0.0, self.best if num_agents > 1 else self.best_alone)
        where = source(data, hub_revision)
        self._items = load(where, items=items, data=data, hub_revision=hub_revision, limit=limit)
        for item in (item for split_items in self._items.values() for item in split_items):
            self._problem(item)

    def items(self, split: str) -> Sequence[Item]:
        """The problems of a split: prompt, test, entry_point and, where known, aux, main and level."""
        return self._items[split]

    def start(self, item: Item, seed: int) -> State:
        """The problem at turn 1; nothing in this task is random, so `seed` is not used."""
        return State(item, self._problem(item))

    def prompt(self, state: State, agent: str) -> str:
        """The task at turn 1, the feedback at later turns."""
        seat = self._seat(state.problem, self.agents.index(agent))
        terse = self.prompts == "terse"
        opening = (wording.terse_opening if terse else wording.opening)(state.problem, seat)
        if state.verdict is None:
            return opening
        heading = f"{state.turn + 1}" if terse else f"Turn {state.turn + 1} of {self.max_turns}."
        turn_message = wording.terse_turn if terse else wording.turn
        message = turn_message(heading, state.problem, seat, self.feedback, state.verdict)
        return self.frame.follow_up(message, opening, state.texts.get(agent, ""))

    def play(self, state: State, texts: Mapping[str, str]) -> State:
        """The state after the texts are made into a program and graded.

        Raises SandboxError if the machine fails.
        """
        ordered = [texts[agent] for agent in self.agents]
        verdict = self._judge(state, ordered)
        parts, metrics = self._earned(state.problem, verdict)
        reward, entered = self.frame.reward(parts)
        metrics["raw_reward"] = sum(parts.values())
        lines = [sorted_lines(text, part) for text, part in zip(ordered, verdict.parts, strict=True)]
        score = Score(
            reward,
            entered,
            metrics,
            accepted=dict(zip(self.agents, (used for used, _ in lines), strict=True)),
            rejected=dict(zip(self.agents, (lost for _, lost in lines), strict=True)),
            verdicts=named_verdicts(state.problem, verdict),
        )
        return replace(state, turn=state.turn + 1, verdict=verdict, score=score, texts=dict(texts))

    def score(self, state: State) -> Score:
        """The score of the last turn."""
        return state.score

    def done(self, state: State) -> bool:
        """True after the last turn, or after a reward above `stop_above`."""
        return state.turn > 0 and self.frame.over(state.turn, state.score.reward)

    def default_text(self, state: State, agent: str) -> str:
        """Text of a silent agent: its function, returning None, so that the others' program still runs."""
        name = self.names(state.problem)[self.agents.index(agent)]
        return SILENCE.format(name=name) if name else ""

    def scene(self, state: State) -> Scene:
        """The problem, each agent's part of the program, and the verdict on each test."""
        texts = {"problem": state.problem.prompt}
        if state.verdict is None:
            return Scene(texts=texts, title=state.problem.entry_point)
        for agent, part in zip(self.agents, state.verdict.parts, strict=True):
            if part.name:
                texts[f"{part.name} ({agent})"] = part.code or state.texts[agent]
        tests = [f"{word:8} {name}" for name, word in state.score.verdicts.items()]
        texts["tests"] = "\n".join([state.verdict.error, *tests]).strip()
        return Scene(texts=texts, title=state.problem.entry_point)

    def names(self, problem: Problem) -> tuple[str, ...]:
        """The function each agent writes; "" for those whose texts are not read."""
        n = len(self.agents)
        return ("aux", *[""] * (n - 2), problem.entry_point) if n > 1 else (problem.entry_point,)

    def _problem(self, item: Item) -> Problem:
        row = tuple(item.data[column] for column in COOPHUMANEVAL.columns)
        try:
            return _parsed(self.read, self.slice, row)
        except ValueError as error:
            raise ValueError(f"CoopHE: item {item.id!r}: {error}") from error

    def _seat(self, problem: Problem, k: int) -> Coder:
        names = self.names(problem)
        is_main = k == len(names) - 1
        helpers = ("aux",) if is_main and k else ()
        return Coder(k + 1, len(names), names[k], helpers, is_main, modules=False)

    def _judge(self, state: State, texts: Sequence[str]) -> Verdict:
        reasons = self.feedback == "level" and state.turn + 1 < self.max_turns
        return judge_lines(shared(self.backend), state.problem, self.limits, texts, reasons)

    def _earned(self, problem: Problem, verdict: Verdict) -> tuple[dict[str, float], dict[str, float]]:
        return published_reward(verdict, len(problem.tests))


@lru_cache(maxsize=4096)
def _parsed(
    read: Callable[[Mapping[str, Any], int], Problem], slice_of: int, row: tuple[str, ...]
) -> Problem:
    """A row's problem, parsed once in a process: that takes 3 ms, and every `make` goes through all rows."""
    return read(dict(zip(COOPHUMANEVAL.columns, row, strict=True)), slice_of)
