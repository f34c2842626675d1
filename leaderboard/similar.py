"""Near-duplicates between an entry and other entries or the task's expert.

Compared are effects of texts, not their spelling: the world at the end, the statements of programs without
names and comments, and the pairs of words of prose.  A copy with a little added text is still found.

Where a task names the block of every cell, all good teams end in the same world, which therefore tells
nothing by itself: there the commands must be alike too, each by the cells that it changes and by who gives
it.  A copy whose commands are cut into others is not found there, and a team that gives the expert's own
commands is.  A result is a warning, not a proof: for a task with one right answer honest entries are alike.
"""

from __future__ import annotations

import ast
import builtins
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from collm_envs import Task, silence
from collm_envs.policies.seat import seat_seed
from collm_envs.record import Record
from collm_envs.replay import states, task_of

KEPT = 1024
"""most hashes of a sketch: the smallest ones, so that two sketches are comparable (Broder 1997)"""
ALIKE = 0.9
"""similarity from which two episodes are near-duplicates"""
BESIDE = 1.5
"""a text may be this many times larger than its original and still count as a full copy"""
LOOKALIKES = str.maketrans("аеорсухіј", "aeopcyxij")
REMOVED = "air"
Sketch = frozenset[int]
Texts = Mapping[str, str]
"""{agent: text} of a turn"""
World = Mapping[Any, str]
"""{cell: kind of block}"""


class Sketches(NamedTuple):
    """What an episode is compared by."""

    effects: Sketch
    """of the world, the programs or the prose"""
    recoloured: Sketch
    """of the world whatever its kinds of blocks are called; as `effects` where they are prescribed"""
    commands: Sketch = frozenset()
    """of what each command does, and who gives it; empty where kinds are free or there is no world"""


SketchesOfRun = Mapping[tuple[str, int], list[Sketches]]
"""{(item, seed): sketches of its episodes}"""


def similarity(a: Sketch, b: Sketch) -> float:
    """The share of the smaller sketch in the larger one; less if that is over `BESIDE` times larger."""
    if len(a) >= KEPT or len(b) >= KEPT:  # compare only hashes that both sketches would keep
        least = min(max(x) if len(x) >= KEPT else 2**32 for x in (a, b))
        a, b = (frozenset(h for h in x if h <= least) for x in (a, b))
    small, large = sorted((len(a), len(b)))
    return len(a & b) / max(small, large / BESIDE) if large else 1.0


def near(a: Sketches, b: Sketches) -> bool:
    """Whether two episodes are near-duplicates.

    Commands without effect are in no sketch of commands, so nothing may stand beside a copied command: the
    sketches need `ALIKE` of the larger one in common.
    """
    built = max(similarity(a.effects, b.effects), similarity(a.recoloured, b.recoloured))
    most = max(len(a.commands), len(b.commands))
    return built >= ALIKE and len(a.commands & b.commands) >= ALIKE * most


def like_expert(task: Task, record: Record) -> bool:
    """Whether an episode's texts do what the task's expert does there, with other kinds of blocks too."""
    return near(written(record), by_expert(task, record))


def written(record: Record) -> Sketches:
    """The sketches of an episode's texts."""
    task, played = task_of(record), states(record)
    turns = [turn["texts"] for turn in record.turns]
    if _runs_programs(record):
        return _of_programs(turns)
    return _of_effects(task, played, turns, task.scene(played[-1]).blocks)


def by_expert(task: Task, record: Record) -> Sketches:
    """The sketches of what the expert writes in the states of this episode, turn by turn.

    Its world is what it would add, all turns together: what stands before a turn is the episode's own.
    """
    played, turns = states(record), []
    for t, state in enumerate(played[:-1]):
        dice = {a: Random(seat_seed(record.item, record.seed, record.trial, a, t)) for a in task.agents}
        turns.append({a: task.players["expert"](task, state, a, rng) for a, rng in dice.items()})
    if _runs_programs(record):
        return _of_programs(turns)
    blocks: dict[Any, str] = {}
    for state, texts in zip(played, turns, strict=False):
        blocks |= _changes(_world(task, state, {}), _world(task, state, texts))
    return _of_effects(task, played, turns, {c: block for c, block in blocks.items() if block != REMOVED})


def _runs_programs(record: Record) -> bool:
    return any(turn["verdicts"] for turn in record.turns)


def _of_programs(turns: Sequence[Texts]) -> Sketches:
    facts = [statement for texts in turns for text in texts.values() for statement in statements(text)]
    effects = _sketch(facts or _words(turns))
    return Sketches(effects, effects)


def _of_effects(task: Task, played: Sequence[Any], turns: Sequence[Texts], blocks: World) -> Sketches:
    """The sketches of texts written in the states `played` that leave `blocks` standing; of their words
    where nothing stands."""
    effects = _sketch([f"{cell} {block}" for cell, block in blocks.items()] or _words(turns))
    if not blocks:
        return Sketches(effects, effects)
    if all(task.scene(played[0]).target.values()):  # kinds are prescribed
        return Sketches(effects, effects, _sketch(_commands(task, played, turns)))
    if len(set(blocks.values())) <= 2:  # two good walls of two kinds are one, but for the kinds' names
        return Sketches(effects, effects)
    return Sketches(effects, _sketch(_without_names(blocks)))


def _words(turns: Sequence[Texts]) -> list[str]:
    return [pair for texts in turns for text in texts.values() for pair in pairs(text)]


def _world(task: Task, state: Any, texts: Texts) -> World:
    """The blocks after a turn with these texts; agents without one are silent."""
    silent = {agent: silence(task, state, agent) for agent in task.agents}
    return task.scene(task.play(state, {**silent, **texts})).blocks


def _changes(before: World, after: World) -> dict[Any, str]:
    changed = (cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell))
    return {cell: after.get(cell, REMOVED) for cell in changed}


def _commands(task: Task, played: Sequence[Any], turns: Sequence[Texts]) -> Iterator[str]:
    """What each accepted command changes by itself in the state of its turn, and which agent gives it.

    Agents are numbered by the first of their commands in the alphabet, so that two may exchange seats.
    """
    given: dict[str, set[str]] = {agent: set() for agent in task.agents}
    for state, texts in zip(played, turns, strict=False):
        untouched = _world(task, state, {})
        for agent, lines in task.score(task.play(state, texts)).accepted.items():
            alone = (_changes(untouched, _world(task, state, {agent: line})) for line in set(lines))
            given[agent] |= {str(sorted(changes.items())) for changes in alone if changes}
    for number, commands in enumerate(sorted(map(sorted, given.values()))):
        yield from (f"{number} {command}" for command in commands)


def _without_names(blocks: World) -> Iterator[str]:
    """Each cell with the cell before it that holds the same kind of block."""
    last: dict[str, Any] = {}
    for cell, block in sorted(blocks.items()):
        yield f"{cell} as {last.get(block)}"
        last[block] = cell


def share(own: SketchesOfRun, others: SketchesOfRun) -> float:
    """The share of own episodes that are near-duplicates of another one of the same item and seed."""
    alike = [
        any(near(sketches, other) for other in others.get(pair, ()))
        for pair, episodes in own.items()
        for sketches in episodes
    ]
    return sum(alike) / len(alike)


def _sketch(facts: Iterable[str]) -> Sketch:
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
