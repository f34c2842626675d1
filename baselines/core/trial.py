"""A function that nobody has reviewed, tried in the sandbox on the numbers of many turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from baselines.core.contexts import Contexts
from baselines.core.features import PER_AGENT, Row
from baselines.core.language import PLACES, Refused
from baselines.core.written import calls
from collm_envs.sandbox import CallFailed, Sandbox

RANDOM = 64
"""random turns a function is tried on"""
CPU_S = 2.0
"""for all turns together; a fraction of a millisecond is usual for one"""
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
class Trial:
    """A source and where it runs: a process that may compute and nothing else, begun anew for each call."""

    sandbox: Sandbox
    source: str
    mode: str
    agents: int

    def numbers(self, rows: Sequence[Row], rewards: Sequence[float]) -> np.ndarray:
        """What it says of each turn, (B, N); Refused, with the turn, unless it is N finite numbers each."""
        turns = [calls(self.mode, row, self.agents, r) for row, r in zip(rows, rewards, strict=True)]
        whose = [(b, i) for b, some in enumerate(turns) for i in range(len(some))]
        got = self._run([one for some in turns for one in some])
        out: list[list[Any]] = [[] for _ in turns]
        for (b, i), result in zip(whose, got, strict=False):
            if not (isinstance(result, tuple) and len(result) == 2):
                raise Refused("runs: the sandbox got no list of results")
            fine, said = result
            if fine is not True:
                raise Refused(
                    f"runs: {where(b, rows, i if self.mode == 'baseline' else None)}: {_shown(said)}"
                )
            out[b] += [said] if self.mode == "baseline" else self._list(said, b, rows)
        if len(got) != len(whose):
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
            got = self.sandbox.call(program, "_each", list(turns), timeout_s=CPU_S)
        except CallFailed as failed:
            why = {
                "timeout": f"not done after {CPU_S:g} s of CPU time for {len(turns)} calls: an endless loop?",
                "died": "its process died: it ended itself, or its numbers were too large to hand over",
            }.get(failed.status, f"the sandbox ended it: {failed}")
            raise Refused(f"runs: {why}") from None
        return got if isinstance(got, list) else []

    def _list(self, value: Any, b: int, rows: Sequence[Row]) -> list[Any]:
        if isinstance(value, (list, tuple)) and len(value) == self.agents:
            return list(value)
        got = str(len(value)) if isinstance(value, (list, tuple)) else type(value).__name__
        raise Refused(f"runs: {where(b, rows)}: shape: a list of {self.agents} numbers is wanted, got {got}")


def random_rows(contexts: Contexts, seed: int) -> list[Row]:
    """Turns that nobody played: every feature on its own, within and a little beyond what was recorded."""
    rng = Random(f"gates/{seed}")
    parts = {place: _ranges(contexts, place) for place in ("ctx", "feat", "pair", "silent")}
    draws: list[Callable[[float, float], float]] = [lambda low, high: low, lambda low, high: high]
    draws += [lambda low, high: rng.uniform(low, high)] * (RANDOM - 2)
    first = contexts.rows[0]
    rows = []
    for draw in draws:
        made = {
            place: {
                name: _like(value, *parts[place][name], draw) for name, value in getattr(first, place).items()
            }
            for place in parts
        }
        for name, table in made["pair"].items():  # what two agents do together has no order
            n = len(table)
            made["pair"][name] = tuple(tuple(table[min(i, j)][max(i, j)] for j in range(n)) for i in range(n))
        rows.append(Row(**made))
    return rows


def permuted(row: Row, order: Sequence[int]) -> Row:
    """The turn with the agents in another order."""
    return Row(
        {k: tuple(x[i] for i in order) if k in PER_AGENT else x for k, x in row.ctx.items()},  # type: ignore
        {k: tuple(x[i] for i in order) for k, x in row.feat.items()},
        {k: tuple(tuple(x[i][j] for j in order) for i in order) for k, x in row.pair.items()},
        {k: tuple(x[i] for i in order) for k, x in row.silent.items()},
    )


def _ranges(contexts: Contexts, place: str) -> dict[str, tuple[float, float]]:
    """name -> (low, high): what was recorded, and half as much again upwards where it varies."""
    found = {}
    for name in getattr(contexts.rows[0], place):
        values = np.array([getattr(row, place)[name] for row in contexts.rows], float)
        low, high = float(values.min()), float(values.max())
        found[name] = (low, high) if "reward" in name or low == high else (low, high + (high - low) / 2)
    return found


def _like(value: Any, low: float, high: float, draw: Callable[[float, float], float]) -> Any:
    if isinstance(value, tuple):
        return tuple(_like(x, low, high, draw) for x in value)
    return draw(low, high)


def only(row: Row, read: Mapping[str, Sequence[str]]) -> Row:
    """Just what the function reads: nothing else need travel.  The number of agents always does."""
    keep = {place: {name: getattr(row, place)[name] for name in read[place]} for place in PLACES}
    return Row(**keep, silent={name: row.silent[name] for name in read["feat"]})


def _shown(value: Any) -> str:
    """What a function returned or claims, short and safe to print."""
    try:
        said = str(value)
    except ValueError:  # an int of thousands of digits
        return f"{type(value).__name__} beyond all bounds"
    return "".join(c if c.isprintable() else "?" for c in said[:200])


def _finite(x: float) -> bool:
    try:
        return math.isfinite(x)
    except OverflowError:  # an int beyond all floats
        return False


def where(b: int, rows: Sequence[Row], agent: int | None = None) -> str:
    """turn 3, agent 1 (ctx turn=0; feat reward=[0.1, 0.2])"""
    row = rows[b]
    shown = [
        f"{place} " + ", ".join(f"{name}={_short(x)}" for name, x in getattr(row, place).items())
        for place in ("ctx", "feat", "pair")
        if getattr(row, place)
    ]
    who = "" if agent is None else f", agent {agent}"
    return f"turn {b}{who} ({'; '.join(shown)})" if shown else f"turn {b}{who}"


def _short(x: Any) -> str:
    return f"[{', '.join(map(_short, x))}]" if isinstance(x, tuple) else f"{x:.4g}"
