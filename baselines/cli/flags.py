"""Checks flags against a dataclass's fields before that class (and torch) is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from baselines.runs.algorithms import fields_of, module_of, nearest
from baselines.train.keywords import read_object

NUMBERS = {"int": int, "float": float}
MORE = ("--help", "--paper", "--preset")
"""flags that are not fields"""


def check(algorithm: str, args: Sequence[str]) -> None:
    """Refuse what is wrong with the arguments of `collm train ALGORITHM` before torch is imported.

    Raises ValueError for an unknown algorithm or flag, a number that is none and keywords that are no JSON,
    KeyError and TypeError for an unknown environment and keyword.
    """
    module = module_of(algorithm)
    fields = fields_of(module)
    if fields is None:
        return  # what its settings are is known once it is imported
    check_flags(algorithm, fields, args)
    if not {"--help", "-h"} & set(args) and "env_kwargs" in fields:
        _check_env(dict(given(args)), ours=module.startswith("baselines."))


def check_flags(who: str, fields: Mapping[str, str], args: Sequence[str]) -> None:
    """Raise ValueError for a flag that is none of `fields` (name -> annotation), and for a wrong value."""
    if args and not args[0].startswith("-"):
        raise ValueError(f"settings are flags, as in --seed 1, got {args[0]!r}")
    for flag, value in given(args):
        name = flag.removeprefix("--").replace("-", "_").partition(".")[0]
        if flag in MORE or name in fields or fields.get(name.removeprefix("no_")) == "bool":
            _check_value(flag, fields.get(name, ""), value)
            continue
        known_flags = ["--" + field.replace("_", "-") for field in fields]
        raise ValueError(f"{who} has no setting {flag}{nearest(flag, known_flags)}")


def check_values(fields: Mapping[str, str], args: Sequence[str]) -> None:
    """Raise ValueError for a wrong value of a flag that is one of `fields`; other flags are not looked at."""
    for flag, value in given(args):
        _check_value(flag, fields.get(flag.removeprefix("--").replace("-", "_"), ""), value)


def given(args: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """The flags of a command line with the first value of each, in order."""
    for k, word in enumerate(args):
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
            after = args[k + 1] if k + 1 < len(args) and not args[k + 1].startswith("--") else None
            yield flag.replace("_", "-"), value if equals else after


def without(args: Sequence[str], flag: str) -> list[str]:
    """The arguments without `--flag VALUE` or `--flag=VALUE`."""
    out, skip = [], False
    for arg in args:
        if skip:
            skip = False
        elif arg.replace("_", "-") == f"--{flag}":
            skip = True
        elif not arg.replace("_", "-").startswith(f"--{flag}="):
            out.append(arg)
    return out


def _check_value(flag: str, annotation: str, value: str | None) -> None:
    """Raise ValueError for a number that is none, and for keywords that are no JSON object."""
    kind, value = annotation.removesuffix(" | None"), value or ""
    try:
        if kind in NUMBERS and not (annotation != kind and value == "None"):
            NUMBERS[kind](value)
    except ValueError:
        raise ValueError(f"{flag} must be {_called(kind)}, got {value!r}") from None
    if kind == "Json":
        read_object(flag, value)
    if kind.startswith("Literal["):
        choices = ast.literal_eval(kind.removeprefix("Literal"))
        if value not in choices:
            raise ValueError(f"{flag} must be one of {', '.join(choices)}, got {value!r}")


def _called(kind: str) -> str:
    return "a whole number" if kind == "int" else "a number"


def _check_env(flags: Mapping[str, str | None], ours: bool) -> None:
    """Raise what `make` does for an unknown environment, and for keywords where the algorithm is `ours`.

    An algorithm of the user's may have another default environment and further default keywords.
    """
    if "--env" in flags or (ours and "--env-kwargs" in flags):
        import collm_envs  # only where there is something to check: it takes a moment too

        env = flags.get("--env") or "StrBuild-v0"
        collm_envs.spec(env)
        if ours and not {"--paper", "--preset"} & set(flags):  # which add keywords that these may need
            collm_envs.make(env, **read_object("--env-kwargs", flags.get("--env-kwargs", "{}")))
