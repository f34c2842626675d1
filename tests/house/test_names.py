"""One word, one meaning: a public class has its name for itself, and so has a function imported by its name.

A function that is called as `module.name` is read with its module, like `run.train` or `checkpoint.save`.
One that is imported by its name is read alone: no other module's function may be imported by the same name.
"""

import ast
from collections import defaultdict
from functools import cache

from folders import ROOT

CLASSES = {
    "Config": "of every algorithm, found by this name",
    "State": "of every task, its own",
    "Program": "inside and outside of the sandbox's wall, which share no code",
}
"""class -> the meanings it has all the same"""
FUNCTIONS = {
    "main": "runs a command line",
    "parse": "reads what somebody wrote by its grammar: an agent's commands, the name of a policy",
    "generate": "draws the items of a building task",
    "read_items": "the items of a building task from a user's rows",
    "ration": "deals the blocks of a building task to the agents",
    "lay_out": "the places of a word's letters, in each version of StrBuild",
    "house_score": "the score of a house, in each version of HouseBuild",
    "jobs": "the episodes to play: of an environment, of a list of the leaderboard",
    "read": "what a file holds: the records of an evaluation, the parts of an entry",
    "standing": "{cell: block} of what stands in a world, each kind of world its own",
}
"""function -> what all that are imported by this name have in common"""


@cache
def trees():
    """{module: syntax tree} of our packages; a package's own module ends in `.__init__`."""
    return {
        ".".join(file.relative_to(ROOT).with_suffix("").parts): ast.parse(file.read_text(encoding="utf-8"))
        for package in ("collm_envs", "baselines", "leaderboard")
        for file in sorted((ROOT / package).rglob("*.py"))
    }


def definitions(kind) -> dict[str, list[str]]:
    """{public name: the modules that define it}"""
    places = defaultdict(list)
    for module, tree in trees().items():
        for node in tree.body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                places[node.name].append(module.removesuffix(".__init__"))
    return places


def imported_functions() -> dict[str, set[str]]:
    """{public function: the modules it is imported from by its name, those that define it}"""
    defined, lenders = definitions(ast.FunctionDef), defaultdict(set)
    for module, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                parts = module.split(".")[: -node.level] if node.level else []
                base = ".".join([*parts, *([node.module] if node.module else [])])
                for alias in node.names:
                    if base in defined.get(alias.name, ()):
                        lenders[alias.name].add(base)
    return lenders


def test_a_public_class_has_its_name_for_itself():
    classes = definitions(ast.ClassDef)
    assert {"Seat", "Record", "Move"} <= set(classes)
    assert {n: places for n, places in classes.items() if len(places) > 1 and n not in CLASSES} == {}


def test_a_function_imported_by_its_name_has_the_name_for_itself():
    lenders = imported_functions()
    assert {"load_model", "build_team", "group_baseline"} <= set(lenders)
    assert {n: sorted(m) for n, m in lenders.items() if len(m) > 1 and n not in FUNCTIONS} == {}


def test_every_exception_is_still_needed():
    classes, lenders = definitions(ast.ClassDef), imported_functions()
    assert [name for name in CLASSES if len(classes[name]) < 2] == []
    assert [name for name in FUNCTIONS if len(lenders[name]) < 2] == []
