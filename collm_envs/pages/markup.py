"""HTML in one file: text is escaped, style and scripts are inlined, nothing is fetched.

A page's content security policy allows exactly the scripts beside this module, by hash.  So a page embedded
in another (`framed`) works too, and a script injected by somebody's text would not run.
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
    """A number as text: whole numbers without decimals, others with `digits`; with a true minus sign."""
    value = round(value, digits)
    return _written(value, 0 if value == value // 1 else digits)


def aligned(values: Sequence[float | None], digits: int = 3) -> list[str]:
    """The values of a row or column as text: without decimals if all are whole, else all with `digits`."""
    finite = [value for value in values if value is not None and isfinite(value)]
    decimals = 0 if all(value == value // 1 for value in finite) else digits
    return ["–" if value is None else _written(value, decimals) for value in values]


def _written(value: float, decimals: int) -> str:
    value = round(value, decimals) + 0.0  # no negative zero
    return f"{value:.{decimals}f}".replace("-", "−") if abs(value) < 1e15 else f"{value:.3g}"


def data(name: str, value: Any) -> str:
    """A script element with `value` as JSON, which scripts of the page read by its id `name`."""
    text = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def framed(page: str, title: str) -> str:
    """A page embedded in another one, folded until it is opened."""
    source = page.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<details class="framed"><summary>{escape(title)}</summary>'
        f'<iframe loading="lazy" title="{escape(title)}" srcdoc="{source}"></iframe></details>'
    )


def document(title: str, body: str, scripts: Sequence[Script] = ()) -> str:
    """The HTML page with `body`, which must be HTML already."""
    allowed = " ".join(f"'sha256-{_digest(name)}'" for name in SCRIPTS)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"
    inlined = "".join(f"<script>{_asset(name)}</script>" for name in scripts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_asset('page.css')}</style></head>\n"
        f"<body><main>{body}</main>{inlined}</body></html>\n"
    )


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


@cache
def _digest(name: str) -> str:
    return base64.b64encode(hashlib.sha256(_asset(name).encode()).digest()).decode()
