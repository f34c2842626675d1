"""The floors of the house: a module imports its own floor and those below, and what else is forbidden."""

import ast
from collections.abc import Iterator
from functools import cache

import pytest
from folders import ROOT

import collm_envs

PACKAGES = ("collm_envs", "baselines", "leaderboard")
FAMILIES = ("collm_envs.building", "collm_envs.coding", "collm_envs.writing")
FLOORS = {
    "collm_envs.task": 0,
    "collm_envs.keywords": 1,
    "collm_envs.datasets": 1,
    "collm_envs.sandbox": 1,
    **dict.fromkeys(FAMILIES, 2),
    "collm_envs.render": 2,
    "collm_envs.space": 2,
    "collm_envs.wrappers": 2,
    "collm_envs.envspec": 2,
    "collm_envs.env": 3,
    "collm_envs.registry": 4,
    "baselines.formulas": 6,
    "baselines.lm": 6,
    "baselines.play": 7,
    "baselines.tasks": 7,
    "baselines.credit": 8,
    "baselines.games": 9,
    "baselines.train": 9,
    "baselines.runs": 10,
    "baselines": 11,
    "baselines.cli.progress": 6,
    "baselines.cli": 12,
    "baselines.__main__": 12,
}
"""by the longest prefix of the module's name"""
DOOR = 5
"""the floor of all else: what collm_envs shows to everybody, and the leaderboard"""
ROOF = ("collm_envs.adapters",)
FOR_ITSELF = ("collm_envs.sandbox", "collm_envs.render")
"""rooms that people use without an environment"""
ONLY_IN = {
    "torch": ("baselines", "collm_envs.adapters"),
    "transformers": ("baselines",),
    "peft": ("baselines",),
    "pettingzoo": ("collm_envs.env", "collm_envs.registry", "collm_envs.adapters", "baselines"),
    "datasets": ("collm_envs.datasets", "collm_envs.adapters", "baselines"),
    **dict.fromkeys(
        ("trl", "comlrl", "verifiers", "openenv", "torchrl", "tensordict"), ("collm_envs.adapters",)
    ),
    "ray": ("collm_envs.adapters", "baselines.train.placement"),
    "subprocess": ("collm_envs.sandbox", "baselines", "leaderboard"),
    "multiprocessing": ("collm_envs.sandbox", "baselines"),
    "socket": ("collm_envs.sandbox",),
    "urllib": ("collm_envs.policies", "collm_envs.datasets", "baselines", "leaderboard"),
    "requests": (),
}
"""module of somebody else's -> the only places of ours that may import it"""


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
    prefixes = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
    return next((FLOORS[prefix] for prefix in prefixes if prefix in FLOORS), DOOR)


def is_algorithm(module: str) -> bool:
    """Whether `module` is a file directly in baselines/, which is an algorithm and nothing else."""
    file = ROOT / (module.replace(".", "/") + ".py")
    return file.parent == ROOT / "baselines" and file.is_file() and not file.name.startswith("_")


def why_not(module: str, target: str, packages: set[str]) -> str:
    """What is wrong with `module` importing `target`; "" where nothing is."""
    if not is_in(target, PACKAGES):
        allowed = ONLY_IN.get(target.split(".")[0])
        return "" if allowed is None or is_in(module, allowed) else f"only {allowed} may"
    if is_in(module, ("leaderboard",)) and is_in(target, ("baselines",)):
        return "the leaderboard knows no trainer"
    outside, inner = not is_in(module, ("collm_envs",)), is_in(target, ("collm_envs",))
    if is_in(target, ROOF) and is_in(module, ("collm_envs",)) and not is_in(module, ROOF):
        return "the adapters are the roof of collm_envs"
    if floor(target) > floor(module):
        return f"floor {floor(module)} imports floor {floor(target)}"
    if outside and inner and floor(target) < DOOR and not is_in(target, FOR_ITSELF):
        return "collm_envs has a public door"
    families = [f for f in FAMILIES if is_in(module, (f,)) and is_in(target, [g for g in FAMILIES if g != f])]
    if families:
        return "families do not know each other"
    if is_algorithm(module) and is_algorithm(target) and target != module:
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
    assert {"collm_envs.task", "collm_envs.env", "baselines.magrpo", "baselines.cli.main"} <= set(sources)
    assert violations(sources, names(sources)) == []


def test_every_floor_names_a_module_that_exists():
    assert set(FLOORS) - names(read_sources()) == set()
    assert len(FLOORS) <= 25


def test_the_listing_of_baselines_is_the_list_of_algorithms():
    for file in sorted((ROOT / "baselines").glob("[!_]*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        defined = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        assert {"Config", "team", "train"} <= defined or file.stem in UNLIKE, file.name


UNLIKE = ("qllm",)
"""it asks a model for a credit function and trains nothing: `collm qllm`"""


@pytest.mark.parametrize(
    ("module", "line", "why"),
    [
        ("collm_envs.task", "from collm_envs.datasets import Source", "floor 0 imports floor 1"),
        ("collm_envs.building.strbuild.words", "from collm_envs import Task", "floor 2 imports floor 5"),
        (
            "collm_envs.building.strbuild.words",
            "from collm_envs.coding.problem import x",
            "families do not know",
        ),
        ("collm_envs.building.strbuild.words", "from ...writing import lexicon", "families do not know"),
        ("collm_envs.building.strbuild.words", "import pettingzoo", "only"),
        ("collm_envs.env", "def f():\n    from collm_envs.registry import make", "floor 3 imports floor 4"),
        ("collm_envs.render.voxel", "from collm_envs.pages.episode import page", "floor 2 imports floor 5"),
        ("collm_envs.evaluation.episodes", "import torch.nn as nn", "only"),
        ("collm_envs.vector", "from collm_envs.adapters.trl import rollout", "the roof"),
        ("collm_envs.vector", "import trl", "only"),
        ("collm_envs.evaluation.stats", "from baselines.lm import policy", "floor 5 imports floor 6"),
        ("collm_envs.writing.text", "import subprocess", "only"),
        ("baselines.formulas.losses", "from baselines.play.rollout import play", "floor 6 imports floor 7"),
        ("baselines.play.rollout", "import baselines.magrpo", "floor 7 imports floor 11"),
        ("baselines.maac", "from baselines.magrpo import train", "never imports its sibling"),
        ("baselines.maac", "from baselines import magrpo", "never imports its sibling"),
        ("baselines.maac", "from collm_envs.task import Item", "public door"),
        ("leaderboard.verify", "from baselines.play import rollout", "knows no trainer"),
        ("leaderboard.verify", "import torch", "only"),
    ],
)
def test_a_planted_violation_is_found(module, line, why):
    (found,) = violations({module: line}, names(read_sources()))
    assert why in found
