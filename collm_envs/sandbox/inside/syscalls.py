"""System call numbers of Linux on x86_64 and aarch64, and calls through libc."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable

NUMBERS = """
    read 0 63   write 1 64   close 3 57   fstat 5 80   poll 7 -   lseek 8 62   mmap 9 222
    mprotect 10 226   munmap 11 215   brk 12 214   rt_sigaction 13 134   rt_sigprocmask 14 135
    rt_sigreturn 15 139   select 23 -   sched_yield 24 124   mremap 25 216   madvise 28 233
    nanosleep 35 101   getpid 39 172   fork 57 -   vfork 58 -   exit 60 93   gettimeofday 96 169
    getrusage 98 165   times 100 153   ptrace 101 117   getuid 102 174   getgid 104 176   geteuid 107 175
    getegid 108 177   getppid 110 173   capset 126 91   sigaltstack 131 132   pivot_root 155 41
    chroot 161 51   mount 165 40   umount2 166 39   init_module 175 105   delete_module 176 106
    gettid 186 178   futex 202 98   restart_syscall 219 128   timer_create 222 107   timer_settime 223 110
    timer_delete 226 111   clock_gettime 228 113   clock_getres 229 114   clock_nanosleep 230 115
    exit_group 231 94   kexec_load 246 104   add_key 248 217   request_key 249 218   keyctl 250 219
    pselect6 270 72   ppoll 271 73   unshare 272 97   set_robust_list 273 99   perf_event_open 298 241
    prlimit64 302 261   setns 308 268   process_vm_readv 310 270   process_vm_writev 311 271
    finit_module 313 273   seccomp 317 277   getrandom 318 278   prctl 157 167   kexec_file_load 320 294
    bpf 321 280   userfaultfd 323 282   rseq 334 293   io_uring_setup 425 425   io_uring_enter 426 426
    io_uring_register 427 427   clone3 435 435   landlock_create_ruleset 444 444
    landlock_restrict_self 446 446
"""
"""name, number on x86_64, number on aarch64"""


def _table(column: int) -> dict[str, int]:
    words = NUMBERS.split()
    numbers = zip(words[::3], words[column::3], strict=True)
    return {name: int(number) for name, number in numbers if number != "-"}


TABLES = {"x86_64": _table(1), "aarch64": _table(2)}


def _machine() -> str | None:
    if sys.platform != "linux" or struct.calcsize("P") != 8 or sys.byteorder != "little":
        return None
    name = os.uname().machine
    return name if name in TABLES else None


MACHINE = _machine()
"""the key of this machine's table, None where there is none (another system, chip or word size)"""
LIBC = ctypes.CDLL(None, use_errno=True)


Word = int | ctypes.Array[ctypes.c_char] | None


def checked(what: str, value: int) -> int:
    """`value` as libc returned it.  Raises OSError with errno if it is negative."""
    if value < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return value


def prepared(name: str, *arguments: Word) -> Callable[[], int]:
    """A function that makes the system call `name`; it touches little memory, as all is prepared.

    Raises OSError if there is no table for this machine; the function raises OSError with the kernel's errno.
    """
    if MACHINE is None:
        raise OSError(errno.ENOSYS, f"no system call table for {sys.platform}")
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in (TABLES[MACHINE][name], *arguments)]
    door = LIBC.syscall

    def make() -> int:
        value = door(*words)
        return value if value >= 0 else checked(name, value)

    return make


def call(name: str, *arguments: Word) -> int:
    """One system call by name.  Raises OSError with the kernel's errno."""
    return prepared(name, *arguments)()


def prctl(option: int, *arguments: int) -> int:
    """prctl(2).  Raises OSError with the kernel's errno."""
    return call("prctl", option, *(*arguments, 0, 0, 0, 0)[:4])
