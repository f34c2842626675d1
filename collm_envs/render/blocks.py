"""The look of any block id, and the cells where a world differs from its target."""

from __future__ import annotations

import colorsys
import hashlib
from functools import lru_cache
from typing import NamedTuple

from collm_envs.task import Cell, Scene

Pattern = tuple[tuple[tuple[float, float], ...], ...]
"""polylines on a face; (0, 0) is its lower left and (1, 1) its upper right corner"""


class Look(NamedTuple):
    """Colour as "#rrggbb" and the name of a pattern in `PATTERNS` ("" for none)."""

    colour: str
    pattern: str = ""


PATTERNS: dict[str, Pattern] = {
    "planks": (
        ((0, 0.25), (1, 0.25)),
        ((0, 0.5), (1, 0.5)),
        ((0, 0.75), (1, 0.75)),
        ((0.62, 0), (0.62, 0.25)),
        ((0.22, 0.25), (0.22, 0.5)),
        ((0.78, 0.5), (0.78, 0.75)),
        ((0.38, 0.75), (0.38, 1)),
    ),
    "bricks": (
        ((0, 0.34), (1, 0.34)),
        ((0, 0.67), (1, 0.67)),
        ((0.5, 0), (0.5, 0.34)),
        ((0.22, 0.34), (0.22, 0.67)),
        ((0.78, 0.34), (0.78, 0.67)),
        ((0.5, 0.67), (0.5, 1)),
    ),
    "stairs": (((0, 0.5), (0.5, 0.5), (0.5, 1)), ((0.5, 0.5), (1, 0.5))),
    "glass": (
        ((0.14, 0.14), (0.86, 0.14), (0.86, 0.86), (0.14, 0.86), (0.14, 0.14)),
        ((0.3, 0.52), (0.52, 0.74)),
    ),
    "log": (((0.2, 0), (0.2, 1)), ((0.45, 0), (0.45, 1)), ((0.75, 0), (0.75, 1))),
}

ANY = Look("#b9b3a5")
"""a target cell that any block fills correctly"""

_DYES = {
    "white": "#e4e6e3",
    "light_gray": "#9c9d97",
    "gray": "#54595d",
    "black": "#2a2c31",
    "brown": "#77502e",
    "red": "#a93532",
    "orange": "#e2701a",
    "yellow": "#efb92b",
    "lime": "#74b32a",
    "green": "#5a7029",
    "cyan": "#1f8795",
    "light_blue": "#3d96cf",
    "blue": "#3a46a5",
    "purple": "#7231a6",
    "magenta": "#b241a8",
    "pink": "#dd809f",
}
_WOODS = {
    "oak": "#b98f57",
    "spruce": "#81603a",
    "birch": "#d3bf83",
    "jungle": "#b5835f",
    "acacia": "#ba653a",
    "dark_oak": "#523a20",
    "mangrove": "#7c3a35",
    "cherry": "#e2b4ae",
    "bamboo": "#c9b152",
    "crimson": "#7a3a54",
    "warped": "#2f7a76",
}
_STONES = {
    "stone": "#8f8f8d",
    "smooth_stone": "#a9a9a6",
    "cobblestone": "#7c7c7a",
    "stone_brick": "#727577",
    "mossy_stone_brick": "#707a62",
    "andesite": "#8a8b8b",
    "diorite": "#c2c2c0",
    "granite": "#9b6e5b",
    "deepslate": "#52525a",
    "sandstone": "#d9cc9e",
    "quartz": "#e9e4db",
    "brick": "#99614f",
    "nether_brick": "#3d2228",
    "purpur": "#a97da9",
    "prismarine": "#5fa097",
    "obsidian": "#2b2140",
    "blackstone": "#33302f",
}
_OTHERS = {
    "stone_stairs": Look("#aaa9a3", "stairs"),
    "bricks": Look("#99614f", "bricks"),
    "planks": Look(_WOODS["oak"], "planks"),
    "glass": Look("#bfe0ea", "glass"),
    "glass_pane": Look("#bfe0ea", "glass"),
    "dirt": Look("#866146"),
    "grass_block": Look("#75a24e"),
    "sand": Look("#ddd0a3"),
    "gravel": Look("#86827f"),
    "iron_block": Look("#dcdcda"),
    "gold_block": Look("#f1cb45"),
    "diamond_block": Look("#6fdcd6"),
    "emerald_block": Look("#3cc06a"),
    "lapis_block": Look("#2f549b"),
    "redstone_block": Look("#ab2412"),
    "coal_block": Look("#26262a"),
    "netherrack": Look("#6c2f2f"),
    "glowstone": Look("#d9ab63"),
    "sea_lantern": Look("#c8dbd4"),
    "water": Look("#4673d4"),
    "lava": Look("#dd6a1c"),
    "ice": Look("#98bbf3"),
    "snow_block": Look("#f2f6f6"),
    "bookshelf": Look("#9a7a4a", "planks"),
    "hay_block": Look("#c5a52d", "log"),
    "clay": Look("#a2a7b3"),
    "bedrock": Look("#575757"),
}


@lru_cache(maxsize=1024)
def look(block: str) -> Look:
    """The look of a block id without `minecraft:`; "" is any block.

    An unknown id gets a colour computed from its name.
    """
    if block == "":
        return ANY
    return _OTHERS.get(block) or _family(block) or Look(_own_colour(block))


def _family(block: str) -> Look | None:
    """A look by the parts of the name: `<dye>_...`, `<wood>_...`, `<stone>_...`; the longest prefix wins."""
    pattern = next((p for p in ("planks", "stairs", "bricks", "glass", "log") if p in block), "")
    name = block.removeprefix("stripped_")
    for table in (_DYES, _WOODS, _STONES):
        for prefix in sorted(table, key=len, reverse=True):
            if name == prefix or name.startswith((f"{prefix}_", f"{prefix}s")):
                return Look(table[prefix], pattern)
    return None


def _own_colour(block: str) -> str:
    digest = hashlib.sha256(block.encode("utf-8", "replace")).digest()
    rgb = colorsys.hls_to_rgb(digest[0] / 256, 0.45 + digest[1] / 256 * 0.2, 0.3 + digest[2] / 256 * 0.3)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def shaded(colour: str, light: float) -> str:
    """`colour` times `light`; above 1 it is mixed with white."""
    parts = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    mixed = [p * light if light <= 1 else p + (255 - p) * (light - 1) for p in parts]
    return "#" + "".join(f"{round(min(255, p)):02x}" for p in mixed)


class Difference(NamedTuple):
    """Cells where a world differs from its target; all empty if there is no target."""

    missing: frozenset[Cell]
    """in the target, but empty"""
    wrong: frozenset[Cell]
    """in the target, with another block"""
    extra: frozenset[Cell]
    """not in the target, but filled"""


def difference(scene: Scene) -> Difference:
    """The missing, wrong and extra cells of `scene.blocks` compared with `scene.target`."""
    blocks, target = scene.blocks, scene.target
    if not target:
        return Difference(frozenset(), frozenset(), frozenset())
    return Difference(
        frozenset(cell for cell in target if cell not in blocks),
        frozenset(
            cell for cell, planned in target.items() if planned and blocks.get(cell, planned) != planned
        ),
        frozenset(cell for cell in blocks if cell not in target),
    )


def count(scene: Scene) -> str:
    """The number of blocks, and how many are missing, wrong or extra, in words."""
    differs = [f"{len(cells)} {name}" for name, cells in difference(scene)._asdict().items() if cells]
    if scene.target and not differs:
        differs = ["all as wanted"]
    return ", ".join([f"{len(scene.blocks)} blocks", *differs])
