"""What a grading comes to, and how it can fail to come to anything."""

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
    """This machine cannot give the isolation that was required; the message says what is missing."""


class InfraError(SandboxError):
    """The machine failed, not the program.  Mask the sample or try again; never score it."""


class CallFailed(SandboxError):
    """`Sandbox.call` got no value; `status` is the run's status or the call's verdict."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}" if message else status)
        self.status = status


@dataclass(frozen=True)
class LoadError:
    """Why a program did not become a function.  Class names and messages are the program's own claims."""

    part: str
    """the helper's name, or "main" for a text that does not compile, "solution" once main runs"""
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
    """one a test: the message of the exception it raised, as the program claims it; else """ ""
    isolation: Level
    features: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """what was in force around the program"""
    error: LoadError | None = None
    """set where status is load_error or rejected_source"""
    without: Mapping[str, str] | None = None
    """helper -> ok, wrong or timeout: what becomes of the tests that passed once its value is replaced; None
    without the counterfactual, empty where no test passed"""

    @property
    def passed(self) -> int:
        return self.tests.count("ok")

    @property
    def total(self) -> int:
        return len(self.tests)

    @property
    def used(self) -> tuple[str, ...] | None:
        """Names of the helpers whose value mattered to a test; None without the counterfactual."""
        if self.without is None:
            return None
        return tuple(name for name, word in self.without.items() if word != "ok")

    @property
    def aux_used(self) -> bool | None:
        """Whether any helper was of use; None without the counterfactual."""
        return None if self.used is None else bool(self.used)
