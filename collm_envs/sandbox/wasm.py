"""The WebAssembly backend: finds the build of CPython that it runs programs in.

    pip install "collm[wasm]"
    python -m collm_envs.sandbox.build           once per machine, about a minute

Programs then run in CPython compiled to WebAssembly, inside wasmtime, in a child process as usual: the wall
is a virtual machine without files, network or system calls, and on Linux the kernel layers stand around it
where they can be had.  It needs none of them.  Python is three to five times slower inside, it is 3.14
whatever runs outside, and it has 32 bits (hashes, and so the order of sets, differ; sys.maxsize does not).
It lacks ctypes, bz2 and lzma, and arguments and values beyond a megabyte are too much for it.
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
"""environment variable with the path of a build, where the default place will not do"""
HOW = 'pip install "collm[wasm]", then python -m collm_envs.sandbox.build'


def default_path() -> Path:
    """Where this machine's build belongs; its name changes with whatever the build depends on."""
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
    """(the build, the folder wasmtime comes from).  Raises SandboxUnavailable that says how to get them."""
    path = Path(os.environ[NAMED]) if NAMED in os.environ else default_path()
    spec = importlib.util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        raise SandboxUnavailable(f'backend "wasm" needs the package wasmtime.  {HOW}')
    if not path.is_file():
        raise SandboxUnavailable(f'backend "wasm" needs its build of Python, and {path} is not there.  {HOW}')
    return path, Path(spec.origin).parent.parent
