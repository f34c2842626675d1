"""Privileges that the zygote drops before the first program: user, namespaces, capabilities, files.

Every step is tried, its effect is checked, and the result is returned as a feature; the level `seccomp` needs
none of them.  Order matters: modules are imported before this (a Python under a root-only home
cannot be read afterwards), the process id namespace starts with the fork, Landlock comes last.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import socket
import struct
import sys
from typing import Any

from . import syscalls

NEW_NS, NEW_CGROUP, NEW_UTS, NEW_IPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEW_USER, NEW_PID, NEW_NET = 0x10000000, 0x20000000, 0x40000000
SPACES = NEW_NS | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_REC, MS_PRIVATE, MNT_DETACH = 0x4000, 0x40000, 2
SET_PDEATHSIG, SET_DUMPABLE, SET_NO_NEW_PRIVS, CAPBSET_DROP, CAP_AMBIENT = 1, 4, 38, 24, 47
FIRST_UNUSED_UID = 1_879_048_192
NOBODY = 65534


def _unshare(flags: int) -> bool:
    return syscalls.MACHINE is not None and syscalls.LIBC.unshare(ctypes.c_int(flags)) == 0


def drop_user(unused: int) -> int:
    """Leave root for the user id `unused`, or nobody's.  Returns the user id now in force."""
    if os.geteuid() != 0:
        return os.geteuid()
    with contextlib.suppress(OSError):  # a user namespace may forbid it; the groups are root's own then
        os.setgroups([])
    for uid in (unused, NOBODY):
        try:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            break
        except OSError:  # not mapped in this container, or no right to
            continue
    return os.geteuid()


def _map_user(uid: int, gid: int) -> None:
    """In a fresh user namespace: map the user and group to themselves."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _empty_root() -> bool:
    """Replace the whole file system by one empty read-only directory."""
    mount = syscalls.LIBC.mount
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        syscalls.checked("mount", mount(b"none", b"/", None, ctypes.c_ulong(MS_REC | MS_PRIVATE), None))
        syscalls.checked("mount", mount(b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(flags), b"nr_inodes=1"))
        os.chdir("/tmp")
        here = ctypes.create_string_buffer(b".")
        syscalls.call("pivot_root", here, here)
        syscalls.call("umount2", here, MNT_DETACH)
        os.chdir("/")
        readonly = ctypes.c_ulong(flags | MS_REMOUNT | MS_RDONLY)
        syscalls.checked("mount", mount(b"none", b"/", None, readonly, None))
    except OSError:
        return False
    return os.listdir("/") == []


def _become_process_one() -> None:
    """Fork and go on in the child, process 1 of the new namespace; the parent only waits for its end."""
    pid = os.fork()
    if pid:
        os.closerange(0, 1024)
        _, status = os.waitpid(pid, 0)
        os._exit(0 if status == 0 else 1)


def namespaces(unused: int) -> dict[str, Any]:
    """Own process ids, network, IPC, host name, cgroups and an empty file system.  Returns the features.

    Root unshares directly; other users, and root without that right, through a user namespace.
    """
    separate = os.geteuid() == 0 and _unshare(SPACES)
    if not separate:
        uid = drop_user(unused)
        gid = os.getegid()
        with contextlib.suppress(OSError):
            syscalls.prctl(SET_DUMPABLE, 1)  # else /proc/self/uid_map belongs to root
        separate = _unshare(SPACES | NEW_USER)
        if separate:
            with contextlib.suppress(OSError):
                _map_user(uid, gid)
    if not separate:
        return {"namespaces": False, "empty_root": False}
    _become_process_one()
    empty = _empty_root()
    alone = os.getpid() == 1 and [name for _, name in socket.if_nameindex()] in ([], ["lo"])
    return {"namespaces": alone, "empty_root": empty}


def drop_capabilities() -> None:
    """Drop every capability, also from the bounding and ambient sets."""
    for capability in range(64):
        with contextlib.suppress(OSError):
            syscalls.prctl(CAPBSET_DROP, capability)
    with contextlib.suppress(OSError):
        syscalls.prctl(CAP_AMBIENT, 4)
    with contextlib.suppress(OSError):
        header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0))
        syscalls.call("capset", header, ctypes.create_string_buffer(24))


def landlock() -> int:
    """Forbid access to files, TCP and signals to other processes.

    Returns Landlock's ABI, 0 if not in force.
    """
    try:
        abi = syscalls.call("landlock_create_ruleset", None, 0, 1)
        files = (1 << (13 + (abi >= 2) + (abi >= 3) + (abi >= 5))) - 1
        rules = struct.pack("=QQQ", files, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        ruleset = syscalls.call("landlock_create_ruleset", ctypes.create_string_buffer(rules[:size]), size, 0)
        try:
            syscalls.call("landlock_restrict_self", ruleset, 0)
        finally:
            os.close(ruleset)
    except OSError:
        return 0
    try:
        os.close(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    except PermissionError:
        return abi
    return 0


def limit(name: str, value: int) -> None:
    """Set soft and hard limit of a resource, to at most the hard limit in force.

    Raises OSError, ValueError.
    """
    number = getattr(resource, f"RLIMIT_{name}", None)
    if number is None:
        raise OSError(f"no RLIMIT_{name} here")
    _, hard = resource.getrlimit(number)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(number, (value, value))


def limits(memory: int) -> list[str]:
    """Set the limits that children inherit; `memory` in bytes of address space.

    Returns the names that were set.

    AS, CORE, FSIZE and NOFILE raise OSError where they cannot be set; the others are best effort.
    """
    limit_values = {
        "AS": memory,
        "CORE": 0,
        "FSIZE": 0,
        "NOFILE": 8,
        "STACK": 8 << 20,
        "MEMLOCK": 0,
        "MSGQUEUE": 0,
    }
    held = []
    for name, value in limit_values.items():
        try:
            limit(name, value)
            held.append(name)
        except (OSError, ValueError):
            if name in ("AS", "CORE", "FSIZE", "NOFILE") and sys.platform == "linux":
                raise
    return held


def confine(kernel: bool, memory: int) -> dict[str, Any]:
    """All steps in order; with `kernel` false only the user and the limits.  Returns the features."""
    features: dict[str, Any] = {"namespaces": False, "empty_root": False, "landlock": 0}
    started = os.getpid()
    unused = FIRST_UNUSED_UID + started
    if kernel:
        features |= namespaces(unused)
    features["uid"] = drop_user(unused)
    if syscalls.MACHINE is not None:
        drop_capabilities()
        if os.getpid() != started:
            syscalls.prctl(SET_PDEATHSIG, 9)  # only now: a change of user clears it
        syscalls.prctl(SET_NO_NEW_PRIVS, 1)
        if kernel:
            features["landlock"] = landlock()
        syscalls.prctl(SET_DUMPABLE, 0)
    features["limits"] = limits(memory)
    return features
