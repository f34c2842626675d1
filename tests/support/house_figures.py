"""Figures of the house, by the standard library:  python tests/support/house_figures.py [FOLDER] [--names]

    functions     lines of a function: half of them have at most p50, nine in ten at most p90, the longest max
    probes        getattr( and hasattr( for each 1000 lines
    long files    files above 250 lines
    vague         bindings (assignments, parameters, loop variables) whose name tells nothing
    rooms         imports from one folder of a package to another one

`--names` lists the vague bindings by file instead.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

PACKAGES = ("collm_envs", "baselines", "leaderboard")
VAGUE = frozenset(
    (
        *("one", "ones", "some", "said", "told", "found", "made", "asked", "known", "rest", "whole", "place"),
        *("places", "thing", "things", "heard", "got", "given", "mine", "theirs", "want", "wanted", "seen"),
    )
)
"""names that say nothing of what they hold"""


def sources(root: Path) -> dict[str, str]:
    """{path: source} of the packages under `root`."""
    return {
        str(path.relative_to(root)): path.read_text(encoding="utf-8")
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }


def bindings(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound: assigned, a parameter, a loop's or a comprehension's variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
            yield node.arg


def function_lengths(tree: ast.AST) -> Iterator[int]:
    """Lines of every function, docstring included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.end_lineno - node.lineno + 1


def room(module: str) -> str:
    """The folder of a package that a module lies in, or the module itself."""
    return ".".join(module.split(".")[:2])


def imports_between_rooms(trees: dict[str, ast.AST]) -> Counter[tuple[str, str]]:
    """{(from, to): how often}, modules of ours alone."""
    modules = {path: path.removesuffix(".py").replace("/", ".").removesuffix(".__init__") for path in trees}
    pairs: Counter[tuple[str, str]] = Counter()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
                targets = {f"{node.module}.{alias.name}" for alias in node.names} & set(modules.values())
                pairs.update((room(modules[path]), room(target)) for target in targets or {node.module})
    return Counter({pair: count for pair, count in pairs.items() if pair[0] != pair[1]})


def figures(root: Path) -> dict[str, float]:
    """The table's cells by name."""
    texts = sources(root)
    trees: dict[str, ast.AST] = {path: ast.parse(text) for path, text in texts.items()}
    lines = sum(text.count("\n") for text in texts.values())
    lengths = [length for tree in trees.values() for length in function_lengths(tree)]
    names = [name for tree in trees.values() for name in bindings(tree)]
    vague = sum(name in VAGUE for name in names)
    probes = sum(text.count("getattr(") + text.count("hasattr(") for text in texts.values())
    return {
        "files": len(texts),
        "lines": lines,
        "function p50": round(quantiles(lengths, n=2)[0]),
        "function p90": round(quantiles(lengths, n=10)[8]),
        "function max": max(lengths),
        "probes per 1000 lines": round(1000 * probes / lines, 1),
        "files above 250 lines": sum(text.count("\n") > 250 for text in texts.values()),
        "bindings": len(names),
        "vague bindings": vague,
        "vague %": round(100 * vague / len(names), 1),
        "files in the fullest folder": max(Counter(str(Path(path).parent) for path in texts).values()),
        "imports between rooms": len(imports_between_rooms(trees)),
    }


def vague_names(root: Path) -> dict[str, Counter[str]]:
    """{path: {vague name: bindings}}, for the files that have any."""
    counts = {
        path: Counter(name for name in bindings(ast.parse(text)) if name in VAGUE)
        for path, text in sources(root).items()
    }
    return {path: count for path, count in counts.items() if count}


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--names"]
    folder = Path(arguments[0] if arguments else ".")
    rows = vague_names(folder) if "--names" in sys.argv else figures(folder)
    for name, value in rows.items():
        cell = (
            ", ".join(f"{word} {count}" for word, count in value.items())
            if isinstance(value, Counter)
            else value
        )
        print(f"{name:32}{cell}")
