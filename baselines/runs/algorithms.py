"""Algorithms by name, found by listing and read without importing them: a typo costs no seconds of torch.

An algorithm is a module with

    Config                       its settings, a dataclass with `to_dict` and the fields of `run.RunSettings`
    team(config, subject)        what is trained; it has `step`, `state_dict` and `load_state_dict`
    train(config, subject, team) yields metrics after each of `config.steps` steps

A `Config` that inherits from `baselines.train.settings.Settings` trains language models: its subject is the
task, and runs/texts.py knows the rest.  Any other kind of algorithm also defines

    label(config) -> str                  for the folder's name: runs/ALGORITHM-LABEL-seedN
    subject(config)                       what is played
    measure(config, subject, team)        one evaluation: "return" and other numbers
    save(config, team, out) -> [names]    what is executed, written into the run's folder at its end

Ours are the files of `baselines/` that define the first three.  Anybody else's is named as it is imported:
`collm train package.module`, or `collm train module` for a file in the current folder.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

CONTRACT = ("Config", "team", "train")
"""what every algorithm defines"""
BESIDES = ("label", "subject", "measure", "save")
"""what an algorithm defines in addition if its `Config` does not inherit from `Settings`"""
FOLDER = Path(__file__).parents[1]


def names() -> tuple[str, ...]:
    """Our algorithms: the files directly in `baselines/` that define Config, team and train."""
    files = sorted(FOLDER.glob("[!_]*.py"))
    return tuple(file.stem for file in files if not lacking(_parsed(file), CONTRACT))


def module_of(name: str) -> str:
    """The import name of the module behind an algorithm's name on the command line.

    Raises ValueError, with the nearest known name, where there is no such module, and where the source of it
    lacks a part of the contract.
    """
    module = f"baselines.{name}" if (FOLDER / f"{name}.py").is_file() else name
    spec = find(module)
    if spec is None:
        known_names = names()
        near = f"; did you mean {_near(name, known_names)!r}?" if _near(name, known_names) else ""
        expected = f"one of {', '.join(known_names)}, or a module of your own, as package.module"
        raise ValueError(f"algorithm must be {expected}, got {name!r}{near}")
    if spec.origin is None or not spec.origin.endswith(".py"):
        raise ValueError(f"{module} is no algorithm: it is no Python file")
    check_contract(module, lacking(_parsed(Path(spec.origin)), CONTRACT))
    return module


def algorithm(name: str) -> ModuleType:
    """The module of an algorithm, imported.  Raises ValueError for one that is none, naming what it lacks."""
    module = importlib.import_module(module_of(name))
    from baselines.train.settings import Settings  # with torch

    check_contract(module.__name__, [part for part in CONTRACT if part not in vars(module)])
    if not isinstance(module.Config, type):
        raise ValueError(f"{module.__name__}: Config must be a class of settings, got {module.Config!r}")
    if not issubclass(module.Config, Settings):
        parts = [part for part in BESIDES if part not in vars(module)]
        why = "its Config is none of baselines.train.settings.Settings, so it needs these too"
        check_contract(module.__name__, parts, why)
    return module


def check_contract(module: str, parts: Sequence[str], why: str = "") -> None:
    """Raise ValueError where there are `parts` of the contract that a module lacks."""
    if parts:
        rule = why or "an algorithm has Config, team(config, task) and train(config, task, team)"
        raise ValueError(f"{module} is no algorithm to train: it lacks {', '.join(parts)} ({rule})")


def nearest(name: str, known_names: Sequence[str]) -> str:
    """The end of an error message: "; did you mean 'x'?", or all the known names."""
    near = _near(name, known_names)
    return f"; did you mean {near!r}?" if near else f"; there are {', '.join(known_names)}"


def _near(name: str, known_names: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known_names, n=1)), "")


def find(module: str) -> ModuleSpec | None:
    """A module's spec, None where it does not exist; imports the packages around it, not itself."""
    if not all(part.isidentifier() for part in module.split(".")):
        return None
    try:
        return importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            return None
        raise  # the package is there, and lacks something that it imports


def lacking(tree: ast.Module, required: Sequence[str]) -> list[str]:
    """Those of the `required` names that a module's source does not bind."""
    bound = set(_bound(tree))
    return [] if "*" in bound else [name for name in required if name not in bound]


def _bound(tree: ast.Module) -> Iterator[str]:
    """The names that the statements of a module bind, imported ones too; "*" where it imports all of some."""
    waiting: list[ast.AST] = [*tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name  # what is bound within is no name of the module
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        waiting += ast.iter_child_nodes(node)


def fields_of(module: str, name: str = "Config") -> dict[str, str] | None:
    """Field -> annotation of a dataclass and of those it inherits from, read from the source.

    None where the source alone does not tell: a base that is called or computed, a field with other flags.
    """
    spec = find(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    tree = _parsed(Path(spec.origin))
    imported = dict(_imported(tree, module if spec.submodule_search_locations else spec.parent or ""))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        return fields_of(*imported[name]) if name in imported else None
    fields: dict[str, str] = {}
    for base in reversed(classes[name].bases):
        where = _class_of(base, imported, module)
        inherited = fields_of(*where) if where else None
        if inherited is None:
            return None
        fields |= inherited
    for node in classes[name].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            fields[node.target.id] = ast.unparse(node.annotation)
    fields = {field: kind for field, kind in fields.items() if "ClassVar" not in kind}
    return None if any("name=" in kind or "aliases=" in kind for kind in fields.values()) else fields


def _imported(tree: ast.Module, package: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """(name here, (module, name there)) for every `from MODULE import NAME`."""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from ((alias.asname or alias.name, (source, alias.name)) for alias in node.names)


def _class_of(base: ast.expr, imported: dict[str, tuple[str, str]], module: str) -> tuple[str, str] | None:
    """(module, name) of a base class that is written as `Base` or as `module.Base`."""
    if isinstance(base, ast.Name):
        return imported.get(base.id, (module, base.id))
    if isinstance(base, ast.Attribute) and isinstance(base.value, ast.Name) and base.value.id in imported:
        return ".".join(imported[base.value.id]), base.attr
    return None


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"), str(file))
    except SyntaxError as error:
        raise ValueError(f"{file}:{error.lineno}: {error.msg}") from None
