"""The language of written credit functions, a subset of Python on the numbers of one turn, and its checker.

    baseline(ctx, feat, me)         -> b         expected team reward, independent of the text of agent `me`
    weights(ctx)                    -> [w] * N   shares of the team's advantage, known before the turn
    mix(ctx, feat, pair, reward)    -> [c] * N   each agent's part in the reward

Arithmetic, comparisons, `if`, `for` over what is there, comprehensions, functions, a few builtins, and
`from math import ...`; no attributes, no other import, no `while`.  Inputs are read as ctx["name"], by
names that the environment has, so what a function reads is known before it runs.

This check is a second line of defence: unreviewed code runs in a sandbox even when it passes.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, get_args

Mode = Literal["baseline", "weights", "mix"]
MODES: Mapping[str, tuple[str, ...]] = {
    "baseline": ("ctx", "feat", "me"),
    "weights": ("ctx",),
    "mix": ("ctx", "feat", "pair", "reward"),
}
"""mode, which is also the function's name -> its parameters"""
PLACES = ("ctx", "feat", "pair")
"""parameters that are read by name"""
BUILTINS = (
    *("abs", "all", "any", "bool", "enumerate", "float", "int", "len", "list", "max", "min", "range"),
    *("reversed", "round", "sorted", "sum", "tuple", "zip"),
)
MATH = tuple(name for name in vars(math) if not name.startswith("_"))
FAILURES = (ArithmeticError, LookupError, MemoryError, NameError, RecursionError, TypeError, ValueError)
"""exceptions that a function of this language can raise"""
MAX_CHARS = 8000
MAX_DEPTH = 100
"""largest nesting of expressions and blocks; bounds the recursion of the checker"""

_FINE = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.Expr),
    *(ast.If, ast.For, ast.Break, ast.Continue, ast.Pass, ast.IfExp, ast.BinOp, ast.UnaryOp, ast.BoolOp),
    *(ast.Compare, ast.Call, ast.keyword, ast.Name, ast.Constant, ast.Subscript, ast.Slice, ast.List),
    *(ast.Tuple, ast.ListComp, ast.GeneratorExp, ast.comprehension, ast.ImportFrom, ast.alias),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
_WHY: Mapping[type[ast.AST], str] = {
    ast.While: "`while` is not allowed: loop over a list or a range",
    ast.Attribute: "attributes and methods are not allowed",
    ast.Import: "imports are not allowed, except `from math import ...`",
    ast.Global: "a function may not keep anything from one call to the next",
    ast.Nonlocal: "a function may not keep anything from one call to the next",
}


class Refused(ValueError):
    """A function that must not be used; the message is the reason."""


def reads(source: str, mode: str) -> dict[str, tuple[str, ...]]:
    """The names that `source` reads from each of ctx, feat and pair.

    Raises Refused with every reason why it is no `mode` function of this language, a line each.
    """
    if len(source) > MAX_CHARS:
        raise Refused(f"{len(source)} characters of source; at most {MAX_CHARS} are read")
    for number, line in enumerate(source.split("\n"), start=1):
        if not line.replace("\t", " ").isprintable():  # a reviewer must see what is there
            raise Refused(f"line {number}: characters that do not print")
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = error.lineno if isinstance(error, SyntaxError) else 0
        raise Refused(f"line {line}: {type(error).__name__}: {error}") from None
    if _depth(tree) > MAX_DEPTH:
        raise Refused(f"nested deeper than {MAX_DEPTH}")
    reasons = [*_signature(tree, mode), *_nodes(tree), *_names(tree, mode)]
    if reasons:
        raise Refused("\n".join(dict.fromkeys(reasons)))
    named = list(_named(tree))
    return {argument: tuple(sorted({n for p, n in named if p == argument})) for argument in PLACES}


