"""The replay memory of recurrent Q-learning: whole episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Episode(NamedTuple):
    """One episode of H turns; observations and states also after the last turn."""

    obs: np.ndarray
    """(H + 1, N, D) float32"""
    state: np.ndarray
    """(H + 1, S) float32"""
    actions: np.ndarray
    """(H, N) int64"""
    rewards: np.ndarray
    """(H,) float32, the team's reward"""
    terminated: np.ndarray
    """(H,) float32, 1 where the game is over; all 0 if only the time limit ended the episode"""


class EpisodeBatch(NamedTuple):
    """B episodes padded to the longest: as in `Episode` with B in front.

    Padded with zeros; `state` repeats its last entry, so that no mixer sees a state that did not occur.
    """

    obs: Tensor
    state: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    mask: Tensor
    """(B, H) float32, 1 where a turn was played"""


class Experience:
    """The last `capacity` episodes."""

    def __init__(self, capacity: int):
        self.capacity = capacity
        self.episodes: list[Episode] = []
        self.added = 0

    def add(self, episode: Episode) -> None:
        """Add `episode`; if the memory is full, it replaces the oldest."""
        if len(self.episodes) < self.capacity:
            self.episodes.append(episode)
        else:
            self.episodes[self.added % self.capacity] = episode
        self.added += 1

    def sample(self, size: int, rng: np.random.Generator) -> EpisodeBatch:
        """`size` different episodes, drawn uniformly."""
        chosen = rng.choice(len(self.episodes), size, replace=False)
        return pad([self.episodes[k] for k in chosen])


def pad(episodes: Sequence[Episode]) -> EpisodeBatch:
    """Episodes of any lengths as one padded batch."""
    lengths = torch.tensor([len(episode.rewards) for episode in episodes])
    H = int(lengths.max())
    stacked = []
    for name in Episode._fields:
        first = getattr(episodes[0], name)
        rows = H + 1 if name in ("obs", "state") else H
        out = np.zeros((len(episodes), rows, *first.shape[1:]), first.dtype)
        for k, episode in enumerate(episodes):
            part = getattr(episode, name)
            out[k, : len(part)] = part
            if name == "state":
                out[k, len(part) :] = part[-1]
        stacked.append(torch.from_numpy(out))
    mask = (torch.arange(H) < lengths.unsqueeze(1)).float()
    return EpisodeBatch._make([*stacked, mask])
