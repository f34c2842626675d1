"""simple_spread of mpe2 (Lowe et al. 2017, arXiv:1706.02275): agents cover landmarks and avoid each other."""

from __future__ import annotations

import numpy as np
from mpe2 import simple_spread_v3

from baselines.games.game import Game


def simple_spread(N: int = 3) -> Game:
    """The game with its own state (all observations, concatenated) split into fields.

    velocity, position: (N, 2); to_landmarks: (N, N, 2), landmark minus agent; to_others: (N, N - 1, 2).
    """
    env = simple_spread_v3.parallel_env(N=N)
    width = 4 + 2 * N + 4 * (N - 1)
    rows = np.arange(N * width).reshape(N, width)  # the last 2 (N - 1) are messages, always 0 here
    ends = np.cumsum([2, 2, 2 * N, 2 * (N - 1)])
    velocity, position, landmarks, others, _ = np.split(rows, ends, axis=1)
    fields = {
        "velocity": velocity,
        "position": position,
        "to_landmarks": landmarks.reshape(N, N, 2),
        "to_others": others.reshape(N, N - 1, 2),
    }
    return Game(env, fields)
