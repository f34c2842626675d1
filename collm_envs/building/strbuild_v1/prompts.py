"""What an agent of StrBuild-v1 reads: in full sentences, or terse."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from collm_envs.building.seats import Builder
from collm_envs.building.strbuild.prompts import MARKS
from collm_envs.building.strbuild.words import HEIGHT, Word
from collm_envs.building.strbuild_v1.words import letter_at
from collm_envs.task import Cell

UNSEEN = "?"


@lru_cache(maxsize=4096)
def target_rows(word: Word, seen: frozenset[int]) -> tuple[str, ...]:
    """The wall's rows from the top, with `?` over the letters that are not `seen`."""
    hidden = [letter_at(x) is not None and letter_at(x) not in seen for x in range(word.width)]
    return tuple(
        "".join(UNSEEN if away else mark for away, mark in zip(hidden, row, strict=True)) for row in word.rows
    )


@lru_cache(maxsize=4096)
def full_opening(word: Word, seat: Builder, stock: tuple[int, ...], seen: frozenset[int], turns: int) -> str:
    """The whole task in sentences."""
    right, top = word.width - 1, HEIGHT - 1
    held = ", ".join(f"{many} {block}" for block, many in zip(seat.blocks, stock, strict=True))
    rows = target_rows(word, seen)
    hidden = ", ? you cannot see" if UNSEEN in rows[0] else ""
    lines = [
        f"A word is to be built as a wall of letters, {HEIGHT} blocks high, 1 block deep. {_team(seat)}",
        "",
        f"x runs from 0 (left) to {right} (right), y from 0 (bottom) to {top} (top), z is always 0. The wall "
        f"starts empty and stays as it is from turn to turn; there are {turns} turns.",
        "",
        f"The wall (# holds a block, . stays empty{hidden}; at the left of each row its y):",
        *(f"{top - r} {row}" for r, row in enumerate(rows)),
        "",
        f"Your stock: {held}. A block that you take away (air) or replace goes back to it. A cell that "
        "another builder has filled is lost to you. Blocks that share a side must not be of one kind: the "
        f"builders' cells alternate, cell (x, y) is best filled by builder (x + y) mod {kinds(seat)} + 1.",
        "",
        "Write commands only, one a line, with absolute whole numbers:",
        "/setblock x y z block",
    ]
    return "\n".join(lines)


def kinds(seat: Builder) -> int:
    """Kinds of block in the team."""
    return seat.team if seat.team > 1 else len(seat.blocks)


def _team(seat: Builder) -> str:
    if seat.team == 1:
        return f"You build alone, in place of builders 1 to {len(seat.blocks)}: kind k is builder k's."
    return (
        f"You are builder {seat.number} of {seat.team}. All write at the same time. Each has one kind of "
        "block and sees some of the letters, but must fill cells of every letter."
    )


@lru_cache(maxsize=4096)
def terse_opening(word: Word, seat: Builder, stock: tuple[int, ...], seen: frozenset[int]) -> str:
    """The same in few characters: `1/2 1=oak_planks:9`, then the rows of the wall."""
    blocks = " ".join(
        f"{mark}={block}:{many}" for mark, block, many in zip(MARKS, seat.blocks, stock, strict=False)
    )
    return "\n".join([f"{seat.number}/{seat.team} {blocks}", *_numbered(target_rows(word, seen))])


def wall_rows(
    width: int,
    seat: Builder,
    own: Mapping[Cell, str],
    others: Collection[Cell] = (),
    unseen: Collection[int] = (),
) -> list[str]:
    """Rows `4 1..+`: the marks of own blocks, `+` for those of others, `?` over unseen letters."""
    marks = dict(zip(seat.blocks, MARKS, strict=False))
    bare = [UNSEEN if unseen and letter_at(x) in unseen else "." for x in range(width)]
    rows = [[*bare] for _ in range(HEIGHT)]
    for x, y, _ in others:
        rows[HEIGHT - 1 - y][x] = "+"
    for (x, y, _), block in own.items():
        rows[HEIGHT - 1 - y][x] = marks[block]
    return _numbered(list(map("".join, rows)))


def _numbered(rows: tuple[str, ...] | list[str]) -> list[str]:
    return [f"{HEIGHT - 1 - r} {row}" for r, row in enumerate(rows)]
