"""What a child does to itself between reading its job and running it.  Prepared once, in the zygote."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import struct
from collections.abc import Callable

from . import confine, seccomp, syscalls

CPU_CLOCK = 2
SIGKILL = 9
SETTING = struct.Struct("=qqqq")
"""struct itimerspec: interval, then value, each in seconds and nanoseconds"""


class Lock:
    """Limits, the watch on the parent, the CPU timer, and the seccomp filter where the machine has one.

    The timer is the kernel's, runs on this process's CPU time and sends SIGKILL: no handler catches it, and
    the filter leaves no call to stop it.  Every structure is laid out beforehand, because a forked child
    pays for each page it touches.
    """

    def __init__(self) -> None:
        self.confine: Callable[[], int] | None = None
        """installs the filter; None where there is none"""
        if syscalls.MACHINE is None:
            return
        event = ctypes.create_string_buffer(struct.pack("=Qii", 0, SIGKILL, 0), 64)
        self._timer = ctypes.create_string_buffer(8)
        self._setting = ctypes.create_string_buffer(SETTING.size)
        self._watch = syscalls.prepared("prctl", confine.SET_PDEATHSIG, SIGKILL, 0, 0, 0)
        self._create = syscalls.prepared("timer_create", CPU_CLOCK, event, self._timer)
        self._set = syscalls.prepared("timer_settime", 0, 0, self._setting, None)

    def add_filter(self) -> None:
        """Use seccomp too.  Raises OSError where there is no filter for this machine."""
        if syscalls.MACHINE is None:
            raise OSError("no seccomp filter for this machine")
        code = seccomp.program(syscalls.MACHINE, syscalls.TABLES[syscalls.MACHINE])
        self._code = ctypes.create_string_buffer(code, len(code))
        header = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(self._code))
        self.confine = syscalls.prepared("seccomp", 1, 0, ctypes.create_string_buffer(header, len(header)))

    def close(self, zygote: int, cpu_s: float) -> None:
        """Lock this process in for good.  Raises OSError where any part that must hold does not."""
        confine.limit("CPU", math.ceil(cpu_s) + 1)
        with contextlib.suppress(OSError, ValueError):
            confine.limit("NPROC", 0)
        if syscalls.MACHINE is not None:
            self._watch()
            if os.getppid() != zygote:
                raise OSError("the zygote is gone")
            SETTING.pack_into(self._setting, 0, 0, 0, int(cpu_s), int(cpu_s % 1 * 1e9))
            with contextlib.suppress(OSError):  # without the timer the whole seconds of the limit hold
                self._create()
                self._set()
        if self.confine is not None:
            self.confine()
