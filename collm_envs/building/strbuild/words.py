"""Words as walls of letters: the published font and words, and as many words of our own as asked for.

The font (5 x 5), the ten words and their split are facts of OpenMLRL/LLM_Collab_Minecraft (MIT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import Any

from collm_envs.building.rows import read_rows
from collm_envs.keywords import whole_number
from collm_envs.task import Cell, Item

HEIGHT = WIDTH = 5
FONT: dict[str, tuple[str, ...]] = {
    letter: tuple(rows.replace("1", "#").replace("0", ".").split("/"))
    for letter, rows in {
        "A": "01110/10001/11111/10001/10001",
        "B": "11110/10001/11110/10001/11110",
        "C": "01111/10000/10000/10000/01111",
        "D": "11110/10001/10001/10001/11110",
        "E": "11111/10000/11110/10000/11111",
        "F": "11111/10000/11110/10000/10000",
        "G": "01111/10000/10111/10001/01110",
        "H": "10001/10001/11111/10001/10001",
        "I": "11111/00100/00100/00100/11111",
        "J": "00111/00010/00010/10010/01100",
        "K": "10001/10010/11100/10010/10001",
        "L": "10000/10000/10000/10000/11111",
        "M": "10001/11011/10101/10001/10001",
        "N": "10001/11001/10101/10011/10001",
        "O": "01110/10001/10001/10001/01110",
        "P": "11110/10001/11110/10000/10000",
        "Q": "01110/10001/10001/10011/01111",
        "R": "11110/10001/11110/10010/10001",
        "S": "01111/10000/01110/00001/11110",
        "T": "11111/00100/00100/00100/00100",
        "U": "10001/10001/10001/10001/01110",
        "V": "10001/10001/10001/01010/00100",
        "W": "10001/10001/10101/11011/10001",
        "X": "10001/01010/00100/01010/10001",
        "Y": "10001/01010/00100/00100/00100",
        "Z": "11111/00010/00100/01000/11111",
    }.items()
}
"""letter -> rows, top row first, '#' for a block"""
LETTERS = "".join(FONT)
_PUBLISHED = [
    {"string": word, "difficulty": difficulty}
    for difficulty, words in ((1, "I C M L"), (2, "MC CM"), (3, "LI LLM ICML CLIM"))
    for word in words.split()
]
PUBLISHED = {"train": _PUBLISHED[:8], "eval": _PUBLISHED[8:]}


@dataclass(frozen=True)
class Word:
    """A word as a wall of letters, one block deep."""

    text: str
    rows: tuple[str, ...]
    """top row first, '#' for a cell to fill"""
    z: int
    """where the wall stands"""
    cells: tuple[Cell, ...] = field(compare=False, repr=False)
    """cells to fill, from the top down, in each row from left to right"""
    filled: frozenset[Cell] = field(compare=False, repr=False)
    """the same as a set"""

    @property
    def width(self) -> int:
        """blocks from the left to the right end"""
        return len(self.rows[0])


@lru_cache(maxsize=4096)
def lay_out(string: str, spacing: int, z: int) -> Word:
    """The word in capital letters, `spacing` empty columns between them.

    Raises ValueError for an empty string and for characters that the font does not have.
    """
    text = string.strip().upper()
    unknown = sorted(set(text) - FONT.keys())
    if unknown or not text:
        shown = f"{string!r} with {', '.join(map(repr, unknown))}" if unknown else repr(string)
        raise ValueError(f"string: need one or more of the letters A to Z, got {shown}")
    rows = tuple(("." * spacing).join(FONT[letter][r] for letter in text) for r in range(HEIGHT))
    cells = tuple(
        (x, HEIGHT - 1 - r, z) for r, row in enumerate(rows) for x, mark in enumerate(row) if mark == "#"
    )
    return Word(text, rows, z, cells, frozenset(cells))


def read_items(rows: Any) -> dict[str, tuple[Item, ...]]:
    """The items of rows {"string": letters, "difficulty": int}; the difficulty is kept and not used."""
    return read_rows(rows, "str_build_", _read_row)


def _read_row(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(row.get("string"), str):
        raise ValueError(f'items: {name} must be like {{"string": "ICML", "difficulty": 3}}, got {row!r}')
    lay_out(row["string"], 0, 0)
    return dict(row)


def generate(n: int, n_eval: int, length: Any, letters: str, seed: int) -> dict[str, tuple[Item, ...]]:
    """`n` words to train on and `n_eval` others, as items `word_<WORD>`.

    Every length from `length[0]` to `length[1]` gets an equal share as far as there are enough words of it;
    at most a quarter of the words of a length go to evaluation.  The evaluation words depend on `n_eval`,
    `length`, `letters` and `seed` only.  Raises ValueError where there are not that many words.
    """
    whole_number("n", n, least=1)
    whole_number("n_eval", n_eval, least=1)
    whole_number("words_seed", seed)
    if (
        not isinstance(letters, str)
        or not letters
        or len(set(letters)) < len(letters)
        or set(letters) - set(FONT)
    ):
        raise ValueError(f"letters: need different ones of {LETTERS}, got {letters!r}")
    lengths = _lengths(length)
    pools = [len(letters) ** k for k in lengths]
    kept = _shares(n_eval, [pool // 4 for pool in pools])
    used = _shares(n, [pool - k for pool, k in zip(pools, kept, strict=True)])
    if sum(kept) < n_eval or sum(used) < n:
        raise ValueError(
            f"n, n_eval: {len(letters)} letters make {sum(pools)} words of length {length}, "
            f"{sum(pool // 4 for pool in pools)} of them for evaluation; got n={n}, n_eval={n_eval}"
        )
    words: dict[str, list[str]] = {"train": [], "eval": []}
    for k, pool, apart, trained in zip(lengths, pools, kept, used, strict=True):
        rng = Random(f"collm/StrBuild/words/{seed}/{k}")
        held = dict.fromkeys(rng.sample(range(pool), apart))
        others = [i for i in rng.sample(range(pool), min(pool, trained + apart)) if i not in held]
        words["eval"] += [_spell(i, k, letters) for i in held]
        words["train"] += [_spell(i, k, letters) for i in others[:trained]]
    return {
        split: tuple(Item(f"word_{word}", {"string": word, "difficulty": len(word)}) for word in split_words)
        for split, split_words in words.items()
    }


def _lengths(length: Any) -> range:
    """(shortest, longest) as a range, or a ValueError."""
    if not isinstance(length, Sequence) or len(length) != 2 or isinstance(length, str):
        raise ValueError(f"length: need (shortest, longest), got {length!r}")
    low, high = (whole_number("length", k, least=1) for k in length)
    if low > high:
        raise ValueError(f"length: the shortest must not be longer than the longest, got {length!r}")
    return range(low, high + 1)


def _shares(total: int, room: Sequence[int]) -> list[int]:
    """`total` split evenly over places with so much room; what a place cannot take goes to later ones."""
    shares: list[int] = []
    for k, most in enumerate(room):
        shares.append(min(most, (total - sum(shares)) // (len(room) - k)))
    return shares


def _spell(index: int, k: int, letters: str) -> str:
    """The word number `index` of the words of `k` letters."""
    word = ""
    for _ in range(k):
        index, letter = divmod(index, len(letters))
        word = letters[letter] + word
    return word
