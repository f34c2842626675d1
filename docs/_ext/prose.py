"""Our docstrings, which are prose with indented formulas and lists, as reStructuredText and as Markdown.

A block whose lines are indented by four or more is a formula or an example and is shown unchanged; a line
that begins with "- " is an item of a list; between backticks stands code.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import groupby

INDENT = "    "
_CODE = re.compile(r"(`[^`\n]+`)")
_SPECIAL = re.compile(r"([\\*|]|_\b)")


def parts(text: str) -> Iterator[tuple[str, str]]:
    """("code" or "text", its lines) for each block of a docstring; items of lists are blocks of their own."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        for is_code, group in groupby(block.split("\n"), lambda line: line.startswith(INDENT)):
            lines = [*group]
            if is_code:
                yield "code", inspect.cleandoc("\n".join(lines))
            else:
                yield from (("text", item) for item in re.split(r"\n(?=- )", "\n".join(lines)))


def as_markdown(text: str) -> str:
    """A docstring as Markdown."""
    shown = []
    for kind, body in parts(text):
        shown.append(f"```text\n{body}\n```" if kind == "code" else body)
    return "\n\n".join(shown)


def as_rst(text: str) -> list[str]:
    """A docstring as lines of reStructuredText."""
    lines: list[str] = []
    for kind, body in parts(text):
        if kind == "code":
            lines += [".. code-block:: text", "", *(INDENT + line for line in body.split("\n")), ""]
        else:
            item = body.startswith("- ")
            words = " ".join(line.strip() for line in body.removeprefix("- ").split("\n"))
            lines += ["- " * item + _escaped(words), ""]
    return lines


def _escaped(text: str) -> str:
    """Text of a paragraph: code between backticks as it is, all else without meaning but bold."""
    pieces = _CODE.split(text)
    for k, piece in enumerate(pieces):
        if k % 2:
            pieces[k] = f"`{piece}`\\ "
        else:
            bold = re.split(r"(\*\*[^*]+\*\*)", piece)
            pieces[k] = "".join(b if j % 2 else _SPECIAL.sub(r"\\\1", b) for j, b in enumerate(bold))
    return "".join(pieces).strip()
