"""Scripted players of CoopHE: the reference, the reference with plausible bugs, and chance."""

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
"""what a tired programmer writes instead; applied at one place"""
VALUES = ("0", "1", "None", "True", "[]", "''", "{}")


def expert(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The reference solution.  Raises KeyError that names the item where its data has none.

    Of several helpers the first does the work and the others hand it on.
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
    """The reference, more often than not with one slip: for warm starts."""
    code = expert(task, state, agent, rng)
    if rng.random() < RIGHT:
        return code
    head, colon, body = code.partition(":\n")
    places = [(m.start(), old, new) for old, new in SLIPS for m in re.finditer(re.escape(old), body)]
    if not places:
        return code
    at, old, new = rng.choice(places)
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
    """The reference helper; where there is a whole solution instead, one that nobody needs."""
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
    """One function out of two, for a lone agent: the line rules of v0 would drop the second."""
    head, _, body = main.partition("\n")
    return f"{head}\n    _team = {{}}\n    exec({aux!r}, _team)\n    aux = _team['aux']\n{body}"


def _squeezed(code: str) -> str:
    """Indented by one blank instead of four."""
    return re.sub(r"^( {4})+", lambda found: " " * (len(found[0]) // 4), code, flags=re.MULTILINE).strip()
