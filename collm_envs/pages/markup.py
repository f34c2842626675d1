"""HTML in one file: text made harmless, our own style and scripts inlined, and nothing fetched.

A page's content security policy allows exactly the scripts that lie beside this module, by hash.  So a
page shown inside another (`framed`) runs too, and a script that came in with somebody's text would not.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Sequence
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any, Literal

Script = Literal["world.js", "episodes.js"]
SCRIPTS: tuple[Script, ...] = ("world.js", "episodes.js")
_PICTURES = {k: chr(0x2400 + k) for k in range(0x20) if k not in (0x09, 0x0A)} | {0x7F: "\u2421"}
_UNPRINTABLE = re.compile("[\x80-\x9f\ud800-\udfff\ufffe\uffff]")


def escape(text: str) -> str:
    """Any str as HTML text or attribute.  Control characters become visible, surrogates U+FFFD."""
    return html.escape(_UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").translate(_PICTURES)))


def number(value: float, digits: int = 3) -> str:
    """A number for reading: whole ones bare, others with `digits` decimals; a true minus sign."""
    value = round(value, digits)
    return _written(value, 0 if value == value // 1 else digits)


def aligned(values: Sequence[float | None], digits: int = 3) -> list[str]:
    """The values of one row or column: all bare if all are whole, else all with `digits` decimals."""
    known = [value for value in values if value is not None and isfinite(value)]
    places = 0 if all(value == value // 1 for value in known) else digits
    return ["–" if value is None else _written(value, places) for value in values]


def _written(value: float, places: int) -> str:
    value = round(value, places) + 0.0  # no negative zero
    return f"{value:.{places}f}".replace("-", "−") if abs(value) < 1e15 else f"{value:.3g}"


def data(name: str, value: Any) -> str:
    """JSON that a script of the page reads by its id."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def framed(page: str, title: str) -> str:
    """A whole page inside another, folded until it is opened."""
    source = page.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<details class="framed"><summary>{escape(title)}</summary>'
        f'<iframe loading="lazy" title="{escape(title)}" srcdoc="{source}"></iframe></details>'
    )


def document(title: str, body: str, scripts: Sequence[Script] = ()) -> str:
    """The page around `body`, which must be HTML already."""
    allowed = " ".join(f"'sha256-{_digest(name)}'" for name in SCRIPTS)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
    inlined = "".join(f"<script>{_asset(name)}</script>" for name in scripts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_asset('page.css')}</style></head>\n"
        f"<body>{body}{inlined}</body></html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def _digest(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()
