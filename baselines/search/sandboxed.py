"""Calls an unreviewed function in the sandbox on the numbers of many turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from baselines.credit.features import CTX, PER_AGENT, TurnRow
from baselines.credit.language import PLACES, Refused
from baselines.credit.written import calls
from baselines.search.turns import Contexts
from collm_envs.sandbox import CallFailed, Sandbox

RANDOM = 64
"""random turns a function is tried on"""
BASES = 3
"""recorded turns in which one feature at a time is moved to the ends of its range"""
CORNERS = 128
"""turns with every feature at an end of its range, or at another value that functions test for"""
COUNTS = {"accepted": 10.0, "rejected": 10.0, "last_accepted": 10.0, "last_rejected": 10.0, "chars": 400.0}
"""features that are counts -> largest value tried, unless more was recorded"""
REWARDS = ("reward", "silent", "last")
"""features that are rewards of a turn"""
Draw = Callable[[Sequence[float]], float]
"""the ends of a range -> a number in it"""
CPU_S = 2.0
"""CPU seconds for all turns together; one turn usually takes a fraction of a millisecond"""
RUNNER = """

def _each(turns):
    out = []
    for arguments in turns:
        try:
            out.append((True, {mode}(*arguments)))
        except Exception as error:
            trace = error.__traceback__.tb_next
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            line = trace.tb_lineno if trace is not None else 0
            out.append((False, f"line {{line}}: {{type(error).__name__}}: {{str(error)[:200]}}"))
            break
    return out
"""


@dataclass(frozen=True)
class Sandboxed:
    """A function's source and the sandbox it runs in: a fresh process for each call of `numbers`."""

    sandbox: Sandbox
    source: str
    mode: str
    agents: int

    def numbers(self, rows: Sequence[TurnRow], rewards: Sequence[float]) -> np.ndarray:
        """The function's values.   -> (B, N); raises Refused unless each turn has N finite ones"""
        turns = [calls(self.mode, row, self.agents, r) for row, r in zip(rows, rewards, strict=True)]
        whose = [(b, i) for b, agent_calls in enumerate(turns) for i in range(len(agent_calls))]
        results = self._run([arguments for agent_calls in turns for arguments in agent_calls])
        out: list[list[Any]] = [[] for _ in turns]
        for (b, i), result in zip(whose, results, strict=False):
            if not (isinstance(result, tuple) and len(result) == 2):
                raise Refused("runs: the sandbox got no list of results")
            fine, value = result
            if fine is not True:
                raise Refused(
                    f"runs: {where(b, rows, i if self.mode == 'baseline' else None)}: {_shown(value)}"
                )
            out[b] += [value] if self.mode == "baseline" else self._list(value, b, rows)
        if len(results) != len(whose):
            raise Refused("runs: it ended before its last turn")
        for b, each in enumerate(out):
            for i, x in enumerate(each):
                if isinstance(x, bool) or not isinstance(x, (int, float)):
                    raise Refused(f"runs: {where(b, rows, i)}: a number is wanted, got {_shown(x)}")
                if not _finite(x):
                    raise Refused(f"finite: {where(b, rows, i)}: {self.mode} is {_shown(x)}")
        return np.array(out, float)

    def _run(self, turns: Sequence[Any]) -> list[Any]:
        program = self.source + RUNNER.format(mode=self.mode)
        try:
            results = self.sandbox.call(program, "_each", list(turns), timeout_s=CPU_S)
        except CallFailed as failed:
            why = {
                "timeout": f"not done after {CPU_S:g} s of CPU time for {len(turns)} calls: an endless loop?",
                "died": "its process died: it ended itself, or its numbers were too large to hand over",
            }.get(failed.status, f"the sandbox ended it: {failed}")
            raise Refused(f"runs: {why}") from None
        return results if isinstance(results, list) else []

    def _list(self, value: Any, b: int, rows: Sequence[TurnRow]) -> list[Any]:
        if isinstance(value, (list, tuple)) and len(value) == self.agents:
            return list(value)
        shape_text = str(len(value)) if isinstance(value, (list, tuple)) else type(value).__name__
        raise Refused(
            f"runs: {where(b, rows)}: shape: a list of {self.agents} numbers is wanted, got {shape_text}"
        )


def random_rows(contexts: Contexts, seed: int) -> list[TurnRow]:
    """Turns that nobody played: every feature on its own, anywhere in its range."""
    rng = Random(f"gates/{seed}")
    draws: list[Draw] = [min, max, *[lambda ends: rng.uniform(min(ends), max(ends))] * (RANDOM - 2)]
    return [_drawn(contexts, draw) for draw in draws]


def edge_rows(contexts: Contexts, read: Mapping[str, Sequence[str]], seed: int) -> list[TurnRow]:
    """Turns at the ends of the ranges: recorded ones with one feature there, then all features at once.

    Only what the function reads is moved.  None for a game, whose fields have no declared range.
    """
    if not _declared(contexts):
        return []
    rng = Random(f"edges/{seed}")
    bases = [contexts.rows[rng.randrange(len(contexts.rows))] for _ in range(BASES)]
    rows = []
    for feature in [(argument, name) for argument, names in read.items() for name in names]:
        ends = _ends(contexts, *feature)
        for base in bases:
            rows += [_moved(base, *feature, ends, lambda _, end=end: end) for end in ends]  # of all agents
            rows += [_moved(base, *feature, ends, rng.choice) for _ in ends]  # each agent's own
    return rows + [_drawn(contexts, rng.choice) for _ in range(CORNERS)]


