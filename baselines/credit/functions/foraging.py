"""Foraging where all must lift together: who is furthest from food holds up the team and learns faster."""

import torch


def weights(state):
    """state["players"], state["food"]: (B, N or F, 3), row, column, level (0: eaten).  -> (B, N)"""
    players, food = state["players"], state["food"]
    steps = (players[:, :, None, :2] - food[:, None, :, :2]).abs().sum(-1)  # (B, N, F)
    gone = food[:, None, :, 2] <= 0
    nearest = steps.masked_fill(gone, torch.inf).amin(-1)
    nearest = torch.where(nearest.isinf(), 0.0, nearest)  # no food left: all alike
    return 0.5 / players.shape[1] + 0.5 * (2 * nearest).softmax(-1)
