"""How much is really in force, found by attack, and what to tell a user whose machine cannot do enough."""

from __future__ import annotations

from typing import Any

from .inside import wire
from .result import InfraError, Level, SandboxUnavailable
from .run import Program, run
from .worker import Worker

LEVELS: tuple[Level, ...] = ("process", "wasm", "seccomp", "no-ns", "full")
"""from weak to strong"""

CANARY = """
import ctypes, os, socket, sys, threading

LIBC = ctypes.CDLL(None, use_errno=True)
SIZE = ctypes.c_size_t

def libc(name, *arguments):
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

def fork():
    if os.fork() == 0:
        os._exit(0)

ATTACKS = {
    "read a file": lambda: os.open("/", os.O_RDONLY),
    "look at a path": lambda: os.stat("/"),
    "write a file": lambda: os.open("canary", os.O_CREAT | os.O_WRONLY),
    "open a socket": lambda: socket.socket(),
    "start a process": fork,
    "start a thread": lambda: threading.Thread(target=int).start(),
    "signal another process": lambda: os.kill(os.getppid(), 0),
    "make memory executable": lambda: libc("mprotect", ctypes.c_void_p(id(LIBC) & ~4095), SIZE(4096), 5),
    "take 1 GB of memory": lambda: bytearray(1 << 30),
    "leave its namespaces": lambda: libc("unshare", 0x10000000),
}

def attack(name):
    try:
        ATTACKS[name]()
    except (OSError, MemoryError, RuntimeError):
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
  - use the WebAssembly backend, which needs no kernel feature: Sandbox(backend="wasm")
  - accept a bare process with limits, which stops accidents but no attack: Sandbox(backend="process")"""


def level_of(features: dict[str, Any]) -> Level:
    """The level that the features of a zygote amount to."""
    if not features["seccomp"]:
        return "process"
    if not features["landlock"]:
        return "seccomp"
    return "full" if features["namespaces"] and features["empty_root"] else "no-ns"


def missing(features: dict[str, Any], require: Level) -> str:
    """What keeps a machine with these features below `require`, in words."""
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
    """Hold a started worker to its features by attacking it.  Returns its level.

    Raises SandboxUnavailable where the level is below `require`, or an attack succeeds that should not.
    """
    level = level_of(worker.features)
    if LEVELS.index(level) < LEVELS.index(require):
        raise unavailable(level, require, missing(worker.features, require))
    if level != "process":
        calls = [[name] for name in ATTACKS]
        held: list[bool] = []

        def judge(i: int, frame: list[str]) -> str:
            held.append(wire.decode(frame, 2) is True)
            return "ok"

        outcome = run(worker, Program(CANARY, "attack"), calls, [0] * len(calls), 2.0, judge)
        # the last attack kills the process that tries it
        open_ = [name for name, ok in zip(ATTACKS, [*held, True], strict=False) if not ok]
        if open_:
            could = f"a test program could {', '.join(open_)}"
            raise SandboxUnavailable(f"level {level!r} does not hold: {could}.\n{REMEDIES}")
        if len(outcome.verdicts) < len(ATTACKS):
            raise InfraError(f"the test program ended with {outcome.status!r}")
    return level


def stops_loops(worker: Worker) -> None:
    """Raises SandboxUnavailable where an endless loop is not ended by its limit."""
    outcome = run(worker, Program("def f():\n    while True: pass\n", "f"), [[]], [0], LOOP_S, _never)
    if outcome.status != "timeout":
        raise SandboxUnavailable(f"an endless loop ended with {outcome.status!r} instead of its time limit")


def _never(i: int, frame: list[str]) -> str:
    raise wire.BadFrame("an endless loop returned")
