"""Two-step game: agent_0 alone decides at the first table, so it learns faster there; even after that."""

import torch


def weights(state):
    """state["table"]: (B, 3) one-hot.  -> (B, 2)"""
    first = state["table"][:, :1]
    return first * torch.tensor([0.7, 0.3]) + (1 - first) * 0.5
