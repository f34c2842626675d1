"""Which cells the feedback of a turn names.  Lists only; the sentences around them live with each task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from collm_envs.building.strbuild.words import Word
from collm_envs.task import Cell


@lru_cache(maxsize=4096)
def reference_blocks(word: Word, palettes: tuple[tuple[str, ...], ...]) -> Mapping[Cell, tuple[int, str]]:
    """The published plan of a word: cell -> (agent that owns it, block it should get).

    Cells are taken from the ground up and from left to right.  Cell (x, y) belongs to agent (x + y) mod n,
    which starts looking at entry (x + y) of its palette and takes the first block that no planned
    neighbour has.
    """
    plan: dict[Cell, tuple[int, str]] = {}
    for x, y, z in sorted(word.cells, key=lambda cell: (cell[1], cell[0])):
        owner = (x + y) % len(palettes)
        palette = palettes[owner]
        taken = {
            plan[cell][1]
            for cell in ((x - 1, y, z), (x + 1, y, z), (x, y - 1, z), (x, y + 1, z))
            if cell in plan
        }
        turned = [palette[(x + y + k) % len(palette)] for k in range(len(palette))]
        plan[x, y, z] = owner, next((block for block in turned if block not in taken), turned[0])
    return plan


def word_corrections(
    word: Word, plan: Mapping[Cell, tuple[int, str]], blocks: Mapping[Cell, str], agent: int
) -> tuple[list[Cell], list[Cell]]:
    """(cells of `agent` that differ from the plan, cells that should be empty), both top row first."""
    wrong = [cell for cell in word.cells if plan[cell][0] == agent and blocks.get(cell) != plan[cell][1]]
    extra = sorted(blocks.keys() - word.filled, key=lambda cell: (-cell[1], cell[0]))
    return wrong, extra
