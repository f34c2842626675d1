"""One word, one meaning: a public class has its name for itself."""

import ast
from collections import defaultdict

from folders import ROOT

ALLOWED = {
    "Config": "of every algorithm, found by this name",
    "State": "of every task, its own",
    "Program": "inside and outside of the sandbox's wall, which share no code",
}
"""name -> the meanings it has all the same"""


def class_places() -> dict[str, list[str]]:
    """{public class: the modules that define it}"""
    places = defaultdict(list)
    for package in ("collm_envs", "baselines", "leaderboard"):
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(file.relative_to(ROOT)))
    return places


def test_a_public_class_has_its_name_for_itself():
    shared = {name: places for name, places in class_places().items() if len(places) > 1}
    assert {"Seat", "Record", "Move"} <= set(class_places())
    assert {name: places for name, places in shared.items() if name not in ALLOWED} == {}
