"""Facts about blocks shared by the building tasks: ids, air, textures; and the split of a budget."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

AIR = frozenset({"air", "cave_air", "void_air"})
_STONES = frozenset({"stone", "cobblestone", "smooth_stone", "stone_bricks"})


def block_id(name: str) -> str:
    """The block id without surrounding blanks and without `minecraft:`."""
    return name.strip().removeprefix("minecraft:")


@lru_cache(maxsize=4096)
def texture(block: str) -> str:
    """The class of textures that neighbours are compared by: wood, stone, concrete, or the id itself."""
    name = block.lower()
    if name.endswith(("_planks", "_wood")):
        return "wood"
    if name in _STONES or name.endswith(("_stone", "_stone_bricks")):
        return "stone"
    if name.endswith("_concrete"):
        return "concrete"
    return name


def budgets(total: int, n: int) -> tuple[int, ...]:
    """The commands of each of `n` agents: equal shares of at least 1, the remainder to the first."""
    share = max(1, total // n)
    return (share + total % n, *[share] * (n - 1))


def check_blocks(name: str, blocks: Any) -> tuple[str, ...]:
    """Block ids without `minecraft:`, each once.  Raises ValueError if one is not a word or all are air."""
    if not isinstance(blocks, Sequence) or isinstance(blocks, str):
        raise ValueError(f"{name}: need a list of block ids, got {blocks!r}")
    for block in blocks:
        if not isinstance(block, str) or len(block.split()) != 1:
            raise ValueError(f"{name}: a block id is one word, got {block!r}")
    ids = tuple(dict.fromkeys(map(block_id, blocks)))
    if not set(ids) - AIR:
        raise ValueError(f"{name}: need at least one block that is not air, got {list(blocks)!r}")
    return ids
