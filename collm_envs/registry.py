"""Which environments there are: one table, one line each.  Entry points are strings, imported by `make`."""

from __future__ import annotations

import copy
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from collm_envs.datasets.formats import storable
from collm_envs.envspec import EnvSpec
from collm_envs.keywords import Frame, choice, whole_number
from collm_envs.task import Task
from collm_envs.wrappers.order import Sequential
from collm_envs.wrappers.shots import Shots
from collm_envs.wrappers.talk import Talk

if TYPE_CHECKING:
    from collm_envs.env import TextEnv

_TABLE = (
    EnvSpec("StrBuild-v0", "collm_envs.building.strbuild.task:StrBuild", {}, "build a word from blocks"),
    EnvSpec(
        "HouseBuild-v0",
        "collm_envs.building.housebuild.task:HouseBuild",
        {},
        "build a house from a blueprint",
    ),
    EnvSpec("TLDR-v0", "collm_envs.writing.tldr:TLDR", {}, "sum up a post briefly and in detail"),
    EnvSpec("ArXiv-v0", "collm_envs.writing.arxiv:ArXiv", {}, "expand an abstract in two halves"),
    EnvSpec("CoopHE-v0", "collm_envs.coding.coophe:CoopHE", {}, "a helper and the function that calls it"),
    EnvSpec(
        "CoopHE-v1", "collm_envs.coding.coophe_v1:HonestCoopHE", {}, "the same, judged without accidents"
    ),
    EnvSpec("StrBuild-v1", "collm_envs.building.strbuild_v1.task:SplitStrBuild", {}, "a word, seen in parts"),
    EnvSpec(
        "HouseBuild-v1",
        "collm_envs.building.housebuild_v1.task:SplitHouseBuild",
        {},
        "a house, seen in parts",
    ),
    EnvSpec("TLDR-v1", "collm_envs.writing.tldr_v1:FactualTLDR", {}, "sum up a post that one has read"),
)
_specs: dict[str, EnvSpec] = {}
_announced: set[tuple[str, str]] = set()
"""(library, id) of what `announce` has told"""
_homes: dict[str, str] = {}
"""id -> the module that was named with it, where it was named "package.module:Id" """
registry: Mapping[str, EnvSpec] = MappingProxyType(_specs)
"""id -> spec of every environment that `make` knows"""


def register(id: str, entry_point: str, summary: str = "", **kwargs: Any) -> None:
    """Add an environment of your own; the module that calls this has to be imported before `make`.

    It is then also `collm/<id>` in PettingZoo's registry (from 1.27) and `collm/<id>-seat` in Gymnasium's.
    `entry_point` is "package.module:TaskClass", `kwargs` its default keywords.  Raises ValueError for an
    id that is taken or does not end in -v<number>, and for an entry point without a colon.
    """
    if not isinstance(id, str) or not re.fullmatch(r"[\w.-]+-v\d+", id):
        raise ValueError(f"environment id must look like 'Name-v0', got {id!r}")
    if not isinstance(entry_point, str) or entry_point.count(":") != 1:
        raise ValueError(f"{id}: entry_point must be 'package.module:TaskClass', got {entry_point!r}")
    new = EnvSpec(id, entry_point, kwargs, summary)
    if id not in _specs:
        _add(new)
    elif _specs[id] != new:  # the very same line again does no harm: modules get reloaded
        raise ValueError(f"environment {id!r} is registered already ({_specs[id].entry_point})")


def _add(spec: EnvSpec) -> None:
    _specs[spec.id] = spec
    announce()


def announce() -> None:
    """Tell the registries of PettingZoo and Gymnasium, where they are imported, of what they do not know.

    `collm/<id>` is the environment in PettingZoo's (1.27), `collm/<id>-seat` one agent of it in Gymnasium's.
    """
    for name in ("pettingzoo", "gymnasium"):
        library: Any = sys.modules.get(name)
        if not hasattr(library, "register"):  # not imported, still being imported, or before PettingZoo 1.27
            continue
        for id in [id for id in _specs if (name, id) not in _announced]:
            _announced.add((name, id))  # entry points are strings: nothing is imported before it is made
            if name == "pettingzoo":
                library.register("parallel", f"collm/{id}", f"{__name__}:make", kwargs={"id": id})
            else:
                seat = "collm_envs.adapters.gymnasium:SeatEnv"
                library.register(f"collm/{id}-seat", entry_point=seat, kwargs={"env_or_id": id})


for _spec in _TABLE:
    _add(_spec)


def spec(id: str) -> EnvSpec:
    """The spec of `id`; KeyError with the nearest known id otherwise.

    "package.module:Name-v0" imports the module first, which is expected to call `register`.
    """
    module, colon, name = id.rpartition(":") if isinstance(id, str) else ("", "", id)
    if colon:
        importlib.import_module(module)
        _homes[name] = module
    id = name
    if id in _specs:
        return _specs[id]
    near = _nearest(str(id).lower())
    hint = f"did you mean {near!r}?" if near else f"there are {', '.join(_specs)}"
    raise KeyError(f"no environment {id!r}; {hint}")


def home(spec: EnvSpec) -> str:
    """The module to import before `make(spec.id)`; "" for the environments of this package."""
    if any(spec.id == other.id for other in _TABLE):
        return ""
    module = _homes.get(spec.id, spec.entry_point.partition(":")[0])
    return "" if module == "__main__" else module


