"""What a text is, found by parsing it.  Runs in a throw-away process: hostile nesting can only hurt that."""

from __future__ import annotations

import ast
from typing import Any

FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def facts(text: str) -> dict[str, Any]:
    """{"error": [...]} or the top-level functions, imports and other names of a text, as plain data."""
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        return {"error": [type(error).__name__, str(error.msg), error.lineno or 0, error.offset or 0]}
    except (MemoryError, RecursionError, ValueError) as error:
        return {"error": [type(error).__name__, "too deeply nested or too large", 0, 0]}
    imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    functions = [node for node in tree.body if isinstance(node, FUNCTION)]
    return {
        "functions": [_function(node) for node in functions],
        "imports": [ast.unparse(node) for node in imports],
        "classes": [node.name for node in tree.body if isinstance(node, ast.ClassDef)],
    }


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any]:
    inner = [inside for statement in node.body for inside in ast.walk(statement)]
    named = [n.func.id for n in inner if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    a = node.args
    parameters = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs]
    return {
        "name": node.name,
        "line": node.lineno,
        "end_line": node.end_lineno or node.lineno,
        "parameters": [p.arg for p in (*parameters, *([a.kwarg] if a.kwarg else []))],
        "returns": any(isinstance(n, ast.Return) and n.value is not None for n in inner),
        "calls": sorted(set(named)),
    }
