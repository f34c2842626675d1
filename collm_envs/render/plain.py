r"""Texts that somebody else wrote, made safe to print at a terminal: nothing in them steers it or hides.

plain("a\x1b[2Jb")       -> 'a\\x1b[2Jb': the screen is not cleared, and one sees who tried
wrapped(plain(text), 60) -> lines of at most 60 columns, broken at blanks
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

_FILLER = "\ue000"
"""stands for the second column of a wide character while lines are measured; `plain` leaves none in a text"""


def plain(text: str) -> str:
    r"""`text` with every character that steers a terminal or cannot be seen written as its escape.

    These are the ones that `str.isprintable` refuses: control characters (ESC is `\x1b`), marks that turn the
    direction of writing, characters of no width, unassigned ones, halves of a surrogate pair.  Line breaks
    (`\r\n` counts as one), tabs and blanks of other widths stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text.replace("\r\n", "\n")))


def _shown(c: str) -> str:
    if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs":
        return c
    return c.encode("unicode_escape").decode("ascii")


def wrapped(text: str, width: int) -> str:
    """The lines of `text` broken at blanks to `width` columns, each with the indentation it began with.

    A word that is wider than a line stays whole: it can be copied, and the terminal breaks it.
    """
    return "\n".join(part for line in text.split("\n") for part in _wrap(line.expandtabs(8), width))


def _wrap(line: str, width: int) -> list[str]:
    filled = "".join(c + _FILLER if unicodedata.east_asian_width(c) in "WF" else c for c in line)
    if len(filled) <= width:
        return [line]
    indent = re.match(" *", filled)[0][: width // 2]  # type: ignore[index]  # " *" matches any line
    parts = textwrap.wrap(
        filled,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    )
    return [part.replace(_FILLER, "") for part in parts] or [""]


def in_lines(parts: Sequence[str], width: int, gap: int = 3) -> str:
    """Short texts side by side, `gap` blanks apart, in lines of at most `width` columns; none is broken."""
    unbroken = (" " * gap).join(part.replace(" ", "\u00a0") for part in parts)
    return wrapped(unbroken, width).replace("\u00a0", " ")
