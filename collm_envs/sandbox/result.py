"""The result of a grading, and the errors raised in place of a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "rejected_source", "load_error", "timeout", "limit", "died", "protocol_error"]
Level = Literal["full", "no-ns", "seccomp", "wasm", "process"]


class SandboxError(Exception):
    """Any failure of the sandbox.

    SandboxError
    ├── SandboxUnavailable   this machine cannot give the isolation that was required
    ├── InfraError           a grading failed for reasons of the machine: never a score
    └── CallFailed           a trusted call in a throw-away process did not return a value
    """


class SandboxUnavailable(SandboxError):
    """This machine cannot give the required isolation; the message says what is missing."""


class InfraError(SandboxError):
    """The machine failed, not the program.  Mask the sample or try again; never score it."""


class CallFailed(SandboxError):
    """`Sandbox.call` got no value; `status` is the status of the run or the verdict on the call."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}" if message else status)
        self.status = status


@dataclass(frozen=True)
class LoadError:
    """Why a program could not be loaded.

    Class names and messages come from the program: do not trust them.
    """

    part: str
    """the helper's name; "main" if the main text does not compile, "solution" if it fails while it runs"""
    kind: str
    """class name: SyntaxError, NameError, ..."""
    message: str
    line: int
    """1-based, 0 where unknown; `column` likewise"""
    column: int


@dataclass(frozen=True)
class Result:
    """The verdicts on one program."""

    status: Status
    tests: tuple[str, ...]
    """one verdict a test: ok, wrong, raised:<class>, timeout, died, unserialisable or not_run"""
    messages: tuple[str, ...]
    """one a test: the exception's message as the program reports it, empty if none was raised"""
    isolation: Level
    features: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """which layers of isolation were in force"""
    error: LoadError | None = None
    """set where status is load_error or rejected_source"""
    without: Mapping[str, str] | None = None
    """{helper: ok, wrong or timeout}: the verdict on the passed tests once the helper's value is replaced;
    None without `counterfactual`, empty if no test passed"""

    @property
    def passed(self) -> int:
        """How many tests are "ok"."""
        return self.tests.count("ok")

    @property
    def total(self) -> int:
        """How many tests there are."""
        return len(self.tests)

    @property
    def used(self) -> tuple[str, ...] | None:
        """Names of the helpers whose replacement makes a passed test fail; None without `counterfactual`."""
        if self.without is None:
            return None
        return tuple(name for name, word in self.without.items() if word != "ok")

    @property
    def aux_used(self) -> bool | None:
        """Whether any helper is used; None without `counterfactual`."""
        return None if self.used is None else bool(self.used)