def _moved(base: TurnRow, argument: str, name: str, ends: Sequence[float], draw: Draw) -> TurnRow:
    """The turn with one feature drawn anew."""
    features = getattr(base, argument)
    moved = {**features, name: _filled(features[name], ends, draw)}
    return _symmetric(base._replace(**{argument: moved}))


def _drawn(contexts: Contexts, draw: Draw) -> TurnRow:
    """A turn whose every number was drawn between its ends."""
    first = contexts.rows[0]
    return _symmetric(
        TurnRow(
            **{
                argument: {
                    name: _filled(value, _ends(contexts, argument, name), draw)
                    for name, value in getattr(first, argument).items()
                }
                for argument in TurnRow._fields
            }
        )
    )


def _symmetric(row: TurnRow) -> TurnRow:
    """Make `pair` features symmetric: those of agents (i, j) equal those of (j, i)."""
    pair = {
        name: tuple(tuple(table[min(i, j)][max(i, j)] for j in range(len(table))) for i in range(len(table)))
        for name, table in row.pair.items()
    }
    return row._replace(pair=pair)


def permuted(row: TurnRow, order: Sequence[int]) -> TurnRow:
    """The turn with the agents in another order."""
    return TurnRow(
        {k: tuple(x[i] for i in order) if k in PER_AGENT else x for k, x in row.ctx.items()},  # type: ignore
        {k: tuple(x[i] for i in order) for k, x in row.feat.items()},
        {k: tuple(tuple(x[i][j] for j in order) for i in order) for k, x in row.pair.items()},
        {k: tuple(x[i] for i in order) for k, x in row.silent.items()},
    )


def _declared(contexts: Contexts) -> bool:
    """Whether these are turns of a text environment, whose features are those of credit/features.py."""
    return set(CTX) <= set(contexts.rows[0].ctx)


def _ends(contexts: Contexts, argument: str, name: str) -> tuple[float, ...]:
    """The ends of a feature's range, and values in between that functions are likely to test for.

    Rewards: those of a turn, and 0; lines and characters: none, some, more than were recorded; other
    metrics and a game's fields have no declared range: what was recorded, and half as much again upwards.
    """
    key = {"silent": "feat"}.get(argument, argument)  # `silent` has the same range as `feat`
    recorded = [np.array([getattr(row, p)[name] for row in contexts.rows], float) for p in {argument, key}]
    low, high = min(float(x.min()) for x in recorded), max(float(x.max()) for x in recorded)
    wider = (low, high) if low == high else (low, high + (high - low) / 2)
    if not _declared(contexts):
        return wider
    if argument == "ctx" and name in ("agents", "turns", "worst", "best"):
        return (low,)
    if argument == "ctx" and name == "turn":
        return tuple(map(float, range(int(contexts.rows[0].ctx["turns"]))))  # type: ignore[arg-type]
    if name in COUNTS:
        return (*map(float, range(6)), max(COUNTS[name], 2 * high))
    if name in REWARDS:
        worst, best = contexts.reward_range
        return tuple({worst, worst / 2, 0.0, best} if worst < 0 < best else {worst, best, 0.0})
    return (min(low, 0.0), *wider)


def _filled(value: Any, ends: Sequence[float], draw: Draw) -> Any:
    """A value of the same shape, every number of it drawn."""
    return tuple(_filled(x, ends, draw) for x in value) if isinstance(value, tuple) else draw(ends)


def only(row: TurnRow, read: Mapping[str, Sequence[str]]) -> TurnRow:
    """The features that the function reads, and the number of agents: all that is sent to the sandbox."""
    keep = {argument: {name: getattr(row, argument)[name] for name in read[argument]} for argument in PLACES}
    return TurnRow(**keep, silent={name: row.silent[name] for name in read["feat"]})


def _shown(value: Any) -> str:
    """A value returned by a function, as a short printable string."""
    try:
        text = str(value)
    except ValueError:  # an int of thousands of digits
        return f"{type(value).__name__} beyond all bounds"
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _finite(x: float) -> bool:
    try:
        return math.isfinite(x)
    except OverflowError:  # an int beyond all floats
        return False


def where(b: int, rows: Sequence[TurnRow], agent: int | None = None) -> str:
    """turn 3, agent 1 (ctx turn=0; feat reward=[0.1, 0.2])"""
    row = rows[b]
    shown = [
        f"{argument} " + ", ".join(f"{name}={_short(x)}" for name, x in getattr(row, argument).items())
        for argument in ("ctx", "feat", "pair")
        if getattr(row, argument)
    ]
    who = "" if agent is None else f", agent {agent}"
    return f"turn {b}{who} ({'; '.join(shown)})" if shown else f"turn {b}{who}"


def _short(x: Any) -> str:
    return f"[{', '.join(map(_short, x))}]" if isinstance(x, tuple) else f"{x:.4g}"
