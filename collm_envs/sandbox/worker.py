"""A zygote process (fork server) and the channels to it.  After any error it is killed and replaced."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from . import wasm
from .inside import wire
from .result import InfraError, Level, SandboxUnavailable

START_S = 60.0
"""seconds for a zygote to start or a child to get ready, on a busy machine"""
REPORT_S = 10.0
MAX_FRAME = 1 << 20
ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""the same hashes in every run; and no current folder on the path: Python 3.13 would try to read that folder
to word the AttributeError of a module"""
BOOT = "import sys; n = int(sys.argv[1]); sys.path = [*filter(None, sys.path), *sys.argv[4 : 4 + n]]; "
BOOT += "from inside import zygote; "
BOOT += "zygote.serve(*zygote.prepare(int(sys.argv[2]), sys.argv[3], *sys.argv[4 + n :]))"
"""arguments: number of folders, descriptor, kind, the folders to import from, arguments of the kind"""


STARTS_PYTHON = "the sandbox starts processes with sys.executable, the Python that runs this program"


class Hung(Exception):
    """The deadline passed before the next frame."""


class TooLarge(wire.BadFrame):
    """A frame announces more bytes than the cap."""


class Channel:
    """Frames to and from one child, each read with a deadline and a cap."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = bytearray()

    def send(self, frame: bytes, deadline: float) -> None:
        """Send one frame.  Raises Hung at the deadline, OSError if the other side is gone."""
        self.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            self.sock.sendall(frame)
        except TimeoutError:
            raise Hung from None

    def read(self, deadline: float, most: int = MAX_FRAME) -> list[str] | None:
        """The tokens of the next frame, None at the end of the stream.  Raises Hung or wire.BadFrame."""
        while True:
            if len(self._buffer) >= wire.HEADER.size:
                (size,) = wire.HEADER.unpack_from(self._buffer)
                if size > most:
                    raise TooLarge(f"{size} bytes, at most {most}")
                end = wire.HEADER.size + size
                if len(self._buffer) >= end:
                    body = bytes(self._buffer[wire.HEADER.size : end])
                    del self._buffer[:end]
                    return wire.unpack(body)
            left = deadline - time.monotonic()
            if left <= 0:
                raise Hung
            self.sock.settimeout(left)
            try:
                part = self.sock.recv(1 << 16)
            except TimeoutError:
                raise Hung from None
            except ConnectionResetError:
                part = b""
            if not part:
                return None
            self._buffer += part


Kind = Literal["kernel", "plain", "wasm"]
"""how a zygote isolates its children: see `inside.zygote.prepare`"""


class Ending(NamedTuple):
    """How a child ended, as its parent saw it."""

    by_itself: bool
    status: int
    """the wait status of wait(2); -1 for a child that never started"""
    cpu_s: float


class Worker:
    """One zygote process.  Not thread-safe: the pool lends it to one caller at a time."""

    def __init__(self, kind: Kind, admit: Callable[[Worker], Level]) -> None:
        """`admit` checks a freshly started worker and returns its isolation level, or raises."""
        self._kind: Kind = kind
        self._admit = admit
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self.features: dict[str, Any] = {}
        self.level: Level = "process"

    def _command(self, control: int) -> list[str]:
        if not sys.executable or sys.implementation.name != "cpython":
            raise SandboxUnavailable(f"{STARTS_PYTHON}: it needs a CPython, got {sys.executable!r}")
        folders, arguments = [str(Path(__file__).parent)], []
        if self._kind == "wasm":
            build, packages = wasm.find()
            folders, arguments = [*folders, str(packages)], [str(build)]
        python = [sys.executable, "-s", "-S", "-B", "-c", BOOT]
        return [*python, str(len(folders)), str(control), self._kind, *folders, *arguments]

    def start(self) -> None:
        """Start the zygote and read its features.

        Raises SandboxUnavailable with the last line of its stderr.
        """
        our_end, zygote_end = socket.socketpair()
        complaints, write_end = os.pipe()
        libraries = {key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ}
        try:
            self._control = our_end
            # no preexec_fn, then exec: safe beside threads and CUDA, and nothing of the trainer is inherited
            self._process = subprocess.Popen(
                self._command(zygote_end.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=write_end,
                pass_fds=[zygote_end.fileno()],
                start_new_session=True,  # the terminal's Ctrl-C is for the trainer
                cwd="/",
                env={**libraries, **ENVIRONMENT},
            )
            zygote_end.close()
            os.close(write_end)
            write_end = -1
            self.features = self._hello(complaints)
        except OSError as error:
            self.kill()
            raise SandboxUnavailable(f"{STARTS_PYTHON}, {sys.executable!r}: {error.strerror}") from error
        except BaseException:
            self.kill()
            raise
        finally:
            zygote_end.close()
            os.close(complaints)
            if write_end >= 0:
                os.close(write_end)

    def _hello(self, complaints: int) -> dict[str, Any]:
        assert self._control is not None
        try:
            tokens = Channel(self._control).read(time.monotonic() + START_S)
        except Hung:
            tokens = None
        if tokens is None:
            os.set_blocking(complaints, False)
            stderr = b""
            with contextlib.suppress(BlockingIOError):
                stderr = os.read(complaints, 1 << 16)
            last_line = stderr.decode(errors="replace").strip().rsplit("\n", 1)[-1]
            raise SandboxUnavailable(
                f"the sandbox process did not start: {last_line or 'no word from it'} ({sys.executable})"
            )
        return wire.decode(tokens)

    def begin(self, command: bytes, *sockets: socket.socket) -> None:
        """Fork a child ("p") or a grader ("g") that owns `sockets`.  Raises InfraError."""
        if self._control is None:
            self.start()
            self.level = self._admit(self)
        assert self._control is not None
        try:
            self._control.settimeout(REPORT_S)
            socket.send_fds(self._control, [command], [sock.fileno() for sock in sockets])
        except OSError as error:
            raise InfraError(f"the sandbox process is gone: {error}") from error

    def end(self, grace: bool = False) -> Ending:
        """Kill the child (with `grace` after a moment to end by itself) and report how it ended.

        Raises InfraError.
        """
        return self._report(b"w" if grace else b"e")

    def cpu_so_far(self) -> float:
        """CPU seconds the running child has used, -1 where the kernel does not report it.

        Raises InfraError.
        """
        return self._report(b"t").cpu_s

    def _report(self, command: bytes) -> Ending:
        assert self._control is not None
        report = b""
        try:
            self._control.settimeout(REPORT_S)
            self._control.sendall(command)
            while len(report) < wire.ENDING.size:
                part = self._control.recv(wire.ENDING.size - len(report))
                if not part:
                    raise InfraError("the sandbox process died")
                report += part
        except OSError as error:
            raise InfraError(f"the sandbox process does not answer: {error}") from error
        return Ending(*wire.ENDING.unpack(report))

    def kill(self) -> None:
        """End the zygote and its child, and reap the zygote."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(timeout=1.0)  # it ends by itself when the trainer hangs up
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None

    def forget(self) -> None:
        """In a forked copy of the trainer: close our end without ending the parent's zygote."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._control = self._process = None
