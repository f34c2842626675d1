"""What a built house is worth: metrics against the blueprint."""

from __future__ import annotations

import numpy as np

from collm_envs.building.housebuild.plan import Plan


def house_score(plan: Plan, world: np.ndarray) -> dict[str, float]:
    """Metrics of a world (height, depth, width; indices into `plan.names`) against a plan.

    match: share of all cells, air included, that hold the right block; iou: cells that hold any block in
    both over those in either; coverage: the former over the plan's; redundancy: blocks where air should be
    over the plan's blocks.
    """
    solid, wanted = ~plan.is_air[world], ~plan.is_air[plan.cells]
    correct = int(np.count_nonzero(world == plan.cells))
    both, built = int(np.count_nonzero(solid & wanted)), int(np.count_nonzero(solid))
    total = int(np.count_nonzero(wanted))
    return {
        "iou": both / (total + built - both),
        "match": correct / plan.cells.size,
        "coverage": both / total,
        "redundancy": (built - both) / total,
        "correct_cells": correct,
        "cells": plan.cells.size,
    }
