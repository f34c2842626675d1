"""The entry point of the WebAssembly build that `componentize-py` makes: `program` with bytes in and out."""

import io
import marshal
import sys
import time
from typing import Any

import wit_world  # type: ignore[import-not-found]  # written by componentize-py

from . import host, preload, program


class Nowhere(io.RawIOBase):
    """Discards what is printed: WASI's own streams need threads in the host, which cannot start."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)


def nowhere() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(Nowhere()), encoding="utf-8", write_through=True)


def wait(seconds: float) -> None:
    """Replaces time.sleep, which needs threads in the host too."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


preload.preload()
host.hide()
sys.maxsize = 2**63 - 1  # this interpreter has 32 bits, but programs take it for infinity
sys.stdin, sys.stdout, sys.stderr = io.StringIO(), nowhere(), nowhere()
time.sleep = wait
PROGRAM = program.Program()


class WitWorld(wit_world.WitWorld):
    """The exports of `vm.WORLD`; every call creates a new object of this class."""

    def load(self, job: bytes) -> bytes:
        return PROGRAM.load(marshal.loads(job))

    def call(self, call: bytes) -> bytes:
        return PROGRAM.call(*marshal.loads(call))
