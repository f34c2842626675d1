"""What a text is, as plain facts; found in a throw-away process by `inside.facts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .result import LoadError
from .run import clean


@dataclass(frozen=True)
class Function:
    """A function at the top level of a text."""

    name: str
    line: int
    """1-based, of its `def`"""
    end_line: int
    parameters: tuple[str, ...]
    returns: bool
    """whether a `return` with a value is in it or in anything nested in it"""
    calls: tuple[str, ...]
    """plain names called anywhere in its body, sorted"""


@dataclass(frozen=True)
class Facts:
    """What a text is.  Where it does not parse, `error` is set and the rest is empty."""

    error: LoadError | None = None
    functions: tuple[Function, ...] = ()
    imports: tuple[str, ...] = ()
    """top-level import statements, normalised"""
    classes: tuple[str, ...] = ()

    @property
    def parses(self) -> bool:
        return self.error is None

    def function(self, name: str) -> Function | None:
        """The last top-level function of that name: the one that would be in force."""
        return next((f for f in reversed(self.functions) if f.name == name), None)


def read_facts(found: dict[str, Any] | None, verdict: str) -> Facts:
    """The facts `inside.facts` found, or the way in which parsing failed."""
    if found is None:
        return Facts(LoadError("text", verdict, "the parser did not survive it", 0, 0))
    if "error" in found:
        kind, message, line, column = found["error"]
        return Facts(LoadError("text", kind, clean(message), line, column))
    functions = tuple(
        Function(**{**f, "parameters": tuple(f["parameters"]), "calls": tuple(f["calls"])})
        for f in found["functions"]
    )
    return Facts(None, functions, tuple(found["imports"]), tuple(found["classes"]))
