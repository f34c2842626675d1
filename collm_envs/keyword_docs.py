"""What the keywords of an environment are: types from the constructor, meanings from docstrings.

A task's docstring has a paragraph `**Keywords.**`, a list of "- `name`: meaning".  What means the same in
every task is described in `collm_envs.keywords`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from types import UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from collm_envs.keywords import MEANINGS, Frame
from collm_envs.registry import WRAPPING, parameters, task_class

KEYWORDS = "**Keywords.**"
"""the beginning of the paragraph"""
_LISTED = re.compile(r"^- `(\w+)`: (.*(?:\n  .*)*)", re.MULTILINE)


class Keyword(NamedTuple):
    """A keyword of `make`, for a table."""

    name: str
    type: str
    """"" if the constructor does not say"""
    default: str
    meaning: str
    """a sentence, "" if nothing says it"""


def keyword_rows(id: str) -> list[Keyword]:
    """Every keyword of `make` that is the task's own."""
    meanings, types = _meanings(task_class(id)), _types(task_class(id))
    return [
        Keyword(
            name,
            types.get(name, ""),
            "required" if parameter.default is parameter.empty else repr(parameter.default),
            meanings.get(name, ""),
        )
        for name, parameter in parameters(id).items()
    ]


def general_keywords() -> list[Keyword]:
    """The keywords of `make` that every task of more than one agent has."""
    kinds = {name: type(default).__name__ for name, default in WRAPPING.items()}
    return [Keyword(name, kinds[name], repr(WRAPPING[name]), MEANINGS[name]) for name in WRAPPING]


def _meanings(task: Any) -> dict[str, str]:
    """{keyword: meaning} from the docstrings of a class and its bases, over what is so in every task."""
    found = {**MEANINGS, **field_docs(inspect.getsource(Frame))}
    for base in reversed(inspect.getmro(task) if isinstance(task, type) else (task,)):
        parts = re.split(r"\n\s*\n", inspect.getdoc(base) or "")
        for part in (part for part in parts if part.startswith(KEYWORDS)):
            found |= {name: " ".join(text.split()) for name, text in _LISTED.findall(part)}
    return found


def field_docs(source: str) -> dict[str, str]:
    """{field: the text under it} of the one class in a source text."""
    [parsed] = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    docs = {}
    for node, after in zip(parsed.body, parsed.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
            docs[ast.unparse(node.target)] = " ".join(ast.literal_eval(after.value).split())
    return docs


def _types(task: Any) -> dict[str, str]:
    """{keyword: its type in words} of a constructor; the fields of `Frame` in its place."""
    try:
        hints = get_type_hints(task.__init__ if isinstance(task, type) else task)
    except NameError:  # of a type that is imported for checkers alone
        return {}
    if hints.get("frame") is Frame:
        hints = {**get_type_hints(Frame), **hints}
    return {name: _type_name(hint) for name, hint in hints.items()}


def _type_name(hint: Any) -> str:
    parts = get_args(hint)
    if get_origin(hint) is Literal:
        return " | ".join(map(repr, parts))
    if get_origin(hint) in (Union, UnionType):
        return " | ".join(map(_type_name, parts))
    if hint in (Any, type(None)):
        return "any" if hint is Any else "None"
    if not parts:
        return hint.__name__
    return re.sub(r"\b[a-z_.]+\.", "", str(hint)).replace("Any", "any")


def keyword_table(listed: Sequence[Keyword]) -> str:
    """Keywords as a table in Markdown."""
    rows = [(f"`{k.name}`", f"`{k.type}`" if k.type else "", f"`{k.default}`", k.meaning) for k in listed]
    return markdown_table(("keyword", "type", "default", "meaning"), rows)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; a `|` in a cell stays one."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
