"""Text environments in which language models learn to work together.

env = collm_envs.make("StrBuild-v0")
observations, infos = env.reset(seed=0)
observations, rewards, terminations, truncations, infos = env.step({"agent_0": ..., "agent_1": ...})

Each name is imported when it is first asked for (PEP 562), so that `collm_envs.sandbox` alone needs the
standard library only.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from collm_envs.after_import import after_import

if TYPE_CHECKING:
    from collm_envs.datasets.formats import split_rows
    from collm_envs.env import TextEnv
    from collm_envs.envspec import EnvSpec
    from collm_envs.keywords import Frame
    from collm_envs.registry import make, make_task, pprint_registry, register, registry, spec
    from collm_envs.space import TextSpace
    from collm_envs.task import (
        Item,
        Player,
        Rejected,
        Scene,
        Score,
        Task,
        agent_names,
        in_parallel,
        most_chars,
        silence,
        takes_turns,
        writers,
    )
    from collm_envs.vector import VecEnv, make_vec

    __version__: str

__all__ = [
    "EnvSpec",
    "Frame",
    "Item",
    "Player",
    "Rejected",
    "Scene",
    "Score",
    "Task",
    "TextEnv",
    "TextSpace",
    "VecEnv",
    "agent_names",
    "in_parallel",
    "make",
    "make_task",
    "make_vec",
    "most_chars",
    "pprint_registry",
    "register",
    "registry",
    "silence",
    "spec",
    "split_rows",
    "takes_turns",
    "writers",
]
_HOMES = {
    "EnvSpec": "envspec",
    "Frame": "keywords",
    "Item": "task",
    "Player": "task",
    "Rejected": "task",
    "Scene": "task",
    "Score": "task",
    "Task": "task",
    "TextEnv": "env",
    "TextSpace": "space",
    "VecEnv": "vector",
    "agent_names": "task",
    "in_parallel": "task",
    "make": "registry",
    "make_task": "registry",
    "make_vec": "vector",
    "most_chars": "task",
    "pprint_registry": "registry",
    "register": "registry",
    "silence": "task",
    "spec": "registry",
    "split_rows": "datasets.formats",
    "takes_turns": "task",
    "writers": "task",
}
"""public name -> the module that defines it; `registry` has the name of its own module, see `_Package`"""


class _Package(ModuleType):
    """This package: its `registry` is the table of environments, not the module of that name."""

    @property
    def registry(self) -> Any:
        return importlib.import_module("collm_envs.registry").registry

    @registry.setter
    def registry(self, module: ModuleType) -> None:
        """The import system puts each module it loads into its package; this one stays hidden."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib import metadata  # as long to import as all the rest of this file

        try:
            value = metadata.version("collm")
        except metadata.PackageNotFoundError:  # a checkout on the path, not installed
            value = "unknown"
    elif name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    else:
        value = getattr(importlib.import_module(f"collm_envs.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})


sys.modules[__name__].__class__ = _Package
for _library in ("pettingzoo", "gymnasium"):
    after_import(_library, lambda: importlib.import_module("collm_envs.registry").announce())
