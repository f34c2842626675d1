"""Scripted players of CoopHE: the reference, the reference with plausible bugs, and chance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from collm_envs.task import Player

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
    """The reference solution.  Raises KeyError that names the item where its data has none."""
    data, names = state.item.data, task.names(state.problem)
    k = task.agents.index(agent)
    if not names[k]:
        return ""
    *helpers, _ = [name for name in names if name]
    if k < len(names) - 1:
        earlier = helpers[k - 1] if k else ""
        code = f"def {names[k]}(*some):\n    return {earlier}(*some)\n" if k else _column(state.item, "aux")
        code = re.sub(r"\baux\b", names[k], code) if not k else code
    elif "main" not in data and "canonical_solution" in data:
        code = data["prompt"] + data["canonical_solution"]
    elif helpers:
        code = re.sub(r"\baux\b", helpers[-1], _column(state.item, "main"))
    else:
        code = _alone(_column(state.item, "aux"), _column(state.item, "main"))
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


def _column(item: Any, name: str) -> str:
    if name not in item.data:
        raise KeyError(f"item {item.id!r} has no column {name!r}: the expert needs a reference solution")
    return item.data[name]


def _alone(aux: str, main: str) -> str:
    """One function out of two, for a lone agent: the line rules of v0 would drop the second."""
    head, _, body = main.partition("\n")
    return f"{head}\n    _team = {{}}\n    exec({aux!r}, _team)\n    aux = _team['aux']\n{body}"


def _squeezed(code: str) -> str:
    """Indented by one blank instead of four."""
    return re.sub(r"^( {4})+", lambda found: " " * (len(found[0]) // 4), code, flags=re.MULTILINE).strip()
