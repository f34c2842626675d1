"""Runs a function once another module has been imported, now where it has been already.

PettingZoo's registry has to know our environments as soon as both packages are imported, in either order,
but importing PettingZoo takes half a second that the users of `collm_envs.sandbox` need not spend.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder:
    """Stands on sys.meta_path until the module is looked for; then adds `then` to the end of its loading."""

    def __init__(self, name: str, then: Callable[[], object]) -> None:
        self.name, self.then = name, then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_go_on(module: ModuleType) -> None:
            execute(module)
            self.then()

        spec.loader.exec_module = execute_and_go_on
        return spec


def after_import(name: str, then: Callable[[], object]) -> None:
    """Call `then()` after the top-level module `name` is imported: at once, later, or never."""
    if name in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Finder(name, then))