def mode_of(source: str) -> Mode:
    """The mode whose function a source defines; Refused unless it is exactly one."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise Refused(f"no Python: {error}") from None
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    modes = [mode for mode in get_args(Mode) if mode in names]
    if len(modes) != 1:
        raise Refused(f"need one function called {', '.join(MODES)}; got {modes or 'none'}")
    return modes[0]


def check_names(read: Mapping[str, Collection[str]], available: Mapping[str, Collection[str]]) -> None:
    """Refuse a function that reads what the environment does not have."""
    for argument, names in read.items():
        for name in sorted(set(names) - set(available[argument])):
            there = ", ".join(available[argument]) or "nothing"
            raise Refused(f"{argument}[{name!r}] is unknown: {argument} has {there}")


def _depth(tree: ast.AST) -> int:
    depth, level = 0, [tree]
    while level:
        depth, level = depth + 1, [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


def _signature(tree: ast.Module, mode: str) -> Iterator[str]:
    signature = f"def {mode}({', '.join(MODES[mode])})"
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == mode]
    if len(functions) != 1:
        yield f"need one function `{signature}`, got {len(functions)} of that name"
        return
    parameters = tuple(arg.arg for arg in functions[0].args.args)
    if parameters != MODES[mode]:
        what = f"got `def {mode}({', '.join(parameters)})`{_own_action(mode, parameters)}"
        yield f"line {functions[0].lineno}: need `{signature}`, {what}"


def _own_action(mode: str, names: Collection[str]) -> str:
    if mode == "weights" and {"feat", "pair", "reward"} & set(names):
        return ": a weight that looks at what agents just wrote (own action) can turn the gradient around"
    return ""


def _nodes(tree: ast.Module) -> Iterator[str]:
    """A line for each syntax element outside the language."""
    for node in ast.walk(tree):
        where = f"line {node.lineno}: " if isinstance(node, (ast.stmt, ast.expr)) else ""
        if not isinstance(node, _FINE):
            name = type(node).__name__
            yield where + _WHY.get(type(node), f"{name} is not part of this language")
        elif isinstance(node, ast.ImportFrom) and (
            node.module != "math" or any(a.name not in MATH or a.asname for a in node.names)
        ):
            yield where + "imports are not allowed, except `from math import ...` of names it has"
        elif isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            yield where + "an expression whose value is not used"
        elif isinstance(node, ast.FunctionDef) and (node.decorator_list or not _plain(node.args)):
            yield where + "functions take plain parameters: no defaults, stars or decorators"
        elif isinstance(node, ast.comprehension) and node.is_async:
            yield "asynchronous comprehensions are not part of this language"
    for node in tree.body:
        if isinstance(node, ast.Assign) and not _number(node.value):
            yield f"line {node.lineno}: outside functions only constant numbers and tuples of them may be set"
        elif not isinstance(node, (ast.Assign, ast.FunctionDef, ast.ImportFrom, ast.Expr)):
            yield f"line {node.lineno}: outside functions only constants, functions and the import may stand"


def _plain(args: ast.arguments) -> bool:
    return not (args.defaults or args.kw_defaults or args.vararg or args.kwarg or args.kwonlyargs)


def _number(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return all(map(_number, node.elts))
    if isinstance(node, ast.UnaryOp):
        return _number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float))


def _names(tree: ast.Module, mode: str) -> Iterator[str]:
    """A line for each unknown name, and for each input that is not read as input["name"]."""
    bound = {*BUILTINS, *(p for p in PLACES if p in MODES[mode])}
    good: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            bound |= {node.name, *(arg.arg for arg in node.args.args)} - {*PLACES}
        elif isinstance(node, ast.ImportFrom):
            bound |= {alias.name for alias in node.names}
            for alias in node.names:
                yield from _taken(alias.name, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
        elif _by_name(node):
            good.add(id(node.value))  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            where = f"line {node.lineno}: "
            if isinstance(node.ctx, ast.Store):
                yield from _taken(node.id, node.lineno)
            if node.id in PLACES and node.id not in MODES[mode]:
                yield f"{where}`{node.id}` is not given in mode {mode}{_own_action(mode, [node.id])}"
            elif node.id in PLACES and id(node) not in good:
                yield f'{where}read `{node.id}` by name, as {node.id}["..."], and nothing else of it'
            elif node.id not in bound:
                yield f"{where}`{node.id}` is not known here"
        elif isinstance(node, (ast.FunctionDef, ast.arg)):
            name = node.name if isinstance(node, ast.FunctionDef) else node.arg
            yield from _taken(name, node.lineno)


def _taken(name: str, line: int) -> Iterator[str]:
    """A line where `name` is a builtin's: bound in one function, it would count as known in all others."""
    if name.startswith("_") or hasattr(builtins, name):
        yield f"line {line}: `{name}` cannot be a name here: it begins with _ or is Python's own"


def _by_name(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and isinstance(node.value, ast.Name)
        and node.value.id in PLACES
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    )


def _named(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if _by_name(node):
            yield node.value.id, node.slice.value  # type: ignore[attr-defined]
