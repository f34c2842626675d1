"""What a house is worth in HouseBuild-v1."""

from __future__ import annotations

from collections.abc import Mapping

from collm_envs.task import Cell

BEST = 2.0
"""the worth of a finished house"""
LOST = 0.05
"""cost of a health point"""
DEATH = -1.0
"""reward of the turn in which the last health point is lost"""


def house_score(
    target: Mapping[Cell, str], blocks: Mapping[Cell, str]
) -> tuple[dict[str, float], dict[str, float]]:
    """(parts, metrics) of what stands; the parts sum to

        S = 2 right/target - wrong/target

    right: cells that hold the block that belongs there (each kind has a texture of its own); wrong: all other
    blocks.
    """
    right = len(target.items() & blocks.items())
    inside = len(target.keys() & blocks.keys())
    wrong, wanted = len(blocks) - right, len(target)
    either = wanted + len(blocks) - inside
    parts = {"right": 2.0 * right / wanted, "wrong": 0.0 - wrong / wanted}
    metrics = {
        "iou": right / either,
        "iou_blind": inside / either,
        "right_blocks": float(right),
        "wrong_blocks": float(wrong),
        "target_blocks": float(wanted),
    }
    return parts, metrics
