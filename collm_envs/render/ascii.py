"""A scene as plain text: the world beside its target, one letter a block, and titled texts.

A world one block deep is drawn from the front (x right, y up); a deeper one layer by layer from the ground
up, each layer seen from above (x right, z down, as blueprints write their rows).
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from collm_envs.render.blocks import count
from collm_envs.task import Cell, Scene

AIR, ANY = ".", "#"
WIDTH = 100


def text(scene: Scene) -> str:
    """The scene for a terminal, without a trailing line break; "" for an empty scene."""
    parts = [_titled(title, body) for title, body in scene.texts.items()]
    if all(scene.size):
        parts.insert(0, _world(scene))
    return "\n\n".join(parts)


def letters(scene: Scene) -> dict[str, str]:
    """{block id: one character}, a function of the set of ids; "" (any block) is `#`."""
    chosen: dict[str, str] = {}
    for block in sorted({*scene.blocks.values(), *scene.target.values()} - {""}):
        name = block.replace("_", "").upper()
        spare = (c for c in name + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" if c not in chosen.values())
        chosen[block] = next(spare, "?")
    if "" in scene.target.values():
        chosen[""] = ANY
    return chosen


def _world(scene: Scene) -> str:
    width, height, depth = scene.size
    names = letters(scene)
    if depth == 1:
        front = [(y, [(x, y, 0) for x in range(width)]) for y in reversed(range(height))]
        drawn = [_slice("", front, scene, names)]
    else:
        drawn = [
            _slice(f"y={y}", [(z, [(x, y, z) for x in range(width)]) for z in range(depth)], scene, names)
            for y in range(height)
        ]
    legend = "  ".join(f"{letter} {block or 'any block'}" for block, letter in names.items())
    return "\n\n".join([*drawn, f"{count(scene)}\n{AIR} air  {legend}".rstrip()])


def _slice(label: str, rows: list[tuple[int, list[Cell]]], scene: Scene, names: Mapping[str, str]) -> str:
    """Rows of the world beside those of the target, with row numbers and every fifth column number."""
    margin = max(len(label), *(len(str(k)) for k, _ in rows))
    width = max(len("world"), len(rows[0][1]))
    lines = [f"{label:<{margin}}  {'world':<{width}}   target"]
    for k, cells in rows:
        world, target = (
            "".join(AIR if (block := grid.get(cell)) is None else names[block] for cell in cells)
            for grid in (scene.blocks, scene.target)
        )
        lines.append(f"{k:>{margin}}  {world:<{width}}   {target}")
    ruler = "".join(f"{x:<5}" for x in range(0, len(rows[0][1]), 5)).rstrip()
    lines.append(f"{'':<{margin}}  {ruler:<{width}}   {ruler}")
    return "\n".join(lines)


def _titled(title: str, body: str) -> str:
    """A text under its title, with unprintable characters (terminal control codes) replaced by U+FFFD."""
    lines = [part for line in body.splitlines() for part in textwrap.wrap(line, WIDTH) or [""]]
    shown = ("".join(c if c.isprintable() else "\ufffd" for c in line) for line in [title, *lines])
    heading, *body_lines = shown
    return "\n".join([heading, "-" * len(heading), *body_lines])
