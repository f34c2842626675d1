"""A block world as inline SVG in the colours of the page: a wall from the front, others at an angle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from collm_envs.pages.markup import escape
from collm_envs.render.blocks import PATTERNS, difference, look, shaded
from collm_envs.render.faces import Point, bounds, shapes, view_of
from collm_envs.task import Scene

UNIT = 24
"""units of the drawing per block"""
WIDEST = 30
"""most pixels of a block on the screen"""


def world(scene: Scene, label: str) -> str:
    """The world with missing, wrong and extra blocks marked; `label` describes it to screen readers."""
    return wall(scene, label) if scene.size[2] == 1 else solid(scene, label)


def target(scene: Scene, label: str) -> str:
    """The picture of the target world."""
    return world(Scene(scene.size, scene.target), label)


def wall(scene: Scene, label: str) -> str:
    """A world one block deep from the front: x right, y up, ticks at every fifth and the last cell."""
    width, height, _ = scene.size
    missing, wrong, extra = difference(scene)
    parts = [f'<rect class="ground" width="{width * UNIT}" height="{height * UNIT}"/>']
    inner = [f"M{x * UNIT} 0v{height * UNIT}" for x in range(1, width)]
    inner += [f"M0 {y * UNIT}h{width * UNIT}" for y in range(1, height)]
    parts.append(f'<path class="grid" d="{"".join(inner)}"/>')
    for (x, y, _), block in sorted(scene.blocks.items()):
        parts.append(_square("block", x, height - 1 - y, look(block).colour))
        for line in PATTERNS.get(look(block).pattern, ()):
            parts.append(_line("seam", _cell(x, height - 1 - y, line), shaded(look(block).colour, 0.74)))
    parts += [_square("missing", x, height - 1 - y) for x, y, _ in sorted(missing)]
    for role, cells in (("wrong", wrong), ("extra", extra)):
        for x, y, _ in sorted(cells):
            parts.append(_line(role, _cell(x, height - 1 - y, ((0.25, 0.25), (0.75, 0.75)))))
            if role == "extra":
                parts.append(_line(role, _cell(x, height - 1 - y, ((0.25, 0.75), (0.75, 0.25)))))
    ticks = [(x, (x + 0.5) * UNIT, height * UNIT + 14, "middle") for x in _ticked(width)]
    ticks += [(y, -6, (height - y - 0.5) * UNIT + 4, "end") for y in _ticked(height)]
    parts += [f'<text class="tick" x="{x}" y="{y}" text-anchor="{a}">{k}</text>' for k, x, y, a in ticks]
    box = f"-18 -1 {width * UNIT + 19} {height * UNIT + 19}"
    return _svg(box, width * WIDEST + 24, label, parts)


def solid(scene: Scene, label: str) -> str:
    """A deeper world in the view of the voxel picture."""
    view = view_of(scene)
    left, bottom, right, top = bounds(scene, view)
    box = " ".join(f"{k * UNIT:.0f}" for k in (left, -top, right - left, top - bottom))
    drawn = list(shapes(scene, view))
    shadows = "".join(_outline(shape.points) for shape in drawn if shape.role == "shadow")
    parts = []
    for shape in drawn:
        if shape.role == "shadow":
            if shadows:  # one path, so that shadows on shadows are no darker
                parts.append(f'<path class="shadow" d="{shadows}"/>')
                shadows = ""
        elif shape.role in ("ground", "missing", "block"):
            fill = f' fill="{shape.colour}"' if shape.colour else ""
            glass = ' fill-opacity=".45"' if shape.glassy else ""
            parts.append(f'<path class="{shape.role}"{fill}{glass} d="{_outline(shape.points)}"/>')
        else:
            parts.append(_line(shape.role, [(x * UNIT, -y * UNIT) for x, y in shape.points], shape.colour))
    return _svg(box, 620, label, parts)


def legend(scenes: Iterable[Scene]) -> str:
    """The blocks and marks that occur in any of the scenes, as a list of swatches."""
    blocks: set[str] = set()
    marks: dict[str, bool] = {"missing": False, "wrong": False, "extra": False}
    for scene in scenes:
        blocks |= {*scene.blocks.values(), *scene.target.values()}
        for role, cells in difference(scene)._asdict().items():
            marks[role] |= bool(cells)
    rows = [
        f'<li><span class="swatch" style="--c:{look(block).colour}"></span>'
        f"{escape(block or 'any block')}</li>"
        for block in sorted(blocks)
    ]
    for role, used in marks.items():
        if used:
            drawing = _square(role, 0, 0) if role == "missing" else _line(role, [(4, 20), (20, 4)])
            drawing += _line(role, [(4, 4), (20, 20)]) if role == "extra" else ""
            rows.append(f'<li><svg viewBox="0 0 24 24" aria-hidden="true">{drawing}</svg>{role}</li>')
    return f'<ul class="legend world">{"".join(rows)}</ul>'


def _svg(box: str, widest: int, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="{box}" style="max-width:{widest}px" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _outline(points: Sequence[Point]) -> str:
    """The SVG path of a closed polygon, in whole numbers relative to the point before."""
    placed = [(round(x * UNIT), round(-y * UNIT)) for x, y in points]
    steps = (f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in pairwise(placed))
    return f"M{placed[0][0]} {placed[0][1]}l{' '.join(steps)}z".replace(" -", "-")


def _line(role: str, points: Sequence[Point], colour: str = "") -> str:
    stroke = f' stroke="{colour}"' if colour else ""
    path = "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
    return f'<path class="{role}"{stroke} d="M{path}"/>'


def _square(role: str, column: int, row: int, colour: str = "") -> str:
    fill = f' fill="{colour}"' if colour else ""
    return f'<path class="{role}"{fill} d="M{column * UNIT} {row * UNIT}h{UNIT}v{UNIT}h-{UNIT}z"/>'


def _cell(column: int, row: int, line: Iterable[Point]) -> list[Point]:
    return [((column + u) * UNIT, (row + 1 - v) * UNIT) for u, v in line]


def _ticked(length: int) -> Iterator[int]:
    return (k for k in range(length) if k % 5 == 0 or (k == length - 1 and k % 5 > 1))
