"""A matrix of numbers as inline SVG: a square for each, the darker the higher, with the number in it."""

from __future__ import annotations

from collections.abc import Sequence

from collm_envs.pages.markup import aligned, escape, number

SIDE, LEFT, TOP = 84, 190, 44
"""of a square, and the room for names, in units of the drawing"""
LONGEST = 24
"""characters of a name that are drawn"""


def matrix(
    names: Sequence[str], values: Sequence[Sequence[float]], row_label: str, column_label: str, what: str
) -> str:
    """An SVG of `values` (n, n); columns are numbered as their rows, the diagonal has a frame."""
    flat = [value for row in values for value in row]
    low, high, shown = min(flat), max(flat), aligned(flat, 2)
    drawn = [_text(LEFT, 14, column_label, "start"), _text(LEFT - 12, TOP - 8, row_label, "end")]
    for k, name in enumerate(names):
        short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        drawn.append(_text(LEFT + SIDE * (k + 0.5), TOP - 8, str(k + 1), "middle", "name"))
        drawn.append(_text(LEFT - 12, TOP + SIDE * (k + 0.5) + 4, f"{short}  {k + 1}", "end", "name", name))
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            share = (value - low) / (high - low) if high > low else 0.5
            title = f"{names[i]} with {names[j]}: {number(value)}"
            drawn.append(_square(i, j, share, shown[len(names) * i + j], title))
    size = f"{LEFT + SIDE * len(names) + 4} {TOP + SIDE * len(names) + 4}"
    label = escape(f"{what}: {row_label} (rows) with {column_label} (columns)")
    return (
        f'<figure class="plot"><svg class="chart matrix" viewBox="0 0 {size}" role="img" '
        f'aria-label="{label}">{"".join(drawn)}</svg></figure>'
    )


def _square(i: int, j: int, share: float, shown: str, title: str) -> str:
    """The square of row i and column j; `share` of the way from the lowest to the highest value."""
    x, y, inner = LEFT + SIDE * j + 2, TOP + SIDE * i + 2, SIDE - 4
    own = ' class="own"' if i == j else ""
    ink = "on" if share > 0.55 else ""
    return (
        f'<g style="--p:{share * 100:.0f}%"{own}><title>{escape(title)}</title>'
        f'<rect x="{x}" y="{y}" width="{inner}" height="{inner}"/>'
        f"{_text(x + inner / 2, y + inner / 2 + 4, shown, 'middle', ink)}</g>"
    )


def _text(x: float, y: float, shown: str, anchor: str, kind: str = "", title: str = "") -> str:
    hint = f"<title>{escape(title)}</title>" if title else ""
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{hint}{escape(shown)}</text>'
