"""What is to be seen besides blocks (dangers, guards) as a plan from above, with a line for each."""

from __future__ import annotations

from collections.abc import Sequence

from collm_envs.pages.chart import colour
from collm_envs.pages.markup import escape
from collm_envs.task import Scene, Sign

UNIT = 30
"""units of the drawing per cell"""


def plan(scene: Scene) -> str:
    """The ground from above, x to the right and z downward, with the scene's signs; "" where it has none."""
    if not scene.signs:
        return ""
    width, _, depth = scene.size
    grid = "".join(f"M{x * UNIT} 0v{depth * UNIT}" for x in range(width + 1))
    grid += "".join(f"M0 {z * UNIT}h{width * UNIT}" for z in range(depth + 1))
    ticks = [_tick((x + 0.5) * UNIT, -5, "middle", x) for x in range(width)]
    ticks += [_tick(-6, (z + 0.5) * UNIT + 4, "end", z) for z in range(depth)]
    drawn = "".join(_sign(sign, share) for sign, share in _spread(scene.signs))
    lines = "".join(f'<li class="{sign.kind}"{_own(sign)}>{escape(sign.text)}</li>' for sign in scene.signs)
    right, bottom = width * UNIT, depth * UNIT
    box = f"-18 -18 {right + 20} {bottom + 20}"
    label = escape("the site from above: " + "; ".join(sign.text for sign in scene.signs))
    return (
        '<figure class="signs"><figcaption>from above, x to the right, z downward</figcaption><div>'
        f'<svg viewBox="{box}" style="max-width:{right + 20}px" role="img" aria-label="{label}">'
        f'<rect class="ground" width="{right}" height="{bottom}"/><path class="grid" d="{grid}"/>'
        f"{''.join(ticks)}{drawn}</svg><ul>{lines}</ul></div></figure>"
    )


def _tick(x: float, y: float, anchor: str, number: int) -> str:
    return f'<text class="tick" x="{x}" y="{y}" text-anchor="{anchor}">{number}</text>'


def _spread(signs: Sequence[Sign]) -> list[tuple[Sign, float]]:
    """Each sign with its place across its cell, 0 to 1: those of one cell stand beside each other."""
    cells = [(sign.x, sign.z) for sign in signs]
    return [
        (sign, (cells[:k].count(cell) + 1) / (cells.count(cell) + 1))
        for k, (sign, cell) in enumerate(zip(signs, cells, strict=True))
    ]


def _sign(sign: Sign, share: float) -> str:
    """A circle with the guards it takes for a danger, a triangle with the agent's number for a guard."""
    x, y = round((sign.x + share) * UNIT), round((sign.z + 0.5) * UNIT)
    shape = f'<circle cx="{x}" cy="{y}" r="8"/>'
    if sign.kind == "guard":
        shape = f'<path d="M{x - 9} {y + 8}L{x} {y - 10}L{x + 9} {y + 8}z"/>'
    return (
        f'<g class="{sign.kind}"{_own(sign)}><title>{escape(sign.text)}</title>{shape}'
        f'<text x="{x}" y="{y + 4}" text-anchor="middle">{sign.number}</text></g>'
    )


def _own(sign: Sign) -> str:
    """The colour of a guard's agent."""
    return f' style="--c:{colour(sign.number)}"' if sign.kind == "guard" else ""
