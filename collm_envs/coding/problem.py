"""Reads a row of the data as a checked problem: the prompt and the tests.

The rows are trusted (a data set, or the user's own), so their tests are parsed here, once.  Each test is
one assert: a statement if it names only the entry point, else a `check` function that contains it.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from collm_envs.coding import line_rules
from collm_envs.datasets import Slice, Source

COOPHUMANEVAL = Source(
    task="CoopHE",
    columns={"prompt": (), "test": (), "entry_point": ()},
    extra=("aux", "main", "level", "canonical_solution"),
    id_column="task_id",
    builtin={"train": "coophe_train.jsonl", "eval": "coophe_eval.jsonl"},
    hub=("OpenMLRL/CoopHumanEval", "LovelyBuggies/CoopHumanEval"),
    slices={"train": Slice(("train", "test"), 16), "eval": Slice(("train", "test"), 0, 16)},
)
_SISTERS = {
    "openai/openai_humaneval": (
        "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544",
        {"train": Slice(("test",), 33, 163), "eval": Slice(("test",), 0, 32)},
    ),
    "OpenMLRL/MBPP": ("main", {"train": Slice(("test",), 15, 65), "eval": Slice(("test",), 0, 15)}),
}
"""published data sets of the same layout: pinned revision and slices"""
_HELPER = re.compile(r"aux(_\d+)?")


@dataclass(frozen=True)
class Assert:
    """One assert of a problem's tests."""

    text: str
    """the statement with the entry point in place of the candidate, as feedback shows it"""
    check: str = ""
    """a test module with this assert alone, if `text` needs more names than the entry point"""
    broken: bool = False
    """part of a statement (the line rules cut it): fails whatever the program does"""


@dataclass(frozen=True)
class Problem:
    """A row of the data, parsed."""

    prompt: str
    entry_point: str
    parameters: str
    """names of the entry point's parameters, as in the prompt, joined by ", "; "" for none"""
    imports: str
    """the prompt's import lines"""
    scope: str
    """code that is executed before tests that are modules"""
    tests: tuple[Assert, ...]
    shown: tuple[int, ...]
    """indices of the tests that feedback reports"""
    preamble: str = ""
    """code whose names every module of an agent sees"""


def source(data: Any, hub_revision: str | None = None) -> Source:
    """The data set of `data`: CoopHumanEval and its mirrors, or a data set of the same layout, "hub:NAME".

    Warns if neither this module nor `hub_revision` pins a commit.
    """
    if not isinstance(data, str):
        return COOPHUMANEVAL  # `load` raises the error
    origin = _source(data)
    if (data == "hub" or data.startswith("hub:")) and hub_revision is None and origin.revision == "main":
        warnings.warn(
            f"CoopHE: {data.removeprefix('hub:') if ':' in data else origin.hub[0]} is read at its branch "
            "`main`, which its owners may change; give hub_revision=<commit> for work that is to be repeated",
            stacklevel=4,
        )
    return origin


def _source(data: str) -> Source:
    name = data.removeprefix("hub:")
    if data.startswith("hub:") and name in _SISTERS:
        revision, slices = _SISTERS[name]
        return replace(COOPHUMANEVAL, builtin={}, hub=(name,), revision=revision, slices=slices)
    return COOPHUMANEVAL


def line_problem(row: Mapping[str, Any], slice_of: int) -> Problem:
    """The problem of a row by the published rules: its tests are the one-line asserts of check(candidate).

    `slice_of` chooses the tests for feedback: the first n, the last |n| for n < 0, all for 0.  Raises
    ValueError without a check function.
    """
    entry, test = row["entry_point"], row["test"]
    lines = line_rules.asserts_of(test, entry)
    shown = set(line_rules.asserts_of(line_rules.sliced(test, slice_of), entry))
    tests = [_line_test(line, entry) for line in lines]
    return _problem(row, line_rules.imports_of(row["prompt"]), tests, shown)


