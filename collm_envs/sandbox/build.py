"""Compiles a CPython interpreter to WebAssembly: `Sandbox(backend="wasm")` runs programs inside it.

    python -m collm_envs.sandbox.build [PATH]

The result is one file at PATH, by default the file that `Sandbox` opens.  Takes about a minute; needs
`pip install "collm[wasm]"`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from .wasm import HOW, INSIDE, default_path


def build(path: Path) -> None:
    """Compile the interpreter to a WebAssembly component and that to machine code, written to `path`."""
    from wasmtime import component  # type: ignore[import-not-found]

    from .inside import vm

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        world, wasm = Path(folder) / "box.wit", Path(folder) / "box.wasm"
        world.write_text(vm.WORLD)
        tool = [sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]
        what = ["-d", str(world), "-w", "box", "componentize", "inside.guest", "-p", str(INSIDE.parent)]
        subprocess.run([*tool, *what, "-o", str(wasm)], check=True, cwd=folder)
        compiled = component.Component.from_file(vm.engine(), str(wasm)).serialize()
    path.write_bytes(compiled)


def main() -> None:
    if importlib.util.find_spec("wasmtime") is None or importlib.util.find_spec("componentize_py") is None:
        sys.exit(f"this needs the packages wasmtime and componentize-py.  {HOW}")
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default_path()
    print(f"building {path}", flush=True)
    build(path)


if __name__ == "__main__":
    main()
