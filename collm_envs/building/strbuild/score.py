"""What a built word is worth: the reward's parts and the metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collm_envs.building.strbuild.words import Word
from collm_envs.building.world import texture
from collm_envs.task import Cell


def word_score(
    word: Word, blocks: Mapping[Cell, str], palettes: Sequence[frozenset[str]]
) -> tuple[dict[str, float], dict[str, float]]:
    """(parts, metrics) of the non-air `blocks` against a word; the parts sum to the raw reward.

        R = 2 covered/target - 1.5 extra/background - same/pairs - 0.25 missing

    pairs: neighbours (right, above) that are both non-air, same: those of one texture; missing: agents
    whose palette (without air) is not all there, whoever placed it.
    """
    covered = len(word.filled & blocks.keys())
    target, extra = len(word.cells), len(blocks) - covered
    background = word.width * len(word.rows) - target
    pairs, same = _neighbours(blocks)
    placed = set(blocks.values())
    missing = sum(not palette <= placed for palette in palettes)
    coverage = covered / target
    extra_share = extra / background if background else 0.0
    adj = same / pairs if pairs else 0.0
    parts = {
        "coverage": 2.0 * coverage,
        "extra": 0.0 - 1.5 * extra_share,
        "adjacency": 0.0 - adj,
        "palette": 0.0 - 0.25 * missing,
    }
    metrics = {
        "iou": covered / (target + extra),
        "adj": adj,
        "coverage": coverage,
        "extra": extra_share,
        "missing_palettes": missing,
        "covered_blocks": covered,
        "extra_blocks": extra,
        "target_blocks": target,
        "same_pairs": same,
        "pairs": pairs,
    }
    return parts, metrics


def _neighbours(blocks: Mapping[Cell, str]) -> tuple[int, int]:
    """Pairs of blocks that share a side in the wall, and those of one texture."""
    look = {cell: texture(block) for cell, block in blocks.items()}
    pairs = same = 0
    for (x, y, z), own_texture in look.items():
        for cell in ((x + 1, y, z), (x, y + 1, z)):
            other = look.get(cell)
            if other is not None:
                pairs += 1
                same += other == own_texture
    return pairs, same
