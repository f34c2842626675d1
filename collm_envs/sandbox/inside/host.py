"""Hides what identifies the machine: a program sees the same arguments, names and paths everywhere.

So a program with an `if len(sys.argv) > 1:` loads, and no path of this machine gets into a traceback, a
message, or the next prompt.
"""

from __future__ import annotations

import gc
import os
import platform
import sys
import types
from typing import Any

SCRIPT = "/solution.py"
"""the program's own name, as sys.argv has it"""
PYTHON = "/python"
"""shown in place of the folder where this Python is installed"""
PREFIXES = ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix")
EXECUTABLES = ("executable", "_base_executable")


def _folders() -> dict[str, str]:
    """{folder of this machine: name shown to programs}, the longest first."""
    library = os.path.dirname(vars(os).get("__file__") or PYTHON)  # a frozen `os` may have no file
    shown = {vars(sys)[name]: PYTHON for name in PREFIXES}
    shown |= {library: f"{PYTHON}/lib", os.path.dirname(os.path.abspath(__file__)): "/sandbox"}
    return {folder: shown[folder] for folder in sorted(shown, key=len, reverse=True) if len(folder) > 1}


def _path(path: str, folders: dict[str, str]) -> str:
    """A path of this machine as it is shown to programs."""
    return next(
        (name + path[len(folder) :] for folder, name in folders.items() if path.startswith(folder)), path
    )


def _code(code: types.CodeType, folders: dict[str, str]) -> types.CodeType:
    """A copy of the code, inner functions included, with the file name that is shown to programs."""
    inner = [_code(const, folders) if type(const) is types.CodeType else const for const in code.co_consts]
    return code.replace(co_filename=_path(code.co_filename, folders), co_consts=tuple(inner))


def _rename(module: types.ModuleType, folders: dict[str, str]) -> None:
    """Hide the paths that a module and its spec hold."""
    spec: Any = vars(module).get("__spec__")
    for holder, names in ((module, ("__file__", "__cached__")), (spec, ("origin", "cached"))):
        for name in names if holder is not None else ():
            value = vars(holder).get(name)
            if type(value) is str:
                setattr(holder, name, _path(value, folders))
    if "__path__" in vars(module):  # packages; their modules cannot be imported any more
        module.__path__ = []
    if spec is not None:
        module.__loader__ = spec.loader = None
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations = []


def hide() -> None:
    """After the last import from a file: hide arguments, paths and the module this process began with."""
    folders = _folders()
    for function in gc.get_objects():
        if type(function) is types.FunctionType and os.sep in function.__code__.co_filename:
            function.__code__ = _code(function.__code__, folders)
    for module in [*sys.modules.values()]:
        if type(module) is types.ModuleType and vars(module).get("__file__"):
            _rename(module, folders)
    sys.modules["__main__"] = types.ModuleType("__main__")
    sys.argv[:] = sys.orig_argv[:] = [SCRIPT]
    for name in PREFIXES:
        setattr(sys, name, PYTHON)
    for name in EXECUTABLES:
        setattr(sys, name, f"{PYTHON}/bin/python3")
    name = platform.uname_result(platform.system(), "sandbox", "", "", "")
    platform._uname_cache = name  # type: ignore[attr-defined]  # cached while modules were imported
    if "_stdlib_dir" in vars(sys):
        sys._stdlib_dir = f"{PYTHON}/lib"  # type: ignore[attr-defined]
