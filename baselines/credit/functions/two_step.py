"""Weights for the two-step game: 0.7 and 0.3 at the first table, where only agent_0 decides; then equal.

The larger an agent's weight in a state, the faster its values of that state are learned.
"""

import torch


def weights(state):
    """state["table"]: (B, 3) one-hot.  -> (B, 2)"""
    first = state["table"][:, :1]
    return first * torch.tensor([0.7, 0.3]) + (1 - first) * 0.5
