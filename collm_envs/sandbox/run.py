"""One program in one child, from source to the frames it answered with.  Knows nothing of what is right."""

from __future__ import annotations

import marshal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .inside import wire
from .result import InfraError, LoadError, Status
from .worker import MAX_FRAME, START_S, Channel, Ending, Hung, TooLarge, Worker

MAX_SOURCE = 64 << 10
"""bytes of one text"""
WALL = 3.0
"""wall-clock seconds allowed per CPU second"""
BUSY = 0.05
MAX_EXTENSIONS = 3
"""a program that still used this share of a processor gets the wall time again, so often: the machine is
overloaded, and its CPU limit will end it anyway; one that sleeps does not"""
SIGKILL = 9
SPENT = 0.9
"""a program that ends after this share of its CPU time ran out of it: clocks differ a little"""
MAX_TEXT = 200


class KilledFromOutside(InfraError):
    """A child got a SIGKILL that neither we nor its limits sent: the out-of-memory killer, an operator."""


def job_frame(job: dict[str, Any]) -> bytes:
    """A job of trusted plain data, as the zygote's children read it: same interpreter, so marshal will do."""
    body = marshal.dumps(job)
    return wire.HEADER.pack(len(body)) + body


@dataclass(frozen=True)
class Program:
    """Texts that nobody has read, and the names they are to define."""

    main: str
    entry: str
    helpers: tuple[tuple[str, str], ...] = ()
    preamble: str = ""
    """trusted; its names stand in every text"""
    stub: tuple[str, str] | None = None
    """a helper that is replaced, and the kind of stub: see `inside.stubs`"""

    def frame(self, calls: Sequence[Sequence[Any]], serve: bool, cpu_s: float) -> bytes:
        """The job as the child reads it: no expected value, no test."""
        job = {
            "preamble": self.preamble,
            "helpers": self.helpers,
            "stub": self.stub,
            "main": self.main,
            "entry": self.entry,
            "calls": calls,
            "serve": serve,
            "cpu_s": cpu_s,
        }
        return job_frame(job)

    def unfit(self) -> LoadError | None:
        """What forbids these texts before anybody parses them: size, NUL, lone surrogates."""
        for part, text in (*self.helpers, ("main", self.main)):
            if "\0" in text:
                return LoadError(part, "ValueError", "source holds a NUL character", 0, 0)
            try:
                size = len(text.encode()) if len(text) <= MAX_SOURCE else len(text)
            except UnicodeEncodeError:
                return LoadError(part, "UnicodeEncodeError", "source holds a lone surrogate", 0, 0)
            if size > MAX_SOURCE:
                return LoadError(part, "ValueError", f"source is longer than {MAX_SOURCE} bytes", 0, 0)
        return None


@dataclass
class Run:
    """How far one child came."""

    status: Status
    verdicts: list[tuple[str, str]] = field(default_factory=list)
    """(verdict, message) of the calls up to the one that stopped the run, if one did"""
    error: LoadError | None = None
    cpu_s: float = 0.0


def clean(claim: str, most: int = MAX_TEXT) -> str:
    """A program's word as text that is safe to print: cut, without control characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in claim[:most])


def number(claim: str) -> int:
    """A program's word as a line or column, 0 where it is none."""
    return int(claim) if claim.isascii() and claim.isdigit() and len(claim) < 8 else 0


