"""Measures the isolation level by attacking it, and words the error where a machine gives too little."""

from __future__ import annotations

from typing import Any

from .inside import wire
from .result import InfraError, Level, SandboxUnavailable
from .run import Program, run
from .worker import Worker

LEVELS: tuple[Level, ...] = ("process", "wasm", "seccomp", "no-ns", "full")
"""from weak to strong"""

CANARY = """
import os, threading

def libc(name, *arguments):
    import ctypes
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def fork():
    if os.fork() == 0:
        os._exit(0)

def executable():
    import ctypes
    libc("mprotect", ctypes.c_void_p(id(os) & ~4095), ctypes.c_size_t(4096), 5)

def connect():
    import socket
    socket.socket()

ATTACKS = {
    "read a file": lambda: os.open("/", os.O_RDONLY),
    "look at a path": lambda: os.stat("/"),
    "write a file": lambda: os.open("canary", os.O_CREAT | os.O_WRONLY),
    "open a socket": connect,
    "start a process": fork,
    "start a thread": lambda: threading.Thread(target=int).start(),
    "signal another process": lambda: os.kill(os.getppid(), 0),
    "make memory executable": executable,
    "take 1 GB of memory": lambda: bytearray(1 << 30),
    "leave its namespaces": lambda: libc("unshare", 0x10000000),
}

def attack(name):
    try:
        ATTACKS[name]()
    except (OSError, MemoryError, RuntimeError, ImportError, AttributeError):
        return True
    return False
"""
ATTACKS = (
    "read a file",
    "look at a path",
    "write a file",
    "open a socket",
    "start a process",
    "start a thread",
    "signal another process",
    "make memory executable",
    "take 1 GB of memory",
    "leave its namespaces",
)
LOOP_S = 0.1
REMEDIES = """\
Remedies, best first:
  - run on Linux 4.14 or later: any container or virtual machine will do, without root or daemon
  - use the WebAssembly backend, which needs no kernel feature: pip install "collm[wasm]",
    python -m collm_envs.sandbox.build (once), Sandbox(backend="wasm")
  - accept a bare process with limits, which stops accidents but no attack: Sandbox(backend="process")"""


def level_of(features: dict[str, Any]) -> Level:
    """The isolation level that corresponds to a zygote's features."""
    if features["wasm"]:
        return "wasm"
    if not features["seccomp"]:
        return "process"
    if not features["landlock"]:
        return "seccomp"
    return "full" if features["namespaces"] and features["empty_root"] else "no-ns"


def missing(features: dict[str, Any], require: Level) -> str:
    """Why a machine with these features is below the level `require`, in words."""
    reasons = []
    if not features["seccomp"]:
        reasons.append("seccomp filters cannot be installed")
    if LEVELS.index(require) >= LEVELS.index("no-ns") and not features["landlock"]:
        reasons.append("Landlock does not work")
    if require == "full" and not (features["namespaces"] and features["empty_root"]):
        reasons.append("namespaces with an empty root are not allowed")
    return ", ".join(reasons)


def unavailable(level: Level, require: Level, why: str) -> SandboxUnavailable:
    return SandboxUnavailable(
        f"the sandbox needs isolation level {require!r}, this machine gives {level!r}: {why}.\n{REMEDIES}"
    )


def admit(worker: Worker, require: Level) -> Level:
    """Check by attack that a started worker has the isolation it claims.  Returns its level.

    Raises SandboxUnavailable where the level is below `require`, or an attack succeeds that should not.
    """
    level = level_of(worker.features)
    if LEVELS.index(level) < LEVELS.index(require):
        raise unavailable(level, require, missing(worker.features, require))
    if level != "process":
        succeeded = _successes(worker)
        if succeeded:
            what = f"a test program could {', '.join(succeeded)}"
            raise SandboxUnavailable(f"level {level!r} does not hold: {what}.\n{REMEDIES}")
    return level


def _successes(worker: Worker) -> list[str]:
    """The names of the attacks that succeed; an attack that ends its own program has failed."""
    succeeded: list[str] = []
    untried = list(ATTACKS)

    def judge(i: int, frame: list[str]) -> str:
        if wire.decode(frame, 2) is not True:
            succeeded.append(untried[i])
        return "ok"

    while untried:
        outcome = run(
            worker, Program(CANARY, "attack"), [[name] for name in untried], [0] * len(untried), 2.0, judge
        )
        if not outcome.verdicts:
            raise InfraError(f"the test program ended with {outcome.status!r}: {outcome.error}")
        del untried[: len(outcome.verdicts)]
    return succeeded


def stops_loops(worker: Worker) -> None:
    """Raises SandboxUnavailable if the time limit does not end an endless loop."""
    outcome = run(worker, Program("def f():\n    while True: pass\n", "f"), [[]], [0], LOOP_S, _never)
    if outcome.status != "timeout":
        raise SandboxUnavailable(f"an endless loop ended with {outcome.status!r} instead of its time limit")


def _never(i: int, frame: list[str]) -> str:
    raise wire.BadFrame("an endless loop returned")
