"""How much of an entry does what another one does, or the task's own expert.

Compared is what texts do, not how they are spelt: the world that stands at the end, the statements of
programs whatever their names and comments, and of prose the pairs of words.  A little of something else
beside it hides no copy.  A warning and no proof: a task with one right answer makes honest entries alike.
"""

from __future__ import annotations

import ast
import builtins
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any

from collm_envs import Task
from collm_envs.policies.seat import seat_seed
from collm_envs.record import Record, scenes, states

KEPT = 1024
"""hashes of a sketch: the least ones, so that those of two sketches are comparable (Broder 1997)"""
ALIKE = 0.9
"""similarity from which two episodes count as near-duplicates"""
BESIDE = 1.5
"""how many times larger than its original a copy may be and still be found whole in it"""
Sketch = frozenset[int]
Sketches = Mapping[tuple[str, int], list[Sketch]]
"""by item and seed"""


def similarity(a: Sketch, b: Sketch) -> float:
    """The share of the smaller one that is in the larger one, up to `BESIDE` times its size."""
    if len(a) >= KEPT or len(b) >= KEPT:  # of longer texts only the hashes that both would have kept
        least = min(max(x) if len(x) >= KEPT else 2**32 for x in (a, b))
        a, b = (frozenset(h for h in x if h <= least) for x in (a, b))
    small, large = sorted((len(a), len(b)))
    return len(a & b) / max(small, large / BESIDE) if large else 1.0


def written(record: Record) -> Sketch:
    """The sketch of what the texts of an episode did."""
    texts = [text for turn in record.turns for text in turn["texts"].values()]
    runs_programs = any(turn["verdicts"] for turn in record.turns)
    return _sketch(texts, runs_programs, {} if runs_programs else scenes(record)[-1].blocks)


def by_expert(task: Task, record: Record) -> Sketch:
    """What the expert would have written where this episode stood, turn by turn."""
    texts: list[str] = []
    blocks: Mapping[Any, str] = {}
    runs_programs = any(turn["verdicts"] for turn in record.turns)
    for t, state in enumerate(states(record)[:-1]):
        said = {}
        for agent in task.agents:
            rng = Random(seat_seed(record.item, record.seed, record.trial, agent, t))
            said[agent] = task.players["expert"](task, state, agent, rng)
        texts += said.values()
        if not runs_programs and t == len(record.turns) - 1:
            blocks = task.scene(task.play(state, said)).blocks
    return _sketch(texts, runs_programs, blocks)


def share(mine: Sketches, others: Sketches) -> float:
    """The share of my episodes that are near-duplicates of one of the others' of the same item and seed."""
    alike = [
        any(similarity(one, other) >= ALIKE for other in others.get(pair, ()))
        for pair, some in mine.items()
        for one in some
    ]
    return sum(alike) / len(alike)


def _sketch(texts: Sequence[str], runs_programs: bool, blocks: Mapping[Any, str]) -> Sketch:
    """Of a world, of programs, or of prose; `blocks` is {cell: block}."""
    facts = [f"{cell} {block}" for cell, block in blocks.items()]
    if runs_programs:
        facts = [statement for text in texts for statement in statements(text)]
    if not facts:  # nothing was done: what was said
        facts = [pair for text in texts for pair in pairs(text)]
    return frozenset(sorted({zlib.crc32(fact.encode()) for fact in facts})[:KEPT])


def pairs(text: str) -> Iterator[str]:
    """Words that follow one another, or with one between: a word put in between undoes two of them."""
    words = re.findall(r"\w+", text.lower()) or [""]
    yield from words[:1] if len(words) < 2 else ()
    for gap in (1, 2):
        yield from (f"{a} {b}" for a, b in zip(words, words[gap:], strict=False))


def statements(text: str) -> Iterator[str]:
    """The statements of the functions in a text, without names, layout, comments and docstrings."""
    for source in re.findall(
        r"^def [^\n]*(?:\n(?:[ \t]+[^\n]*|[ \t]*))*", text.replace("\r", ""), re.MULTILINE
    ):
        try:
            tree = ast.parse(source.strip())
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        names: dict[str, str] = {}
        for node in ast.walk(tree):
            _rename(node, names)
        for node in ast.walk(tree):
            if isinstance(node, ast.stmt) and not _idle(node):
                yield ast.dump(_head(node))


def _rename(node: ast.AST, names: dict[str, str]) -> None:
    """Names by order of appearance; those of Python stay."""
    for field in ("id", "arg", "name"):
        name = vars(node).get(field)
        if isinstance(name, str) and name not in vars(builtins):
            setattr(node, field, names.setdefault(name, f"n{len(names)}"))
    if isinstance(node, ast.arg):
        node.annotation = None
    if isinstance(node, ast.AnnAssign):
        node.annotation = ast.Name("n", ast.Load())
    if isinstance(node, ast.FunctionDef):
        node.returns = None


def _idle(node: ast.stmt) -> bool:
    """A docstring, another bare value, or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _head(node: ast.stmt) -> ast.AST:
    """A statement without those inside it, which are counted by themselves."""
    inside = ("body", "orelse", "finalbody", "handlers", "decorator_list")
    kept = {name: value for name, value in vars(node).items() if name not in inside}
    return type(node)(**{name: value for name, value in kept.items() if name in node._fields})
