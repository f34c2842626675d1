"""Words and signs to build: how they are picked, and how they lie on the wall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from collm_envs.building.rows import read_rows
from collm_envs.building.strbuild.words import FONT, HEIGHT, LETTERS, WIDTH, Word
from collm_envs.task import Item

SPACING = 2
"""empty columns between letters"""
SEEN = LETTERS[::2]
"""the half of the alphabet that training words are spelled with: A, C, E, ..."""
SIGN_CELLS = (9, 16)
"""fewest and most blocks of a sign"""
CELLS = 14
"""cells of a letter for which builders get blocks; the mean of the font is 12, its fullest have 16"""
PATIENCE = 2000
"""draws in a row without a new word, after which there are taken to be no more"""
Pattern = tuple[str, ...]
"""rows of a letter or sign from the top, '#' for a block"""


def patterns_of(item: Item) -> tuple[Pattern, ...]:
    """The letters of an item, from the left."""
    if "signs" in item.data:
        return tuple(tuple(sign.split("/")) for sign in item.data["signs"])
    return tuple(FONT[letter] for letter in item.data["string"])


@lru_cache(maxsize=4096)
def lay_out(patterns: tuple[Pattern, ...]) -> Word:
    """The letters beside each other as a wall at z = 0."""
    rows = tuple(("." * SPACING).join(pattern[r] for pattern in patterns) for r in range(HEIGHT))
    cells = tuple(
        (x, HEIGHT - 1 - r, 0) for r, row in enumerate(rows) for x, mark in enumerate(row) if mark == "#"
    )
    return Word(spell(patterns), rows, 0, cells, frozenset(cells))


def spell(patterns: Sequence[Pattern]) -> str:
    """The word; `*` for a sign."""
    names = {pattern: letter for letter, pattern in FONT.items()}
    return "".join(names.get(pattern, "*") for pattern in patterns)


def letter_at(x: int) -> int | None:
    """The number of the letter (from 0) in column x, None between letters."""
    number, column = divmod(x, WIDTH + SPACING)
    return number if column < WIDTH else None


def read_items(rows: Any) -> dict[str, tuple[Item, ...]]:
    """The items of rows {"string": "ICML"} or {"signs": ["#...#/..#../.###./..#../#...#", ...]}."""
    return read_rows(rows, "strbuild_v1_", _read_row)


def _read_row(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    string: Any = row.get("string")
    signs: Any = row.get("signs")
    if isinstance(string, str) and string and set(string.upper()) <= set(FONT) and signs is None:
        return {**row, "string": string.upper()}
    listed = isinstance(signs, Sequence) and not isinstance(signs, str) and len(signs) > 0
    if listed and string is None and all(map(_is_sign, signs)):
        return {**row, "signs": list(signs)}
    raise ValueError(
        f'items: {name} must be like {{"string": "ICML"}} with letters A to Z, or {{"signs": [...]}} with 5 '
        f"rows of 5 # or . joined by /, at least one of them #; got {row!r:.200}"
    )


def _is_sign(sign: Any) -> bool:
    rows = sign.split("/") if isinstance(sign, str) else []
    return len(rows) == HEIGHT and all(len(r) == WIDTH and set(r) <= set("#.") for r in rows) and "#" in sign


def needs(word: Word, builders: int) -> tuple[int, ...]:
    """Cells of the word that fall to each builder: to builder k those with (x + y) mod n = k."""
    share = [0] * builders
    for x, y, _ in word.cells:
        share[(x + y) % builders] += 1
    return tuple(share)


def ration(letters: int, builders: int, slack: float) -> int:
    """Blocks that each builder gets for a word of so many letters."""
    return max(1, int(slack * CELLS * letters / builders))


def generate(
    n: int, n_eval: int, builders: int, difficulty: int, slack: float, seed: int
) -> dict[str, tuple[Item, ...]]:
    """`n` items to train on and `n_eval` others, all such as the rations of their builders suffice for.

    Difficulty 1 to 5: training words of the `SEEN` half of the alphabet, evaluation words of the same half up
    to 3 and of the whole alphabet, with at least one letter not met in training, from 4.  Difficulty 6:
    random signs.  Raises ValueError where there are not enough words.
    """
    length = builders + (difficulty - 1) // 2
    taken: set[tuple[Pattern, ...]] = set()
    items = {}
    for split, many in (("eval", n_eval), ("train", n)):
        rng = Random(f"collm/StrBuild-v1/{split}/{seed}/{builders}/{difficulty}")
        chosen: list[tuple[Pattern, ...]] = []
        idle = 0
        while len(chosen) < many:
            patterns = _draw(rng, length, difficulty, split)
            enough = max(needs(lay_out(patterns), builders)) <= ration(length, builders, slack)
            if enough and patterns not in taken:
                taken.add(patterns)
                chosen.append(patterns)
                idle = 0
            elif (idle := idle + 1) == PATIENCE:
                raise ValueError(
                    f"n, n_eval, slack: found {len(chosen)} of {many} different words of {length} letters "
                    f"for {split!r} that a slack of {slack:g} suffices for; want fewer or give more slack"
                )
        items[split] = tuple(_item(split, k, patterns) for k, patterns in enumerate(chosen))
    return items


def _draw(rng: Random, length: int, difficulty: int, split: str) -> tuple[Pattern, ...]:
    if difficulty == 6:
        return tuple(_sign(rng) for _ in range(length))
    if difficulty <= 3 or split == "train":
        return tuple(FONT[letter] for letter in rng.choices(SEEN, k=length))
    while True:
        word = rng.choices(LETTERS, k=length)
        if set(word) - set(SEEN):
            return tuple(FONT[letter] for letter in word)


def _sign(rng: Random) -> Pattern:
    chosen = set(rng.sample(range(HEIGHT * WIDTH), rng.randint(*SIGN_CELLS)))
    return tuple(
        "".join("#" if WIDTH * r + x in chosen else "." for x in range(WIDTH)) for r in range(HEIGHT)
    )


def _item(split: str, number: int, patterns: tuple[Pattern, ...]) -> Item:
    word = spell(patterns)
    if "*" in word:
        return Item(f"{split}_signs_{number}", {"signs": ["/".join(pattern) for pattern in patterns]})
    return Item(f"word_{word}", {"string": word})
