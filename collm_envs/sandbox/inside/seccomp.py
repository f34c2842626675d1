"""The seccomp allow-list: a program may compute, use memory, and read and write open descriptors.

No open, socket, clone, kill, ioctl, fcntl, prctl or memfd; no executable memory; prlimit64 only reads the
process's own limits.  A refused call returns EPERM, so that Python raises PermissionError; calls that only an
attack makes, 32-bit calls and x32 numbers kill the process.  The filter is assembled by hand because no
library for it is installed everywhere.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping

ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
PROT_EXEC = 4

ALLOWED = """
    read write mmap munmap brk mprotect futex madvise mremap rt_sigaction rt_sigprocmask rt_sigreturn close
    fstat poll ppoll select pselect6 lseek sigaltstack sched_yield nanosleep clock_nanosleep clock_gettime
    clock_getres gettimeofday times getrusage getpid gettid getppid getuid geteuid getgid getegid
    set_robust_list rseq restart_syscall getrandom exit exit_group
"""

KILLED = """
    ptrace process_vm_readv process_vm_writev bpf io_uring_setup io_uring_enter io_uring_register
    userfaultfd perf_event_open mount pivot_root chroot unshare setns add_key request_key keyctl kexec_load
    kexec_file_load init_module finit_module delete_module fork vfork
"""

LOAD, EQUAL, AT_LEAST, BITS, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCH = 0, 4
Step = tuple[int, int, str | int, str | int]
"""(code, operand, jump if true, jump if false): a jump is a label, or 0 for the next step"""


def _low(argument: int) -> int:
    return 16 + 8 * argument


def _high(argument: int) -> int:
    return 20 + 8 * argument


def _assemble(steps: list[Step | str]) -> bytes:
    """Steps, with labels between them, as an array of struct sock_filter."""
    label_at: dict[str, int] = {}
    plain: list[Step] = []
    for step in steps:
        if isinstance(step, str):
            label_at[step] = len(plain)
        else:
            plain.append(step)

    def jump(to: str | int, at: int) -> int:
        return label_at[to] - at - 1 if isinstance(to, str) else to

    return b"".join(
        struct.pack("=HBBI", code, jump(yes, at), jump(no, at), operand)
        for at, (code, operand, yes, no) in enumerate(plain)
    )


def program(machine: str, table: Mapping[str, int]) -> bytes:
    """The filter as bytes, for a machine of `ARCHES` and its table of system call numbers."""
    steps: list[Step | str] = [(LOAD, ARCH, 0, 0), (EQUAL, ARCHES[machine], 0, "kill"), (LOAD, NUMBER, 0, 0)]
    if machine == "x86_64":
        steps.append((AT_LEAST, X32_BIT, "kill", 0))
    special = {"mmap": "memory", "mprotect": "memory", "prlimit64": "limits", "clone3": "missing"}
    for name in (*ALLOWED.split(), "prlimit64", "clone3"):
        if name in table:
            steps.append((EQUAL, table[name], special.get(name, "allow"), 0))
    steps += [(EQUAL, table[name], "kill", 0) for name in KILLED.split() if name in table]
    steps.append((RETURN, ERRNO | errno.EPERM, 0, 0))  # every other call
    steps += ["memory", (LOAD, _low(2), 0, 0), (BITS, PROT_EXEC, "refuse", "allow")]
    steps.append("limits")  # prlimit64(0, resource, NULL, old): own limits, and only to read them
    for offset in (_low(0), _high(0), _low(2), _high(2)):
        steps += [(LOAD, offset, 0, 0), (EQUAL, 0, 0, "refuse")]
    steps += ["allow", (RETURN, ALLOW, 0, 0)]
    steps += ["refuse", (RETURN, ERRNO | errno.EPERM, 0, 0)]
    steps += ["missing", (RETURN, ERRNO | errno.ENOSYS, 0, 0)]
    steps += ["kill", (RETURN, KILL, 0, 0)]
    return _assemble(steps)
