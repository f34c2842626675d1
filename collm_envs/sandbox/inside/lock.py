"""Locks a child down between reading its job and running it.  Prepared once, in the zygote."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
from collections.abc import Callable

from . import confine, seccomp, syscalls

CPU_CLOCK = 2
SIGKILL = 9
SPARE_S = 2
"""whole seconds by which RLIMIT_CPU exceeds the exact CPU timer"""
SETTING = struct.Struct("=qqqq")
"""struct itimerspec: interval, then value, each in seconds and nanoseconds"""
LIMIT = struct.Struct("=QQ")
"""struct rlimit64: soft, hard"""
Step = Callable[[], int]


class Lock:
    """Resource limits, death with the parent, the CPU timer, and the seccomp filter where there is one.

    The timer is the kernel's, counts this process's CPU time and sends SIGKILL: no handler catches that, and
    the filter allows no system call that would stop the timer.  Every structure is allocated beforehand,
    because each page that a forked child writes to costs a copy.
    """

    def __init__(self) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        self._most_s = 1 << 62 if most == resource.RLIM_INFINITY else most
        self._steps: list[Step] = []
        self.confine: Step | None = None
        """installs the filter; None where there is none"""
        self.timer = False
        """whether CPU time is limited to a fraction of a second, not whole seconds"""
        if syscalls.MACHINE is None:
            return
        self._limit = ctypes.create_string_buffer(LIMIT.size)
        self._setting = ctypes.create_string_buffer(SETTING.size)
        nothing = ctypes.create_string_buffer(LIMIT.size)
        self._steps = [
            syscalls.prepared("prctl", confine.SET_PDEATHSIG, SIGKILL, 0, 0, 0),
            syscalls.prepared("prlimit64", 0, resource.RLIMIT_CPU, self._limit, None),
            syscalls.prepared("prlimit64", 0, resource.RLIMIT_NPROC, nothing, None),
        ]
        with contextlib.suppress(OSError):  # without a timer the whole seconds of the limit hold
            self._add_timer()

    def _add_timer(self) -> None:
        event = ctypes.create_string_buffer(struct.pack("=Qii", 0, SIGKILL, 0), 64)
        number = ctypes.create_string_buffer(8)
        create = syscalls.prepared("timer_create", CPU_CLOCK, event, number)
        create()
        syscalls.call("timer_delete", int.from_bytes(number.raw[:4], "little"))
        self._steps += [create, syscalls.prepared("timer_settime", 0, 0, self._setting, None)]
        self.timer = True

    def add_filter(self) -> None:
        """Use seccomp too.  Raises OSError where there is no filter for this machine."""
        if syscalls.MACHINE is None:
            raise OSError("no seccomp filter for this machine")
        code = seccomp.program(syscalls.MACHINE, syscalls.TABLES[syscalls.MACHINE])
        self._code = ctypes.create_string_buffer(code, len(code))
        header = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(self._code))
        self.confine = syscalls.prepared("seccomp", 1, 0, ctypes.create_string_buffer(header, len(header)))

    def close(self, zygote: int, cpu_s: float) -> None:
        """Lock this process down irrevocably.  Raises OSError if a required part fails."""
        seconds = int(cpu_s)
        most = min(seconds + SPARE_S, self._most_s)
        if not self._steps:
            confine.limit("CPU", most)
            with contextlib.suppress(OSError, ValueError):
                confine.limit("NPROC", 0)
            return
        LIMIT.pack_into(self._limit, 0, most, most)
        SETTING.pack_into(self._setting, 0, 0, 0, seconds, int((cpu_s - seconds) * 1e9))
        for step in self._steps:
            step()
        if os.getppid() != zygote:
            raise OSError("the zygote is gone")
        if self.confine is not None:
            self.confine()
