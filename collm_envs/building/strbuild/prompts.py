"""What an agent of StrBuild reads: in full sentences, or terse."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from collm_envs.building.seats import Builder, team_sentence
from collm_envs.building.strbuild.words import HEIGHT, Word
from collm_envs.task import Cell

MARKS = "123456789abcdefghijklmnopqrstuvwxyz"
"""names of an agent's blocks in terse prompts, in the order of its palette; tokenizers keep digits apart"""


@lru_cache(maxsize=4096)
def full_opening(word: Word, seat: Builder, show_target: bool) -> str:
    """The whole task in sentences."""
    right, top = word.width - 1, HEIGHT - 1
    lines = [
        f"A word is to be built as a wall of letters, {HEIGHT} blocks high and 1 block deep. "
        f"{team_sentence(seat)}",
        "",
        f"x runs from 0 (left) to {right} (right), y from 0 (bottom) to {top} (top), z is always {word.z}. "
        f"Nothing can be placed outside. The world starts empty.",
    ]
    if show_target:
        lines += ["", "The wall (# holds a block, . stays empty; at the left of each row its y):"]
        lines += [f"{top - r} {row}" for r, row in enumerate(word.rows)]
    lines += [
        "",
        f"Your blocks: {', '.join(seat.blocks)} (and air, which clears a cell).",
        "Blocks that share a side must differ in material. Use each of your blocks at least once.",
        "",
        f"Write commands only, one a line, at most {seat.limit}, with absolute whole numbers:",
        "/setblock x y z block",
    ]
    return "\n".join(lines)


@lru_cache(maxsize=4096)
def terse_opening(word: Word, seat: Builder, show_target: bool) -> str:
    """The same in few characters."""
    blocks = " ".join(f"{mark}={block}" for mark, block in zip(MARKS, seat.blocks, strict=False))
    z = f" z={word.z}" if word.z else ""
    head = f"{seat.number}/{seat.team} {seat.limit} {blocks}{z}"
    return f"{head}\n{terse_wall(word, word.filled) if show_target else f'{word.width}x{HEIGHT}'}"


def terse_wall(word: Word, filled: Iterable[Cell], cleared: Iterable[Cell] = ()) -> str:
    """One line a row from the top down: its y, a blank, `#` for `filled`, `-` for `cleared`, else `.`."""
    marks = {**dict.fromkeys(cleared, "-"), **dict.fromkeys(filled, "#")}
    return "\n".join(
        f"{y} " + "".join(marks.get((x, y, word.z), ".") for x in range(word.width))
        for y in reversed(range(HEIGHT))
    )


@lru_cache(maxsize=4096)
def full_position(word: Word, seat: Builder) -> str:
    """All cells of the word, the same for everyone."""
    share = max(1, len(word.cells) // 2)
    return "\n".join(
        [
            f"The word fills these cells. Choose about {share} of them, no two of yours side by side; you "
            f"may write up to {seat.limit} commands with {', '.join(seat.blocks)}.",
            full_cells(word.cells),
        ]
    )


def full_perfect(wrong: Iterable[Cell], extra: Iterable[Cell] | None) -> str:
    """What to correct in the last build; `extra` is None for all but the last agent."""
    lines = ["Cells of yours that were empty or held a wrong block:", full_cells(wrong)]
    if extra is not None:
        lines += ["Cells that should be empty and were not:", full_cells(extra)]
    return "\n".join(lines)


def full_score(raw: float) -> str:
    """The last reward, neither scaled nor shifted."""
    return f"The last build was worth {raw:.4f} points; the most possible is 2.0000."


def full_cells(cells: Iterable[Cell]) -> str:
    """(x, y, z) one after the other."""
    return " ".join(f"({x}, {y}, {z})" for x, y, z in cells) or "none"
