"""A host with things to steal and to break, and a look at it before and after."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple


class Host(NamedTuple):
    """What the programs are told about: see `breakouts`."""

    secret: Path
    folder: Path
    listener: socket.socket
    datagrams: socket.socket
    victim: subprocess.Popen[bytes]

    def fill(self, text: str) -> str:
        """A program of the corpus with its placeholders filled in."""
        places = {
            "@SECRET@": str(self.secret),
            "@DIR@": str(self.folder),
            "@PORT@": str(self.listener.getsockname()[1]),
            "@PID@": str(self.victim.pid),
            "RIGHT": "return [sum(xs), max(xs)]",
        }
        for place, value in places.items():
            text = text.replace(place, value)
        return text


@contextmanager
def host(folder: Path, inputs: Sequence[list[int]]) -> Iterator[Host]:
    """A host whose answer file holds the answers to `inputs`, in an open folder."""
    secret = folder / "answers.json"
    secret.write_text(json.dumps({str(xs): [sum(xs), max(xs)] for xs in inputs}))
    (folder / "planted.py").write_text("x = 1\n")
    folder.chmod(0o777)
    secret.chmod(0o666)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(listener.getsockname())
    datagrams.setblocking(False)
    try:
        yield Host(secret, folder, listener, datagrams, victim)
    finally:
        listener.close()
        datagrams.close()
        victim.kill()
        victim.wait()


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def descendants(root: int) -> list[tuple[int, str]]:
    """(process id, name) of everything below a process."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _read(f"/proc/{entry}/stat")):
            name, rest = stat[stat.index("(") + 1 :].rsplit(")", 1)
            parents[int(entry)] = (int(rest.split()[1]), name)
    found, todo = [], [root]
    while todo:
        above = todo.pop()
        below = [(pid, name) for pid, (parent, name) in parents.items() if parent == above]
        found += below
        todo += [pid for pid, _ in below]
    return sorted(found)


def _silent(sock: socket.socket) -> bool:
    try:
        sock.recv(1) if sock.type == socket.SOCK_DGRAM else sock.accept()
    except BlockingIOError:
        return True
    return False


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def look(at: Host) -> dict[str, Any]:
    """Everything about this process and its machine that no program may have changed."""
    fds = {int(fd) for fd in os.listdir("/proc/self/fd")}
    shared = [p for p in ("/tmp/left_behind", "/dev/shm/left_behind", "left_behind") if os.path.exists(p)]
    return {
        "processes": descendants(os.getpid()),
        "victim": (at.victim.poll(), _read(f"/proc/{at.victim.pid}/stat").split(")")[1].split()[0] in "RSD"),
        "folder": {p.name: p.read_text() for p in sorted(at.folder.iterdir()) if p.is_file()},
        "links": sorted(p.name for p in at.folder.iterdir()),
        "left behind": shared,
        "called": (_silent(at.listener), _silent(at.datagrams)),
        "descriptors": len(fds),
        "signals": [str(signal.getsignal(s)) for s in signal.valid_signals()],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "environment": dict(os.environ),
        "folder of work": os.getcwd(),
        "umask": _umask(),
        "limits": [resource.getrlimit(n) for n in range(16)],
        "random": random.getstate(),
        "threads": threading.active_count(),
        "user": (os.getresuid(), os.getresgid()),
        "shared memory": [_read(f"/proc/sysvipc/{kind}") for kind in ("shm", "msg", "sem")],
    }
