"""Compares a built house with its blueprint."""

from __future__ import annotations

import numpy as np

from collm_envs.building.housebuild.plan import Plan


def house_score(plan: Plan, world: np.ndarray) -> dict[str, float]:
    """Metrics of a world (height, depth, width; indices into `plan.names`) against a plan.

    match: share of all cells, air included, with the right block.  With B the cells that hold any block and
    P those that should: iou = |B & P| / |B | P|, coverage = |B & P| / |P|, redundancy = |B - P| / |P|.
    """
    solid, planned = ~plan.is_air[world], ~plan.is_air[plan.cells]
    correct = int(np.count_nonzero(world == plan.cells))
    overlap, built = int(np.count_nonzero(solid & planned)), int(np.count_nonzero(solid))
    total = int(np.count_nonzero(planned))
    return {
        "iou": overlap / (total + built - overlap),
        "match": correct / plan.cells.size,
        "coverage": overlap / total,
        "redundancy": (built - overlap) / total,
        "correct_cells": correct,
        "cells": plan.cells.size,
    }
