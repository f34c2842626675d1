"""Projects a block world to flat shapes, back to front, for the voxel picture and the episode page.

Orthographic projection.  With yaw a and pitch b the viewer stands in the direction (sin a cos b, sin b,
cos a cos b) and sees (cos a, 0, -sin a) to the right.  A unit cube that hides part of another is not behind
it on any axis, so drawing by the sum of the coordinates towards the viewer is a painter's algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, radians, sin
from typing import NamedTuple

from collm_envs.render.blocks import PATTERNS, Look, difference, look, shaded
from collm_envs.task import Cell, Scene

Point = tuple[float, float]
Corner = tuple[float, float, float]
LIGHT = {"x": 0.74, "y": 1.14, "z": 0.92}
"""brightness of a face by the axis it is normal to"""
SHADOW = (0.2, 0.12)
"""length of a shadow to the right and away from the viewer, per block of height"""


class Camera(NamedTuple):
    """Where the viewer stands, in degrees: yaw 0 sees the front (x to the right), 180 the back."""

    yaw: float
    pitch: float

    def project(self, corner: Corner) -> Point:
        """The point (right, up) in the picture, in blocks, of a point of the world."""
        a, b = radians(self.yaw), radians(self.pitch)
        x, y, z = corner
        return x * cos(a) - z * sin(a), y * cos(b) - (x * sin(a) + z * cos(a)) * sin(b)

    @property
    def towards(self) -> Cell:
        """The sign, -1 or 1, of the direction to the viewer along x, y and z."""
        a = radians(self.yaw)
        return 1 if sin(a) >= 0 else -1, 1, 1 if cos(a) >= 0 else -1


class Shape(NamedTuple):
    """One polygon or line.

    Filled roles: ground, shadow, block, missing.  Roles that are lines: grid, seam (pattern of a block),
    wrong and extra (marks on the faces of such blocks).
    """

    role: str
    points: tuple[Point, ...]
    colour: str = ""
    """of a block or a seam; the renderer chooses those of other roles"""
    glassy: bool = False


def view_of(scene: Scene) -> Camera:
    """A view of a wall nearly from the front, of a deeper world over the corner of lowest x and z."""
    return Camera(-18, 16) if scene.size[2] == 1 else Camera(214, 27)


def shapes(scene: Scene, view: Camera) -> Iterator[Shape]:
    """Ground, shadows, then each visible face of the blocks and of the missing ones, back to front."""
    yield from _ground(scene, view)
    for cell in sorted(scene.blocks):
        yield Shape("shadow", _shadow(cell, view))
    missing, wrong, extra = difference(scene)
    seen_through = {cell for cell, block in scene.blocks.items() if look(block).pattern == "glass"}
    toward = view.towards

    def nearness(cell: Cell) -> int:
        return sum(sign * k for sign, k in zip(toward, cell, strict=True))

    for cell in sorted(sorted({*scene.blocks, *missing}), key=nearness):
        for axis, neighbour, corners in _faces(cell, toward):
            hidden = neighbour in scene.blocks and (neighbour not in seen_through or cell in seen_through)
            if hidden or (cell in missing and neighbour in missing):
                continue
            quad = tuple(map(view.project, corners))
            if cell in missing:
                yield Shape("missing", quad)
                continue
            yield from _block_face(look(scene.blocks[cell]), axis, quad)
            if cell in wrong:
                yield Shape("wrong", _on(quad, ((0.2, 0.2), (0.8, 0.8))))
            if cell in extra:
                yield Shape("extra", _on(quad, ((0.2, 0.2), (0.8, 0.8))))
                yield Shape("extra", _on(quad, ((0.2, 0.8), (0.8, 0.2))))


def bounds(scene: Scene, view: Camera) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of the picture of any world of this size with its ground, in blocks."""
    width, height, depth = scene.size
    roof = [(x, height, z) for x in (0, width) for z in (0, depth)]
    points = [view.project(corner) for corner in (*_plate(scene), *roof)]
    across, up = zip(*points, strict=True)
    return min(across), min(up), max(across), max(up)


