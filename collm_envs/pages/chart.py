"""Charts as inline SVG: curves with spread bands, and the parts of the reward turn by turn.

Colours come from the page's style sheet: distinct for every colour vision, on light and dark backgrounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

from collm_envs.pages.markup import escape, number

COLOURS = 7
LINE = 18
"""least distance of two labels, in units of the drawing"""
LETTER = 9.2
"""room for a letter of a curve's label at its end, on narrow screens, where letters are largest"""


@dataclass(frozen=True)
class Curve:
    """A named line through (x, mean), with a band from `low` to `high` if they are not empty."""

    name: str
    x: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Axes:
    """The mapping from values to a drawing: edges of the plot, the span of x, the ticks of y."""

    left: float
    right: float
    top: float
    bottom: float
    span: tuple[float, float]
    ticks: Sequence[float]

    def x(self, value: float) -> float:
        """Where a value of x is drawn."""
        low, high = self.span
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value of y is drawn; down is positive."""
        low, high = self.ticks[0], self.ticks[-1]
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def colour(k: int) -> str:
    """The k-th colour of a chart as a CSS value."""
    return f"var(--s{k % COLOURS})"


def spread(name: str, x: Sequence[float], runs: Sequence[Sequence[float]]) -> Curve:
    """The mean of several runs, one list of y each, with a band from their minimum to their maximum.

    Raises ValueError if a run does not have one value for each x, or there is no run.
    """
    if not runs:
        raise ValueError(f"curve {name!r}: need at least one run")
    for run in runs:
        if len(run) != len(x):
            raise ValueError(f"curve {name!r}: need {len(x)} values a run, got {len(run)}")
    columns = [*zip(*runs, strict=True)]
    mean = [sum(ys) / len(ys) for ys in columns]
    return Curve(name, x, mean, [min(ys) for ys in columns], [max(ys) for ys in columns])


def curves(
    series: Sequence[Curve], x_label: str, y_label: str, levels: Mapping[str, float] | None = None
) -> str:
    """An SVG of lines with their bands; each line ends in its name and last value.

    `levels` are dashed horizontal lines, by name.  A value that is not finite leaves a gap.
    """
    levels = levels or {}
    xs = [x for curve in series for x in curve.x] or [0.0, 1.0]
    ys = [y for curve in series for y in (*curve.mean, *curve.low, *curve.high)] + [*levels.values()]
    span = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 0.5, min(xs) + 0.5)
    frame = Axes(48, 470, 30, 280, span, round_ticks(filter(isfinite, ys), 5))
    parts = [_across(frame), _along(frame), _names(frame, x_label, y_label)]
    ends = [(frame.y(value), "var(--quiet)", f"{name} {number(value, 2)}") for name, value in levels.items()]
    parts += [f'<path class="level" d="M{frame.left} {y:.1f}H{frame.right}"/>' for y, _, _ in ends]
    for k, curve in enumerate(series):
        parts.append(
            f'<g style="--c:{colour(k)}"><title>{escape(curve.name)}</title>{_curve(curve, frame)}</g>'
        )
        if last := [y for y in curve.mean if isfinite(y)][-1:]:
            ends.append((frame.y(last[0]), colour(k), f"{curve.name} {number(last[0], 2)}"))
    parts.append(_end_labels(ends, frame))
    label = escape(f"{y_label} by {x_label}; at the end: {'; '.join(text for _, _, text in ends)}")
    longest = max((len(text) for _, _, text in ends), default=0)
    width = max(640, ceil(frame.right + 8 + LETTER * longest))
    return (
        f'<svg class="chart" viewBox="0 0 {width} 326" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    )


def reward_bars(
    rewards: Sequence[float], parts: Sequence[Mapping[str, float]], bars: Sequence[str] = ()
) -> str:
    """One bar per turn: positive parts stacked up from zero, negative ones down, a dot at the reward.

    `bars` are the names of the bars where they are no turns, one each.
    """
    bars = bars or [f"{'' if t else 'turn '}{t + 1}" for t in range(len(rewards))]
    names = list(dict.fromkeys(name for turn in parts for name in turn))
    stacked = [sum(v for v in turn.values() if (v > 0) == up) for turn in parts for up in (True, False)]
    ticks = round_ticks([0.0, *stacked, *rewards] if any((*stacked, *rewards)) else [0.0, 1.0], 5)
    frame = Axes(36, 396, 10, 190, (0, max(1, len(rewards))), ticks)
    drawn = [_across(frame)]
    for t, (reward, turn) in enumerate(zip(rewards, parts, strict=True)):
        up = down = 0.0
        for name, value in turn.items():
            start = up if value > 0 else down
            drawn.append(_bar(frame, t, start, value, colour(names.index(name)), name))
            up, down = (up + value, down) if value > 0 else (up, down + value)
        x = frame.x(t + 0.5)
        drawn.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{frame.y(reward):.1f}" r="4">'
            f"<title>reward {number(reward)}</title></circle>"
            f'<text x="{x:.1f}" y="{frame.bottom + 20}" text-anchor="middle">'
            f"{escape(bars[t])}</text>"
        )
    label = escape("reward: " + ", ".join(f"{bar} {number(r)}" for bar, r in zip(bars, rewards, strict=True)))
    keys = "".join(
        f'<li><span class="swatch" style="--c:{colour(k)}"></span>{escape(name.replace("_", " "))}</li>'
        for k, name in enumerate(names)
    )
    return (
        f'<figure><svg class="chart" viewBox="0 0 400 218" role="img" aria-label="{label}">'
        f'{"".join(drawn)}</svg><ul class="legend">{keys}</ul></figure>'
    )


def round_ticks(values: Iterable[float], about: int) -> list[float]:
    """Some `about` multiples of 1, 2 or 5 times a power of ten that enclose the values."""
    numbers = list(values) or [0.0]
    low, high = min(numbers), max(numbers)
    if low == high:
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** floor(log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * about >= (high - low) * 0.999)
    return [k * step for k in range(floor(low / step + 1e-9), ceil(high / step - 1e-9) + 1)]


def _across(frame: Axes) -> str:
    """A line and a number for every tick of y."""
    return "".join(
        f'<path class="{"axis" if t else "zero"}" d="M{frame.left} {frame.y(t):.1f}H{frame.right}"/>'
        f'<text x="{frame.left - 8}" y="{frame.y(t) + 4:.1f}" text-anchor="end">{tick_text(t)}</text>'
        for t in frame.ticks
    )


def _along(frame: Axes) -> str:
    """Numbers under the plot."""
    low, high = frame.span
    return "".join(
        f'<text x="{frame.x(t):.1f}" y="{frame.bottom + 18}" text-anchor="middle">{tick_text(t)}</text>'
        for t in round_ticks(frame.span, 6)
        if low <= t <= high
    )


def _names(frame: Axes, x_label: str, y_label: str) -> str:
    middle, under = (frame.left + frame.right) / 2, frame.bottom + 40
    return (
        f'<text class="name" x="{frame.left - 40}" y="14">{escape(y_label)}</text>'
        f'<text class="name" x="{middle}" y="{under}" text-anchor="middle">{escape(x_label)}</text>'
    )


def _curve(curve: Curve, frame: Axes) -> str:
    band = ""
    if curve.low and curve.high:
        back = zip(reversed(curve.x), reversed(curve.low), strict=True)
        band = f'<path class="band" d="{_path([*zip(curve.x, curve.high, strict=True), *back], frame)}z"/>'
    return f'{band}<path class="curve" d="{_path(zip(curve.x, curve.mean, strict=True), frame)}"/>'


def _path(points: Iterable[tuple[float, float]], frame: Axes) -> str:
    steps, pen = [], "M"
    for x, y in points:
        if isfinite(y):
            steps.append(f"{pen}{frame.x(x):.1f} {frame.y(y):.1f}")
        pen = "L" if isfinite(y) else "M"
    return "".join(steps)


def _end_labels(ends: Sequence[tuple[float, str, str]], frame: Axes) -> str:
    """Labels right of the lines' ends, moved apart where they would overlap."""
    placed: list[tuple[float, str, str]] = []
    for y, paint, text in sorted(ends):
        placed.append((max(y, placed[-1][0] + LINE) if placed else y, paint, text))
    over = max(0.0, placed[-1][0] - frame.bottom) if placed else 0.0
    return "".join(
        f'<text class="end" style="--c:{paint}" x="{frame.right + 8}" y="{y - over + 4:.1f}">'
        f"{escape(text)}</text>"
        for y, paint, text in placed
    )


def tick_text(value: float) -> str:
    """A number of an axis."""
    return f"{round(value, 10):.10g}".replace("-", "−")


def _bar(frame: Axes, t: int, start: float, value: float, paint: str, name: str) -> str:
    width = min(46.0, (frame.right - frame.left) / frame.span[1] * 0.55)
    top, height = frame.y(max(start, start + value)), abs(frame.y(start) - frame.y(start + value))
    return (
        f'<rect class="bar" style="--c:{paint}" x="{frame.x(t + 0.5) - width / 2:.1f}" y="{top:.1f}" '
        f'width="{width:.1f}" height="{height:.1f}"><title>{escape(name)} {number(value)}</title></rect>'
    )
