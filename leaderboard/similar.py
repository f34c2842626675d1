"""Near-duplicates between an entry and other entries or the task's expert.

Compared are effects of texts, not their spelling: the world at the end, the statements of programs without
names and comments, and the pairs of words of prose.  A copy with a little added text is still found.  A
result is a warning, not a proof: for a task with one right answer honest entries are alike.
"""

from __future__ import annotations

import ast
import builtins
import re
import unicodedata
import zlib
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from collm_envs import Task
from collm_envs.policies.seat import seat_seed
from collm_envs.record import Record
from collm_envs.replay import scenes, states

KEPT = 1024
"""most hashes of a sketch: the smallest ones, so that two sketches are comparable (Broder 1997)"""
ALIKE = 0.9
"""similarity from which two episodes are near-duplicates"""
BESIDE = 1.5
"""a text may be this many times larger than its original and still count as a full copy"""
LOOKALIKES = str.maketrans("аеорсухіј", "aeopcyxij")
Sketch = frozenset[int]
Sketches = Mapping[tuple[str, int], list[Sketch]]
"""{(item, seed): sketches}"""


def similarity(a: Sketch, b: Sketch) -> float:
    """The share of the smaller sketch in the larger one; less if that is over `BESIDE` times larger."""
    if len(a) >= KEPT or len(b) >= KEPT:  # compare only hashes that both sketches would keep
        least = min(max(x) if len(x) >= KEPT else 2**32 for x in (a, b))
        a, b = (frozenset(h for h in x if h <= least) for x in (a, b))
    small, large = sorted((len(a), len(b)))
    return len(a & b) / max(small, large / BESIDE) if large else 1.0


def like_expert(task: Task, record: Record) -> bool:
    """Whether an episode's texts do what the task's expert does there, with other kinds of blocks too."""
    own, of_expert = _effects(record), _effects_of_expert(task, record)
    same = similarity(_sketch(own), _sketch(of_expert))
    recoloured = similarity(_sketch(_without_names(own)), _sketch(_without_names(of_expert)))
    return max(same, recoloured) >= ALIKE


def written(record: Record) -> Sketch:
    """The sketch of the effects of an episode's texts."""
    return _sketch(_effects(record))


def by_expert(task: Task, record: Record) -> Sketch:
    """The sketch of what the expert writes in the states of this episode, turn by turn."""
    return _sketch(_effects_of_expert(task, record))


class _Effects(NamedTuple):
    texts: Sequence[str]
    programs: bool
    """whether the texts are run as programs"""
    blocks: Mapping[Any, str]
    """{cell: kind of block} at the end; empty where there is no world"""


def _effects(record: Record) -> _Effects:
    texts = [text for turn in record.turns for text in turn["texts"].values()]
    programs = any(turn["verdicts"] for turn in record.turns)
    return _Effects(texts, programs, {} if programs else scenes(record)[-1].blocks)


def _effects_of_expert(task: Task, record: Record) -> _Effects:
    texts: list[str] = []
    blocks: Mapping[Any, str] = {}
    programs = any(turn["verdicts"] for turn in record.turns)
    for t, state in enumerate(states(record)[:-1]):
        turn_texts = {}
        for agent in task.agents:
            rng = Random(seat_seed(record.item, record.seed, record.trial, agent, t))
            turn_texts[agent] = task.players["expert"](task, state, agent, rng)
        texts += turn_texts.values()
        if not programs and t == len(record.turns) - 1:
            blocks = task.scene(task.play(state, turn_texts)).blocks
    return _Effects(texts, programs, blocks)


def _without_names(effects: _Effects) -> _Effects:
    """In place of its kind, a block has the cell before it that is of the same kind."""
    last: dict[str, Any] = {}
    before: dict[Any, str] = {}
    for cell, block in sorted(effects.blocks.items()):
        before[cell] = f"as {last.get(block)}"
        last[block] = cell
    return effects._replace(blocks=before)


def share(own: Sketches, others: Sketches) -> float:
    """The share of own episodes that are near-duplicates of another one of the same item and seed."""
    alike = [
        any(similarity(sketch, other) >= ALIKE for other in others.get(pair, ()))
        for pair, sketches in own.items()
        for sketch in sketches
    ]
    return sum(alike) / len(alike)


def _sketch(effects: _Effects) -> Sketch:
    """The sketch of a world, of programs, or of prose."""
    facts = [f"{cell} {block}" for cell, block in effects.blocks.items()]
    if effects.programs:
        facts = [statement for text in effects.texts for statement in statements(text)]
    if not facts:  # the texts have no effect: compare their words
        facts = [pair for text in effects.texts for pair in pairs(text)]
    return frozenset(sorted({zlib.crc32(fact.encode()) for fact in facts})[:KEPT])


def pairs(text: str) -> Iterator[str]:
    """Pairs of consecutive words and of words with one between; an inserted word changes few pairs.

    Accents, invisible characters, wide letters and the Cyrillic letters that look Latin make no other word.
    """
    letters = unicodedata.normalize("NFKD", text).casefold().translate(LOOKALIKES)
    shown = "".join(c for c in letters if unicodedata.category(c) not in ("Cf", "Mn"))
    words = re.findall(r"[^\W_]+", shown) or [""]
    yield from words[:1] if len(words) < 2 else ()
    for gap in (1, 2):
        yield from (f"{a} {b}" for a, b in zip(words, words[gap:], strict=False))


def statements(text: str) -> Iterator[str]:
    """The statements of the functions in a text, independent of names, layout, comments and docstrings."""
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
    """Rename a node's names, except builtins, to n0, n1, ... in order of appearance; drop annotations."""
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
    """Whether a statement is a docstring, another constant, or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _head(node: ast.stmt) -> ast.AST:
    """A statement without the statements inside it, which are counted separately."""
    inside = ("body", "orelse", "finalbody", "handlers", "decorator_list")
    kept = {name: value for name, value in vars(node).items() if name not in inside}
    return type(node)(**{name: value for name, value in kept.items() if name in node._fields})
