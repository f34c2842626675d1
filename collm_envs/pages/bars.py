"""A chart of named values as inline SVG: horizontal bars with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from collm_envs.pages.chart import Axes, colour, round_ticks, tick_text
from collm_envs.pages.markup import escape, number


class Bar(NamedTuple):
    """A named value of a chart of bars."""

    name: str
    value: float
    low: float | None = None
    """lower end of the value's interval, None where it has none"""
    high: float | None = None
    marked: bool = False
    """whether it is drawn in the quiet colour, as a yardstick"""


def bars(shown: Sequence[Bar], label: str) -> str:
    """One horizontal bar for each value, its interval as a line; `label`, its caption, says what they are."""
    ends = [end for bar in shown for end in (0.0, bar.value, bar.low, bar.high) if end is not None]
    ticks = round_ticks(ends, 5)
    frame = Axes(190, 590, 8, 8 + 24 * len(shown), (ticks[0], ticks[-1]), [0.0, 1.0])
    drawn = [
        f'<path class="axis" d="M{frame.x(tick):.1f} {frame.top}V{frame.bottom}"/>'
        f'<text x="{frame.x(tick):.1f}" y="{frame.bottom + 16}" text-anchor="middle">{tick_text(tick)}</text>'
        for tick in ticks
    ]
    for k, bar in enumerate(shown):
        y, (left, right) = frame.top + 24 * k, sorted((frame.x(0.0), frame.x(bar.value)))
        paint = colour(6) if bar.marked else colour(0)
        at = f'x="{frame.left - 8}" y="{y + 16}"'
        drawn.append(
            f'<text class="name" {at} text-anchor="end">{escape(bar.name)}</text>'
            f'<rect class="bar" style="--c:{paint}" x="{left:.1f}" y="{y + 5}" width="{right - left:.1f}" '
            f'height="14"><title>{escape(bar.name)}: {number(bar.value)}</title></rect>'
        )
        if bar.low is not None and bar.high is not None:
            span = f"M{frame.x(bar.low):.1f} {y + 12}H{frame.x(bar.high):.1f}"
            drawn.append(f'<path class="whisker" d="{span}"/>')
    text = escape(f"{label}: " + "; ".join(f"{bar.name} {number(bar.value)}" for bar in shown))
    box = f"0 0 640 {frame.bottom + 24:.0f}"
    drawing = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{text}">{"".join(drawn)}</svg>'
    return f'<figure class="plot bars"><figcaption>{escape(label)}</figcaption>{drawing}</figure>'
