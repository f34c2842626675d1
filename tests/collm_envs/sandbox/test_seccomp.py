"""The filter, run on every machine's numbers by a small interpreter of its own language."""

import errno
import struct

import pytest

from collm_envs.sandbox.inside import seccomp, syscalls

ALLOW, KILL = seccomp.ALLOW, seccomp.KILL
REFUSE, MISSING = seccomp.ERRNO | errno.EPERM, seccomp.ERRNO | errno.ENOSYS
MACHINES = sorted(syscalls.TABLES)


def verdict(machine, number, *arguments, arch=None):
    """What the filter answers to one system call."""
    arch = seccomp.ARCHES[machine] if arch is None else arch
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    code = seccomp.program(machine, syscalls.TABLES[machine])
    steps = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        kind, yes, no, operand = steps[at]
        at += 1
        if kind == seccomp.LOAD:
            (value,) = struct.unpack_from("=I", data, operand)
        elif kind == seccomp.RETURN:
            return operand
        else:
            tests = {
                seccomp.EQUAL: value == operand,
                seccomp.AT_LEAST: value >= operand,
                seccomp.BITS: bool(value & operand),
            }
            at += yes if tests[kind] else no


@pytest.mark.parametrize("machine", MACHINES)
def test_computing_is_allowed_and_everything_unnamed_is_refused(machine):
    table = syscalls.TABLES[machine]
    named = set(seccomp.ALLOWED.split()) | set(seccomp.KILLED.split())
    named |= {"mmap", "mprotect", "prlimit64", "clone3"}
    for name, number in table.items():
        if name in seccomp.ALLOWED.split() and name not in ("mmap", "mprotect"):
            assert verdict(machine, number) == ALLOW, name
        if name in seccomp.KILLED.split():
            assert verdict(machine, number) == KILL, name
    for number in set(range(600)) - {table[name] for name in named if name in table}:
        assert verdict(machine, number) == REFUSE, number


@pytest.mark.parametrize("machine", MACHINES)
def test_memory_may_be_mapped_but_never_executable(machine):
    for name in ("mmap", "mprotect"):
        number = syscalls.TABLES[machine][name]
        assert verdict(machine, number, 0, 4096, 3) == ALLOW
        for protection in (4, 5, 7, 4 | 1 << 40):
            assert verdict(machine, number, 0, 4096, protection) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_limits_can_be_read_of_oneself_only(machine):
    number = syscalls.TABLES[machine]["prlimit64"]
    assert verdict(machine, number, 0, 7, 0, 0xDEAD) == ALLOW
    assert verdict(machine, number, 1234, 7, 0, 0xDEAD) == REFUSE
    assert verdict(machine, number, 1 << 32, 7, 0, 0xDEAD) == REFUSE
    assert verdict(machine, number, 0, 7, 0xBEEF, 0) == REFUSE
    assert verdict(machine, number, 0, 7, 0xBEEF << 32, 0) == REFUSE


@pytest.mark.parametrize("machine", MACHINES)
def test_foreign_entries_kill_and_clone3_is_missing(machine):
    table = syscalls.TABLES[machine]
    for arch in (0x40000003, 0xC000003E, 0xC00000B7, 0x40000028, 0):
        if arch != seccomp.ARCHES[machine]:
            assert verdict(machine, table["getpid"], arch=arch) == KILL
    assert verdict(machine, table["clone3"]) == MISSING
    if machine == "x86_64":
        assert verdict(machine, seccomp.X32_BIT | table["getpid"]) == KILL


def test_nothing_that_opens_starts_signals_or_connects_is_on_the_list():
    named = set(seccomp.ALLOWED.split())
    forbidden = "open openat openat2 stat socket sendmsg clone execve kill tgkill ioctl fcntl dup"
    forbidden += " prctl seccomp pipe2 memfd_create timer_settime timer_delete setitimer setrlimit"
    assert not named & set(forbidden.split())
    assert named <= set(syscalls.TABLES["x86_64"])
