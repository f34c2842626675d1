"""A scene as plain text: the world beside its target, one letter a block, and titled texts.

A world one block deep is drawn from the front (x right, y up); a deeper one layer by layer from the ground
up, each layer seen from above (x right, z down, as blueprints write their rows).
"""

from __future__ import annotations

from collections.abc import Mapping

from collm_envs.render.blocks import count
from collm_envs.render.plain import in_lines, plain, wrapped
from collm_envs.task import Cell, Scene

AIR, ANY = ".", "#"
WIDTH = 100


def text(scene: Scene, names: Mapping[str, str] | None = None, width: int = WIDTH) -> str:
    """The scene for a terminal of `width` columns, without a trailing line break; "" for an empty scene.

    `names` are the letters of the episode's blocks (see `letters`); by default those of this scene.
    """
    parts = [_titled(title, body, width) for title, body in scene.texts.items()]
    if all(scene.size):
        parts.insert(0, _world(scene, letters(scene, names or {}), width))
    return "\n\n".join(parts)


def letters(scene: Scene, taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """{block id: one character}: the letters already `taken`, then new ones; "" (any block) is `#`.

    Pass the value for the scene before as `taken`, and a block keeps its letter for the whole episode.
    """
    chosen = dict(taken or {})
    for block in sorted({*scene.blocks.values(), *scene.target.values()} - {""}):
        if block not in chosen:
            name = block.replace("_", "").upper()
            spare = (c for c in name + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" if c not in chosen.values())
            chosen[block] = next(spare, "?")
    if "" in scene.target.values():
        chosen[""] = chosen.pop("", ANY)  # last in the list of blocks
    return chosen


def _world(scene: Scene, names: Mapping[str, str], columns: int) -> str:
    width, height, depth = scene.size
    if depth == 1:
        front = [(y, [(x, y, 0) for x in range(width)]) for y in reversed(range(height))]
        drawn = [_slice("", front, scene, names, columns)]
    else:
        layers = [(y, [(z, [(x, y, z) for x in range(width)]) for z in range(depth)]) for y in range(height)]
        drawn = [_slice(f"y={y}", rows, scene, names, columns) for y, rows in layers]
    present = {*scene.blocks.values(), *scene.target.values()}
    legend = [f"{letter} {block or 'any block'}" for block, letter in names.items() if block in present]
    return "\n\n".join([*drawn, f"{count(scene)}\n{in_lines([f'{AIR} air', *legend], columns, gap=2)}"])


def _slice(
    label: str, rows: list[tuple[int, list[Cell]]], scene: Scene, names: Mapping[str, str], columns: int
) -> str:
    """Rows of the world beside those of the target, with row numbers and every fifth column number.

    If `columns` are too few for both, the target is put below the world.
    """
    margin = max(len(label), *(len(str(k)) for k, _ in rows))
    width = max(len("world"), len(rows[0][1]))
    ruler = "".join(f"{x:<5}" for x in range(0, len(rows[0][1]), 5)).rstrip()
    drawn = []
    for title, blocks in (("world", scene.blocks), ("target", scene.target)):
        cells = ["".join(_letter(blocks.get(cell), names) for cell in row) for _, row in rows]
        drawn.append([title, *cells, ruler])
    numbers = [label, *(str(k) for k, _ in rows), ""]
    align = ["<", *[">"] * len(rows), "<"]
    left = [f"{number:{side}{margin}}  " for number, side in zip(numbers, align, strict=True)]
    if margin + 2 + width + 3 + max(width, len("target")) > columns:
        return "\n\n".join("\n".join(f"{a}{b}" for a, b in zip(left, part, strict=True)) for part in drawn)
    return "\n".join(f"{a}{b:<{width}}   {c}" for a, b, c in zip(left, *drawn, strict=True))


def _letter(block: str | None, names: Mapping[str, str]) -> str:
    return AIR if block is None else names[block]


def _titled(title: str, body: str, width: int) -> str:
    """A text under its title, with unprintable characters (terminal control codes) replaced by U+FFFD."""
    heading = plain(title)
    return "\n".join([heading, "-" * min(len(heading), width), *wrapped(plain(body), width).splitlines()])
