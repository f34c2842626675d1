"""Names of algorithms and of their settings without importing them: a typo costs no seconds of torch."""

from __future__ import annotations

import ast
import difflib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ALGORITHMS = {
    "cory": "baselines.cory",
    "maac": "baselines.maac",
    "magrpo": "baselines.magrpo",
    "reinforce": "baselines.reinforce",
}
"""name on the command line -> module with Config, team(config, task) and train(config, task, team)"""
MIXING = "mixing"
"""`collm train mixing`: value decomposition, on games"""
NUMBERS = {"int": int, "float": float}
MORE = ("--help", "--paper")
"""flags that are no settings"""


def nearest(name: str, known: Sequence[str]) -> str:
    """The end of an error message: "; did you mean 'x'?", or all the known names."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def check_name(algorithm: str) -> None:
    """Raise ValueError, with the nearest known one, for a name that is no algorithm's."""
    if algorithm not in ALGORITHMS:
        names = [*ALGORITHMS, MIXING]
        near = nearest(algorithm, names) if difflib.get_close_matches(algorithm, names, n=1) else ""
        known = f"one of {', '.join(ALGORITHMS)}, or {MIXING} for games"
        raise ValueError(f"algorithm must be {known}, got {algorithm!r}{near}")


def check(algorithm: str, args: Sequence[str]) -> None:
    """Refuse what is wrong with the arguments of `collm train ALGORITHM` before torch is imported.

    Raises ValueError for an unknown algorithm or flag, a number that is none and keywords that are no JSON,
    KeyError and TypeError for an unknown environment and keyword.
    """
    if algorithm != MIXING:
        check_name(algorithm)
    fields = fields_of(ALGORITHMS.get(algorithm, f"baselines.{MIXING}"), "Config")
    check_flags(algorithm, fields, args)
    if not {"--help", "-h"} & set(args) and "env_kwargs" in fields:
        _check_env(dict(given(args)))


def check_flags(who: str, fields: Mapping[str, str], args: Sequence[str]) -> None:
    """Raise ValueError for a flag that is none of `fields` (name -> annotation), and for a wrong value."""
    if args and not args[0].startswith("-"):
        raise ValueError(f"settings are flags, as in --seed 1, got {args[0]!r}")
    for flag, value in given(args):
        name = flag.removeprefix("--").replace("-", "_")
        if flag in MORE or name in fields or fields.get(name.removeprefix("no_")) == "bool":
            _check_value(flag, fields.get(name, ""), value)
            continue
        known = ["--" + field.replace("_", "-") for field in fields]
        raise ValueError(f"{who} has no setting {flag}{nearest(flag, known)}")


def given(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The flags of a command line with the first value of each, in order."""
    for k, word in enumerate(args):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            after = args[k + 1] if k + 1 < len(args) and not args[k + 1].startswith("--") else None
            yield flag.replace("_", "-"), value if equals else after


def fields_of(module: str, name: str) -> dict[str, str]:
    """Field -> annotation of a dataclass and of those it inherits from, read from the source."""
    spec = importlib.util.find_spec(module)  # imports the package around the module, not the module
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    (found,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    imported = {
        alias.name: node.module or ""
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    fields: dict[str, str] = {}
    for base in found.bases:
        if isinstance(base, ast.Name):
            fields |= fields_of(imported.get(base.id, module), base.id)
    for node in found.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields[node.target.id] = ast.unparse(node.annotation)
    return fields


def _check_value(flag: str, annotation: str, value: str | None) -> None:
    """Raise ValueError for a number that is none, and for keywords that are no JSON object."""
    kind, value = annotation.removesuffix(" | None"), value or ""
    try:
        if kind in NUMBERS and not (annotation != kind and value == "None"):
            NUMBERS[kind](value)
    except ValueError:
        raise ValueError(f"{flag} must be {_called(kind)}, got {value!r}") from None
    if kind == "Json":
        _object(flag, value)
    if kind.startswith("Literal["):
        choices = ast.literal_eval(kind.removeprefix("Literal"))
        if value not in choices:
            raise ValueError(f"{flag} must be one of {', '.join(choices)}, got {value!r}")


def _called(kind: str) -> str:
    return "a whole number" if kind == "int" else "a number"


def _object(flag: str, value: str | None) -> Mapping[str, Any]:
    try:
        read = json.loads(value or "")
    except json.JSONDecodeError as error:
        raise ValueError(f"{flag} must be a JSON object, got {value!r} ({error})") from None
    if not isinstance(read, dict):
        raise ValueError(f"{flag} must be a JSON object, got {value!r}")
    return read


def _check_env(flags: Mapping[str, str | None]) -> None:
    """Raise what `make` does for an unknown environment and for its keywords."""
    if "--env" in flags or "--env-kwargs" in flags:
        import collm_envs  # only where there is something to check: it takes a moment too

        env, kwargs = (
            flags.get("--env") or "StrBuild-v0",
            _object("--env-kwargs", flags.get("--env-kwargs", "{}")),
        )
        collm_envs.spec(env)
        if "--paper" not in flags:  # it adds keywords, without which these may make no sense
            collm_envs.make(env, **kwargs)