def parsed_problem(row: Mapping[str, Any], slice_of: int) -> Problem:
    """The problem of a row with every assert inside check(candidate) as one test.

    Repeated asserts count once; asserts that name neither the candidate nor a variable of `check` are
    dropped.  Raises ValueError for a test that is not Python, has no check function, or
    asserts nothing about the candidate.
    """
    tests = list(dict.fromkeys(_parsed_tests(row["test"], row["entry_point"])))
    if not tests:
        raise ValueError("test: check(candidate) asserts nothing about the candidate")
    chosen = tests[:slice_of] if slice_of > 0 else tests[slice_of:]
    try:
        ast.parse(row["prompt"])
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"prompt: need Python, a signature with a docstring, got {error}") from None
    problem = _problem(row, row["prompt"], tests, {test.text for test in chosen})
    return replace(problem, preamble=row["prompt"])


def _problem(row: Mapping[str, Any], scope: str, tests: list[Assert], shown: set[str]) -> Problem:
    prompt, entry = row["prompt"], row["entry_point"]
    if not entry.isidentifier() or keyword.iskeyword(entry) or _HELPER.fullmatch(entry):
        raise ValueError(f"entry_point: need the name of a function other than a helper's, got {entry!r}")
    return Problem(
        prompt=prompt,
        entry_point=entry,
        parameters=", ".join(_parameters(prompt, entry)),
        imports=line_rules.imports_of(prompt),
        scope=scope,
        tests=tuple(tests),
        shown=tuple(k for k, test in enumerate(tests) if test.text in shown),
    )


def _parameters(prompt: str, entry: str) -> Iterator[str]:
    """The names in the entry point's signature, without annotations and defaults."""
    signature = re.search(rf"\bdef\s+{entry}\s*\(", prompt)
    depth, name = 0, ""
    for sign in prompt[signature.end() :] if signature else "":
        depth += (sign in "[{(") - (sign in "]})")
        if (sign == "," and depth == 0) or depth < 0:
            if name.strip():
                yield re.split("[:=]", name)[0].strip()
            name = ""
        else:
            name += sign
        if depth < 0:
            return


def _line_test(line: str, entry: str) -> Assert:
    try:
        (statement,) = ast.parse(line).body
    except (SyntaxError, ValueError):
        return Assert(line, broken=True)
    if _names(statement) <= {entry, *vars(builtins)}:
        return Assert(line)
    return Assert(line, f"def check({entry}):\n    {line}\n")


def _parsed_tests(test: str, entry: str) -> Iterator[Assert]:
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"test: need Python with a check(candidate), got {error}") from None
    checks = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks or len(checks[-1].args.args) != 1:
        raise ValueError("test: need a function `def check(candidate):` with asserts, got none")
    check = checks[-1]
    candidate = check.args.args[0].arg
    computed = {candidate, *(n.id for n in ast.walk(check) if isinstance(n, ast.Name) and _stores(n))}
    for node in (node for node in ast.walk(check) if isinstance(node, ast.Assert)):
        names = _names(node)
        if not names & computed:
            continue
        complete = node in check.body and names <= {candidate, *vars(builtins)}
        module = "" if complete else ast.unparse(_Only(node).visit(ast.parse(test)))
        for name in (n for n in ast.walk(node) if isinstance(n, ast.Name) and n.id == candidate):
            name.id = entry
        yield Assert(ast.unparse(ast.Assert(test=node.test, msg=None)), module)


def _stores(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _names(node: ast.AST) -> set[str]:
    """The names a statement reads, without those it binds itself (in comprehensions)."""
    name_nodes = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    return {n.id for n in name_nodes if not _stores(n)} - {n.id for n in name_nodes if _stores(n)}


class _Only(ast.NodeTransformer):
    """Replaces every assert by `pass`, except the one at the position of `kept`."""

    def __init__(self, kept: ast.Assert):
        self.position = (kept.lineno, kept.col_offset)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        return node if (node.lineno, node.col_offset) == self.position else ast.Pass()