def _nearest(id: str) -> str:
    """The known id most like this one in lower case; "" where only the version is alike."""
    stems = {known_id.lower().rpartition("-v")[0] for known_id in _specs}
    near = difflib.get_close_matches(re.sub(r"-v\d*$", "", id), stems, n=1)
    by_fold = {
        known_id.lower(): known_id for known_id in _specs if known_id.lower().rpartition("-v")[0] in near
    }
    alike = {folded: difflib.SequenceMatcher(None, id, folded).ratio() for folded in by_fold}
    return by_fold[max(alike, key=lambda folded: alike[folded])] if alike else ""


def make(id: str, *, render_mode: str | None = None, max_cycles: int | None = None, **kwargs: Any) -> TextEnv:
    """`TextEnv` of the task `id`.

    `render_mode` is "ansi", "rgb_array", "human" or None; `max_cycles` truncates episodes after so many
    turns.  `shots=N` puts N worked examples before the first prompt of every task that has an expert.  Three
    keywords work with every task of more than one agent (one agent has nobody to talk to):
    `talk=R` puts R message rounds before every turn, `message_chars=280` is the longest message, and
    `order="sequential"` lets agent k read what the agents before it wrote this turn, one writer a step (the
    default, "simultaneous", does not).  All other keywords are the task's own (`collm envs <id>` lists them).
    Raises KeyError for an unknown id, TypeError for an unknown keyword, and whatever the task finds wrong
    with a value.
    """
    from collm_envs.env import TextEnv  # late: importing PettingZoo imports this module

    task, full = _make_task(id, kwargs)
    return TextEnv(task, full, render_mode=render_mode, max_cycles=max_cycles)


def make_task(id: str, **kwargs: Any) -> Task:
    """The bare task of `id`, without PettingZoo around it."""
    return _make_task(id, kwargs)[0]


def task_class(id: str) -> Callable[..., Task]:
    """The class behind `id`, imported now; its docstring is the environment's page."""
    module, _, name = spec(id).entry_point.partition(":")
    return getattr(importlib.import_module(module), name)


def parameters(id: str) -> dict[str, inspect.Parameter]:
    """The keywords of `make` that are the task's own, with their defaults.

    In the place of a constructor's `frame: Frame = Frame(...)` stand the fields of that default.
    """
    declared = inspect.signature(task_class(id)).parameters
    default = _default_frame(declared)
    keywords: dict[str, inspect.Parameter] = {}
    for name, parameter in declared.items():
        if name == "frame" and default is not None:
            values = vars(default)
            keywords |= {field: parameter.replace(name=field, default=values[field]) for field in values}
        else:
            keywords[name] = parameter
    return keywords


def pprint_registry() -> None:
    """Print the table of environments."""
    width = max(map(len, _specs))
    print("\n".join(f"{s.id:<{width}}  {s.summary}" for s in _specs.values()))


WRAPPING: Mapping[str, Any] = {"shots": 0, "talk": 0, "message_chars": 280, "order": "simultaneous"}
"""keywords of `make` for every task, with their defaults"""


def _make_task(id: str, kwargs: Mapping[str, Any]) -> tuple[Task, EnvSpec]:
    base, build, own = spec(id), task_class(id), parameters(id)
    names = [*own, *(name for name in WRAPPING if name not in own)]
    for name in kwargs:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it knows {', '.join(names)}"
            raise TypeError(f"{id}: no keyword {name!r}{hint}")
    if kwargs.get("items") is not None:  # as plain data: iterators end, data sets do not fit into records
        kwargs = {**kwargs, "items": storable(kwargs["items"])}
    merged = copy.deepcopy({**base.kwargs, **kwargs})
    wrapping = {name: merged.pop(name, WRAPPING[name]) for name in names[len(own) :]}
    task = _wrapped(_build(build, copy.deepcopy(merged)), {**WRAPPING, **wrapping}, merged)
    if not wrapping.get("talk"):
        wrapping.pop("message_chars", None)  # without messages it changes nothing
    merged |= {name: value for name, value in wrapping.items() if value != WRAPPING[name]}
    return task, EnvSpec(base.id, base.entry_point, merged, base.summary)


def _wrapped(task: Task, wrapping: Mapping[str, Any], own: Mapping[str, Any]) -> Task:
    """The task with examples, message rounds and an order of writing, where those were asked for."""
    shots = whole_number("shots", wrapping["shots"], least=0)
    rounds = whole_number("talk", wrapping["talk"], least=0)
    message_chars = whole_number("message_chars", wrapping["message_chars"], least=1)
    order = choice("order", wrapping["order"], ("simultaneous", "sequential"))
    terse, alone = own.get("prompts") == "terse", own.get("self_contained", False)
    if shots:
        task = Shots(task, shots, terse=terse, self_contained=alone)
    if len(task.agents) == 1:
        return task
    if rounds:
        task = Talk(task, rounds, message_chars, terse=terse, self_contained=alone)
    return Sequential(task, terse=terse) if order == "sequential" else task


def _default_frame(declared: Mapping[str, inspect.Parameter]) -> Frame | None:
    """The `Frame` of a constructor that takes one as `frame`; None where it takes none."""
    if "frame" not in declared:
        return None
    parameter = declared["frame"]
    if parameter.default is parameter.empty and parameter.annotation in (Frame, "Frame"):
        return Frame()
    return parameter.default if isinstance(parameter.default, Frame) else None


def _build(build: Callable[..., Task], kwargs: Mapping[str, Any]) -> Task:
    """The task of these keywords; the fields of `Frame` go into one where the constructor takes it."""
    declared = inspect.signature(build).parameters
    default = _default_frame(declared)
    if default is None:
        return build(**kwargs)
    shared = {name: value for name, value in kwargs.items() if name not in declared}
    own = {name: value for name, value in kwargs.items() if name in declared}
    return build(**own, frame=replace(default, **shared))
