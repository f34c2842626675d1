"""The floors of the house: a module imports its own floor and those below, and what else is forbidden."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import collm_envs

ROOT = Path(__file__).parent.parent
PACKAGES = ("collm_envs", "baselines", "leaderboard")
FLOORS = {
    "collm_envs.task": 0,
    "collm_envs.settings": 1,
    "collm_envs.text": 1,
    "collm_envs.datasets": 1,
    "collm_envs.sandbox": 1,
    "collm_envs.building": 2,
    "collm_envs.coding": 2,
    "collm_envs.writing": 2,
    "collm_envs.render.blocks": 2,
    "collm_envs.render.faces": 2,
    "collm_envs.render.ascii": 2,
    "collm_envs.render.voxel": 2,
    "collm_envs.space": 2,
    "collm_envs.wrappers": 2,
    "collm_envs.envspec": 2,
    "collm_envs.env": 3,
    "collm_envs.registry": 4,
    "collm_envs": 5,
    "baselines.core.episode": 6,
    "baselines.core.coalitions": 7,
    "baselines.core.batch": 7,
    "baselines.core.losses": 7,
    "baselines.core.advantages": 7,
    "baselines.core.optim": 7,
    "baselines.core.sampling": 7,
    "baselines.core.render": 7,
    "baselines.core.decode": 7,
    "baselines.core.features": 7,
    "baselines.core.language": 7,
    "baselines.core.pinned": 7,
    "baselines.core.models": 7,
    "baselines.core.lm": 8,
    "baselines.core.critic": 8,
    "baselines.core.credit": 8,
    "baselines.core.learned": 8,
    "baselines.core.written": 8,
    "baselines.core.settings": 8,
    "baselines.core.team": 8,
    "baselines.core.improve": 8,
    "baselines.core": 9,
    "baselines.tiny": 9,
    "baselines.games": 9,
    "baselines": 10,
    "leaderboard": 10,
    "baselines.core.ask": 11,
    "baselines.core.commands": 11,
    "baselines.core.demo": 11,
    "baselines.core.report": 11,
    "baselines.core.rows": 11,
    "baselines.core.values": 11,
    "baselines.cli": 11,
    "baselines.__main__": 11,
    "baselines.console": 11,
}
"""by the longest prefix of the module's name"""
FAMILIES = ("collm_envs.building", "collm_envs.coding", "collm_envs.writing")
ONLY_IN = {
    "torch": ("baselines",),
    "transformers": ("baselines",),
    "peft": ("baselines",),
    "pettingzoo": ("collm_envs.env", "collm_envs.registry", "collm_envs.adapters", "baselines"),
    "datasets": ("collm_envs.datasets", "baselines"),
    "subprocess": ("collm_envs.sandbox", "baselines", "leaderboard"),
    "multiprocessing": ("collm_envs.sandbox", "baselines"),
    "socket": ("collm_envs.sandbox",),
    "urllib": ("collm_envs.chat", "collm_envs.deadline", "collm_envs.datasets", "baselines", "leaderboard"),
    "requests": (),
}
"""module of somebody else's -> the only places of ours that may import it"""
NO_ALGORITHM = (
    "baselines",
    "baselines.__main__",
    "baselines.cli",
    "baselines.console",
    "baselines.hf",
    "baselines.protocols",
)


