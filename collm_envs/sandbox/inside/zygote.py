"""A fork server: receives sockets, forks a child for each job, kills and reaps it.  It reads no job itself.

    control socket, from the trainer       "p" + 1 socket    run a program
                                           "g" + 2 sockets   run trusted tests against the second socket
                                           "e"               kill the child, report how it went
                                           "w"               the same, after a moment to end by itself
                                           "t"               report the child's CPU seconds so far
                    to the trainer         one frame at start: the features; then an ENDING for each e, w, t

When the control socket closes, the trainer is gone, and this process ends with its child.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import signal
import socket
import time
from typing import Any

from . import child, confine, grader, host, program, wire
from .lock import Lock
from .preload import preload

MEMORY = 512 << 20
GRACE_S = 0.05
SPEAK = 3
"""descriptor of the control socket here, of the job socket in a child"""

FORK = ctypes.PyDLL(None).fork
"""libc's fork: os.fork touches twice the memory, to repair the locks of threads that do not exist here"""


def _reap(pid: int, grace: bool) -> bytes:
    """Kill and reap the child; nobody else reaps, so its process id cannot have been reused."""
    until = time.monotonic() + (GRACE_S if grace else 0.0)
    reaped, status, usage = os.wait4(pid, os.WNOHANG)
    while not reaped and time.monotonic() < until:
        time.sleep(0.001)
        reaped, status, usage = os.wait4(pid, os.WNOHANG)
    by_itself = bool(reaped)
    if not by_itself:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
    return wire.ENDING.pack(by_itself, status, usage.ru_utime + usage.ru_stime)


def _cpu_so_far(pid: int) -> float:
    """CPU seconds of the running child, -1 where the kernel does not report it."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the CPU clock of another process, see clock_getres(2)
    except OSError:
        return -1.0


def _fork(command: bytes, sockets: list[int], lock: Lock, box: child.Box) -> int:
    """Start the child of one job.  Returns its process id, or -1."""
    zygote = os.getpid()
    pid = FORK()
    if pid == 0:
        try:
            for to, descriptor in enumerate(sockets, SPEAK):
                os.dup2(descriptor, to) if to != descriptor else None
            if command == b"p":
                child.main(zygote, lock, box)
            else:
                grader.main(zygote, lock)
        finally:
            os._exit(1)
    for descriptor in sockets:
        os.close(descriptor)
    return pid


def serve(control: socket.socket, lock: Lock, box: child.Box) -> None:
    """Answer commands until the trainer closes the control socket."""
    pid = -1
    while True:
        command, sockets, _, _ = socket.recv_fds(control, 1, 2)
        if not command:
            break
        if command in (b"p", b"g"):
            pid = _fork(command, sockets, lock, box)
        elif command == b"t":
            control.sendall(wire.ENDING.pack(False, 0, _cpu_so_far(pid)))
        else:
            control.sendall(_reap(pid, command == b"w") if pid > 0 else wire.ENDING.pack(False, -1, 0.0))
            pid = -1
    if pid > 0:
        _reap(pid, False)


def _filter_holds(lock: Lock) -> bool:
    """Whether the filter refuses calls, checked in a child."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            assert lock.confine is not None
            lock.confine()
            os.open("/", os.O_RDONLY)
        except PermissionError:
            code = _cannot_fork()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS)


def _cannot_fork() -> int:
    try:
        os.fork()
    except PermissionError:
        return 0
    return 1


def _confined_as(kernel: bool, memory: int) -> tuple[Lock, dict[str, Any]]:
    """Drop the privileges that can be dropped.  Returns (the lock for children, the features in force)."""
    features = confine.confine(kernel, memory)
    lock = Lock()
    if kernel:
        with contextlib.suppress(OSError):
            lock.add_filter()
    if lock.confine is not None and not _filter_holds(lock):
        lock.confine = None
    features |= {"seccomp": lock.confine is not None, "cpu_timer": lock.timer}
    os.environ.clear()
    return lock, features


def prepare(control_fd: int, kind: str, build: str = "") -> tuple[socket.socket, Lock, child.Box]:
    """Drop privileges, load the modules and report the features.  Returns the arguments of `serve`.

    `kind` is "kernel" (every layer the machine allows), "plain" (none of them), or "wasm" (the same layers,
    and programs run in the WebAssembly `build`).
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a trainer that ignores it would hide deaths from us
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # when memory runs out, kill this before the trainer
    if control_fd != SPEAK:
        os.dup2(control_fd, SPEAK)
        os.close(control_fd)  # a trainer with many files open may have given it a number beyond the next line
    os.closerange(SPEAK + 1, 1024)
    control = socket.socket(fileno=SPEAK)
    box, memory = program.Program(), MEMORY
    if kind == "wasm":
        from . import vm  # its package is importable for this kind only

        box, memory = vm.Machine(build, MEMORY), vm.ADDRESS_SPACE
    preload()
    host.hide()
    lock, features = _confined_as(kind != "plain", memory)
    control.sendall(wire.pack(wire.encode({**features, "wasm": kind == "wasm"})))
    os.dup2(1, 2)  # from here on nobody reads stderr
    gc.collect()
    gc.freeze()
    return control, lock, box