class Child:
    """A process forked for one job, from `ready` to its end; leaving the context, it is gone.

    An exception leaves the worker in doubt: whoever owns the worker must then kill it.
    """

    def __init__(
        self, worker: Worker, command: bytes, frame: bytes, cpu_s: float, *more: socket.socket
    ) -> None:
        """Fork, send the job, see it locked down: nothing untrusted has run yet.  Raises InfraError."""
        self.worker, self.cpu_s = worker, cpu_s
        self._ending: Ending | None = None
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        first: list[str] | None = None
        try:
            worker.begin(command, theirs, *more)
            theirs.close()
            limit = time.monotonic() + START_S
            self.channel.send(frame, limit)
            first = self.channel.read(limit)
            if first != ["ready"]:
                raise InfraError(f"a child could not lock itself down: {first[1] if first else 'it died'}")
        except (Hung, OSError, wire.BadFrame) as error:
            raise InfraError(f"a child did not come up: {type(error).__name__} {error}") from error
        finally:
            theirs.close()
            if first != ["ready"]:
                ours.close()
        self._wall_s = WALL * cpu_s
        self.deadline = time.monotonic() + self._wall_s
        self._extensions, self._cpu_seen = 0, 0.0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.channel.sock.close()
        if kind is None:
            self.end()

    def read(self, most: int = MAX_FRAME) -> list[str] | None:
        """The next frame, None where it hung up.  Raises Hung at its limit of wall time, or BadFrame."""
        while True:
            try:
                return self.channel.read(self.deadline, most)
            except Hung:
                if not self.starved():
                    raise

    def starved(self) -> bool:
        """Whether it ran out of wall time while computing; then it has more of it."""
        if self._extensions == MAX_EXTENSIONS:
            return False
        used = self.worker.cpu_so_far()
        busy = used - self._cpu_seen >= BUSY * self._wall_s
        if busy:
            self._extensions += 1
            self._cpu_seen = used
            self.deadline += self._wall_s
        return busy

    def end(self, grace: bool = False) -> Ending:
        """Kill it if need be, and tell how it went."""
        if self._ending is None:
            self._ending = self.worker.end(grace)
        return self._ending

    def why_gone(self) -> Status:
        """Why it hung up early: out of time, or died.  Raises KilledFromOutside."""
        ending = self.end(grace=True)
        if ending.cpu_s >= SPENT * self.cpu_s:
            return "timeout"
        killed = ending.by_itself and ending.status & 0x7F == SIGKILL
        if killed and ending.cpu_s < SPENT / 2 * self.cpu_s and self.worker.features["seccomp"]:
            raise KilledFromOutside("a program's process was killed from outside")  # it cannot do so itself
        return "died"

    def load(self) -> Run | None:
        """Wait for the program to be defined.  None where it is, else the run that ends here."""
        try:
            frame = self.read()
        except Hung:
            return Run("timeout")
        except wire.BadFrame:
            return Run("protocol_error")
        match frame:
            case None:
                return Run(self.why_gone())
            case ["loaded"]:
                return None
            case ["load_error", part, kind, message, line, column]:
                error = LoadError(clean(part), clean(kind, 60), clean(message), number(line), number(column))
                return Run("load_error", error=error)
        return Run("protocol_error")


def read_reply(frame: list[str], i: int, judge: Callable[[int, list[str]], str]) -> tuple[str, str]:
    """(verdict, message) for the reply to call i.  Raises BadFrame for anything else."""
    match frame:
        case ["returned", at, *_] if at == str(i):
            return judge(i, frame), ""
        case ["raised", at, name, message] if at == str(i):
            return f"raised:{clean(name, 60)}", clean(message)
        case ["unserialisable", at, name] if at == str(i):
            return "unserialisable", clean(name, 60)
    raise wire.BadFrame("not the reply to this call")


def _answers(child: Child, rooms: Sequence[int], judge: Callable[[int, list[str]], str]) -> Run:
    verdicts: list[tuple[str, str]] = []
    for i, room in enumerate(rooms):
        try:
            frame = child.read(MAX_FRAME + room)
            status = "ok" if frame is not None else child.why_gone()
            if frame is not None:
                verdicts.append(read_reply(frame, i, judge))
        except Hung:
            status = "timeout"
        except TooLarge:
            status = "limit"
        except wire.BadFrame:
            status = "protocol_error"
        if status != "ok":
            verdicts.append(("timeout" if status == "timeout" else "died", ""))
            return Run(status, verdicts)
    return Run("ok", verdicts)


def run(
    worker: Worker,
    program: Program,
    calls: Sequence[Sequence[Any]],
    rooms: Sequence[int],
    cpu_s: float,
    judge: Callable[[int, list[str]], str],
) -> Run:
    """Make the calls in order in one fresh child, and judge each reply as it comes.

    `judge(i, frame)` gives the verdict on a returned value, `rooms` the bytes that each call's value may take
    beyond MAX_FRAME.  Raises InfraError.
    """
    with Child(worker, b"p", program.frame(calls, False, cpu_s), cpu_s) as child:
        result = child.load() or _answers(child, rooms, judge)
        result.cpu_s = child.end().cpu_s
    return result