@cache
def read_sources() -> dict[str, str]:
    """{module: source} of our packages."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name] = path.read_text(encoding="utf-8")
    return found


def names(sources: dict[str, str]) -> set[str]:
    return {name.removesuffix(".__init__") for name in sources}


def imports(module: str, source: str, modules: set[str]) -> Iterator[str]:
    """The names of all modules that `source` imports, wherever in the file, relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *([base] if base else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                exported = base == "collm_envs" and alias.name in collm_envs.__all__
                yield full if full in modules and not exported else base


def is_in(module: str, prefixes) -> bool:
    return any(module == prefix or module.startswith(prefix + ".") for prefix in prefixes)


def floor(module: str) -> int:
    parts = module.split(".")
    return next(FLOORS[p] for k in range(len(parts), 0, -1) if (p := ".".join(parts[:k])) in FLOORS)


def is_algorithm(module: str) -> bool:
    return module.count(".") == 1 and module.startswith("baselines.") and module not in NO_ALGORITHM


def why_not(module: str, target: str, packages: set[str]) -> str:
    """What is wrong with `module` importing `target`; "" where nothing is."""
    if not is_in(target, PACKAGES):
        allowed = ONLY_IN.get(target.split(".")[0])
        return "" if allowed is None or is_in(module, allowed) else f"only {allowed} may"
    outside, inner = not is_in(module, ("collm_envs",)), is_in(target, ("collm_envs",))
    if floor(target) > floor(module):
        return f"floor {floor(module)} imports floor {floor(target)}"
    if outside and inner and floor(target) < 5 and not is_in(target, ("collm_envs.sandbox",)):
        return "collm_envs has a public door"
    families = [f for f in FAMILIES if is_in(module, (f,)) and is_in(target, [g for g in FAMILIES if g != f])]
    if families:
        return "families do not know each other"
    if is_in(module, ("leaderboard",)) and is_in(target, ("baselines",)):
        return "the leaderboard knows no trainer"
    if is_algorithm(module) and target in packages and is_algorithm(target) and target not in (module,):
        return "an algorithm never imports its sibling"
    return ""


def violations(sources: dict[str, str], packages: set[str]) -> list[str]:
    found = []
    for name, source in sources.items():
        module = name.removesuffix(".__init__")
        for target in dict.fromkeys(imports(name, source, packages)):
            if why := why_not(module, target, packages):
                found.append(f"{module} imports {target}: {why}")
    return found


def test_every_module_imports_its_own_floor_and_those_below():
    sources = read_sources()
    assert {"collm_envs.task", "collm_envs.env", "baselines.magrpo", "baselines.cli"} <= set(sources)
    assert violations(sources, names(sources)) == []


def test_every_floor_names_a_module_that_exists():
    modules = names(read_sources()) | {"leaderboard"}
    planned = {
        "baselines.__main__",
        "collm_envs.adapters",
        "baselines.core.credit",
        "baselines.hf",
        "baselines.protocols",
    }
    assert set(FLOORS) - modules - planned == set()


@pytest.mark.parametrize(
    ("module", "line", "why"),
    [
        ("collm_envs.task", "from collm_envs.text import words", "floor 0 imports floor 1"),
        ("collm_envs.building.words", "from collm_envs import Task", "floor 2 imports floor 5"),
        ("collm_envs.building.words", "from collm_envs.coding.problem import x", "families do not know"),
        ("collm_envs.building.words", "from ..writing import lexicon", "families do not know"),
        ("collm_envs.building.words", "import pettingzoo", "only"),
        ("collm_envs.env", "def f():\n    from collm_envs.registry import make", "floor 3 imports floor 4"),
        ("collm_envs.render.voxel", "from collm_envs.render.page import page", "floor 2 imports floor 5"),
        ("collm_envs.evaluate", "import torch.nn as nn", "only"),
        ("collm_envs.evaluate", "from baselines.core import lm", "floor 5 imports floor 8"),
        ("collm_envs.text", "import subprocess", "only"),
        ("baselines.core.losses", "from baselines.core.lm import x", "floor 7 imports floor 8"),
        ("baselines.core.rollout", "import baselines.magrpo", "floor 9 imports floor 10"),
        ("baselines.maac", "from baselines.magrpo import train", "never imports its sibling"),
        ("baselines.maac", "from baselines import magrpo", "never imports its sibling"),
        ("baselines.maac", "from collm_envs.task import Item", "public door"),
        ("leaderboard.verify", "from baselines.core import rollout", "knows no trainer"),
        ("leaderboard.verify", "import torch", "only"),
    ],
)
def test_a_planted_violation_is_found(module, line, why):
    (found,) = violations({module: line}, names(read_sources()))
    assert why in found
