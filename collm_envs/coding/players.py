"""Scripted players of CoopHE: the reference solution, the same with plausible bugs, and random code."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from collm_envs.task import Item, Player

RIGHT = 0.4
"""share of the noisy player's texts that are the reference"""
SLIPS = (
    ("<=", "<"),
    (" < ", " <= "),
    (">=", ">"),
    (" > ", " >= "),
    ("==", "!="),
    (" + ", " - "),
    (" - ", " + "),
    (" and ", " or "),
    ("not ", ""),
    ("max(", "min("),
    ("min(", "max("),
    ("+= 1", "+= 2"),
    ("[0]", "[-1]"),
    ("0", "1"),
    ("1", "0"),
    ("True", "False"),
    ("sorted(", "list("),
    ("aux(", "("),
)
"""(code, what a tired programmer writes instead); a noisy text has one of them, at one position"""
VALUES = ("0", "1", "None", "True", "[]", "''", "{}")


def expert(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The reference solution.  Raises KeyError that names the item if its data has none.

    Of several helpers the first does the work, and each of the others calls the one before it.
    """
    names, k = task.names(state.problem), task.agents.index(agent)
    helpers = [name for name in names[:-1] if name]
    if not names[k]:
        return ""
    if k == len(names) - 1:
        code = _main(state.item, helpers)
    elif k == 0:
        code = _renamed(_aux(state.item), names[0])
    else:
        code = f"def {names[k]}(*some):\n    return {names[k - 1]}(*some)\n"
    return _squeezed(code) if task.prompts == "terse" else code


def noisy(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The reference, with one of SLIPS in a share 1 - RIGHT of the texts: for warm starts."""
    code = expert(task, state, agent, rng)
    if rng.random() < RIGHT:
        return code
    head, colon, body = code.partition(":\n")
    slips_here = [(m.start(), old, new) for old, new in SLIPS for m in re.finditer(re.escape(old), body)]
    if not slips_here:
        return code
    at, old, new = rng.choice(slips_here)
    return head + colon + body[:at] + new + body[at + len(old) :]


def chance(task: Any, state: Any, agent: str, rng: Random) -> str:
    """A function that returns one of its parameters or a constant."""
    name = task.names(state.problem)[task.agents.index(agent)]
    if not name:
        return ""
    parameters = state.problem.parameters if name == state.problem.entry_point else "x"
    plain = [p for p in parameters.split(", ") if p.isidentifier()]
    return f"def {name}({', '.join(plain)}):\n    return {rng.choice([*plain, *VALUES])}\n"


PLAYERS: Mapping[str, Player] = {"random": chance, "expert": expert, "noisy": noisy}


def _aux(item: Item) -> str:
    """The reference helper; a helper that nothing calls if the data has the solution in one function."""
    if "canonical_solution" in item.data:
        return "def aux(x):\n    return x\n"
    return _column(item, "aux")


def _main(item: Item, helpers: Sequence[str]) -> str:
    if "canonical_solution" in item.data:
        return item.data["prompt"] + item.data["canonical_solution"]
    if helpers:
        return _renamed(_column(item, "main"), helpers[-1])
    return _alone(_column(item, "aux"), _column(item, "main"))


def _column(item: Item, name: str) -> str:
    if name not in item.data:
        raise KeyError(f"item {item.id!r} has no column {name!r}: the expert needs a reference solution")
    return item.data[name]


def _renamed(code: str, name: str) -> str:
    return re.sub(r"\baux\b", name, code)


def _alone(aux: str, main: str) -> str:
    """Both functions as one, for a single agent: the line rules of v0 would drop the second."""
    head, _, body = main.partition("\n")
    return f"{head}\n    _team = {{}}\n    exec({aux!r}, _team)\n    aux = _team['aux']\n{body}"


def _squeezed(code: str) -> str:
    """The code indented by one blank instead of four."""
    return re.sub(r"^( {4})+", lambda indent: " " * (len(indent[0]) // 4), code, flags=re.MULTILINE).strip()
