"""Loads a framework that is installed and new enough, or says what to install."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from types import ModuleType


def load_framework(module: str, at_least: str, package: str = "") -> ModuleType:
    """The imported `module` of `package` (by default of the same name), in version `at_least` or newer.

    Raises ImportError with the `pip install` to run where it is missing or older.
    """
    package = package or module.partition(".")[0]
    install = f"pip install '{package}>={at_least}'"
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise ImportError(f"this adapter needs {package}: {install}", name=package) from None
    if numbers(version) < numbers(at_least):
        raise ImportError(f"this adapter needs {package} {at_least}, got {version}: {install}", name=package)
    return importlib.import_module(module)


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (1, 16, 0) of "1.16.0rc1" """
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0]))
