"""The WebAssembly backend: finds its build of CPython.

    pip install "collm[wasm]"
    python -m collm_envs.sandbox.build           once per machine, about a minute

Programs then run in CPython compiled to WebAssembly, inside wasmtime, in a child process as usual.  The
virtual machine has no files, network or system calls; on Linux the kernel's layers of isolation are added
where available, but none is needed.  This Python is three to five times slower, is 3.14 whatever runs
outside, and has 32 bits (hashes, and so the order of sets, differ; sys.maxsize does not).  It lacks ctypes,
bz2 and lzma, and does not take arguments or values beyond a megabyte.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .result import SandboxUnavailable

INSIDE = Path(__file__).parent / "inside"
NAMED = "COLLM_WASM_BUILD"
"""environment variable with the path of a build, in place of `default_path`"""
HOW = 'pip install "collm[wasm]", then python -m collm_envs.sandbox.build'


def default_path() -> Path:
    """Path of this machine's build; its name holds a digest of everything the build depends on."""
    try:
        engine = version("wasmtime")
    except PackageNotFoundError:
        raise SandboxUnavailable(f'backend "wasm" needs the package wasmtime.  {HOW}') from None
    parts = [
        engine,
        platform.node(),
        platform.machine(),
        *(p.read_text() for p in sorted(INSIDE.glob("*.py"))),
    ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    return Path.home() / ".cache" / "collm" / f"sandbox-{digest}.cwasm"


def find() -> tuple[Path, Path]:
    """(path of the build, folder to import wasmtime from).  Raises SandboxUnavailable if one is missing."""
    path = Path(os.environ[NAMED]) if NAMED in os.environ else default_path()
    spec = importlib.util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise SandboxUnavailable(f'backend "wasm" needs the package wasmtime.  {HOW}')
    if not path.is_file():
        raise SandboxUnavailable(f'backend "wasm" needs its build of Python, and {path} is not there.  {HOW}')
    return path, Path(spec.origin).parent.parent