def ticks(scene: Scene, view: Camera) -> Iterator[tuple[Point, str]]:
    """(position, text) of the coordinates along the near edges of the ground and up a wall's left edge."""
    (width, height, depth), toward = scene.size, view.towards
    near_x = width + 0.6 if toward[0] > 0 else -0.6
    near_z = depth + 0.6 if toward[2] > 0 else -0.6
    for k in _steps(width):
        yield view.project((k + 0.5, 0, near_z)), str(k)
    yield view.project((width + 1, 0, near_z)), "x"
    if depth == 1:
        for k in _steps(height):
            yield view.project((-0.35, k + 0.5, 0)), str(k)
        yield view.project((-0.35, height + 0.4, 0)), "y"
    else:
        for k in _steps(depth):
            yield view.project((near_x, 0, k + 0.5)), str(k)
        yield view.project((near_x, 0, depth + 1)), "z"


def _steps(length: int) -> range:
    return range(0, length, 1 if length <= 12 else 5)


def _faces(cell: Cell, toward: Cell) -> Iterator[tuple[str, Cell, tuple[Corner, ...]]]:
    """(axis, neighbouring cell, corners from lower left, anticlockwise) of the three visible faces."""
    x, y, z = cell
    sx, _, sz = toward
    top = tuple((x + dx, y + 1, z + dz) for dx, dz in ((0, 1), (1, 1), (1, 0), (0, 0)))
    yield "y", (x, y + 1, z), top
    at = x + (sx > 0)
    side = tuple((at, y + dy, z + dz) for dz, dy in ((0, 0), (1, 0), (1, 1), (0, 1)))
    yield "x", (x + sx, y, z), side
    at = z + (sz > 0)
    front = tuple((x + dx, y + dy, at) for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1)))
    yield "z", (x, y, z + sz), front


def _block_face(block: Look, axis: str, quad: tuple[Point, ...]) -> Iterator[Shape]:
    colour = shaded(block.colour, LIGHT[axis])
    glassy = block.pattern == "glass"
    yield Shape("block", quad, colour, glassy)
    for line in PATTERNS[block.pattern] if block.pattern else ():
        yield Shape("seam", _on(quad, line), shaded(colour, 1.6 if glassy else 0.74))


def _on(quad: tuple[Point, ...], line: tuple[Point, ...]) -> tuple[Point, ...]:
    """A line in the coordinates of a face, projected to the picture."""
    (x0, y0), (x1, y1), _, (x3, y3) = quad
    return tuple((x0 + u * (x1 - x0) + v * (x3 - x0), y0 + u * (y1 - y0) + v * (y3 - y0)) for u, v in line)


def _plate(scene: Scene) -> tuple[Corner, ...]:
    """Corners of the ground: the world's footprint with a margin for the shadows."""
    width, height, depth = scene.size
    low = -0.8 - height * max(SHADOW)
    right, back = width - low, depth - low
    return (low, 0, low), (right, 0, low), (right, 0, back), (low, 0, back)


def _ground(scene: Scene, view: Camera) -> Iterator[Shape]:
    width, _, depth = scene.size
    yield Shape("ground", tuple(map(view.project, _plate(scene))))
    for x in range(width + 1):
        yield Shape("grid", (view.project((x, 0, 0)), view.project((x, 0, depth))))
    for z in range(depth + 1):
        yield Shape("grid", (view.project((0, 0, z)), view.project((width, 0, z))))


def _shadow(cell: Cell, view: Camera) -> tuple[Point, ...]:
    """The outline of a block's shadow on the ground."""
    a = radians(view.yaw)
    right, away = SHADOW
    shift_x, shift_z = right * cos(a) - away * sin(a), -right * sin(a) - away * cos(a)
    x, y, z = cell
    fallen = [
        view.project((x + dx + h * shift_x, 0, z + dz + h * shift_z))
        for h in (y, y + 1)
        for dx in (0, 1)
        for dz in (0, 1)
    ]
    return _hull(fallen)


def _hull(points: list[Point]) -> tuple[Point, ...]:
    """Convex hull, anticlockwise (monotone chain)."""

    def chain(ordered: list[Point]) -> list[Point]:
        kept: list[Point] = []
        for x, y in ordered:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-2:]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                kept.pop()
            kept.append((x, y))
        return kept[:-1]

    ordered = sorted(set(points))
    return (*chain(ordered), *chain(ordered[::-1]))
