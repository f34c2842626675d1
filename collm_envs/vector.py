"""Many episodes of one environment stepped together: lists in, lists out, one shared task.

    vec = collm_envs.make_vec("StrBuild-v0", 16)
    observations, infos = vec.reset(seed=0)
    observations, rewards, terminations, truncations, infos = vec.step([{...}, {...}, ...])

Nothing is stacked into arrays and nothing restarts by itself: an episode that has ended stays ended until
`reset` or `reset_one`, and its entry in what `step` returns is `{}`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

from collm_envs.env import TextEnv
from collm_envs.registry import make
from collm_envs.task import in_parallel

Infos = dict[str, dict[str, Any]]


class VecEnv:
    """`n` environments that share one task (states are frozen, so nothing can leak between them).

    Where the task says `parallel_play = True` (its turns wait for a sandbox, say), the turns of a step are
    played in as many threads as there are processors.
    """

    def __init__(self, env: TextEnv, n: int):
        if type(n) is not int or n < 1:
            raise ValueError(f"{env.spec.id}: need at least 1 environment, got {n!r}")
        self.spec, self.task = env.spec, env.task
        self.envs = [
            TextEnv(env.task, self.spec, render_mode=env.render_mode, max_cycles=env.max_cycles)
            for _ in range(n)
        ]
        self._pool = ThreadPoolExecutor(os.cpu_count()) if in_parallel(env.task) else None

    def __len__(self) -> int:
        return len(self.envs)

    def __getitem__(self, k: int) -> TextEnv:
        return self.envs[k]

    @property
    def live(self) -> list[int]:
        """Indices of the episodes that go on."""
        return [k for k, env in enumerate(self.envs) if env.agents]

    def reset(
        self,
        seed: int | Sequence[int] | None = None,
        options: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> tuple[list[dict[str, str]], list[Infos]]:
        """Start all episodes.

        `seed` is one for each environment, or one from which each draws its own (the seeds s and s + 1
        have nothing in common), or None; `options` are one for all or one for each.
        """
        seeds = self._seeds(seed)
        each = [options] * len(self) if options is None or isinstance(options, Mapping) else list(options)
        if len(each) != len(self) or len(seeds) != len(self):
            raise ValueError(
                f"{self.spec.id}: need {len(self)} seeds and options, got {len(seeds)} and {len(each)}"
            )
        started = [
            env.reset(seed=one, options=some) for env, one, some in zip(self.envs, seeds, each, strict=True)
        ]
        return [observations for observations, _ in started], [infos for _, infos in started]

    def reset_one(
        self, k: int, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, str], Infos]:
        """Start episode `k` anew; the others go on."""
        return self.envs[k].reset(seed=seed, options=options)

    def drop(self, k: int) -> None:
        """End episode `k` where it stands, without a result."""
        self.envs[k].agents = []

    def step(
        self, actions: Sequence[Mapping[str, str] | None]
    ) -> tuple[
        list[dict[str, str]],
        list[dict[str, float]],
        list[dict[str, bool]],
        list[dict[str, bool]],
        list[Infos],
    ]:
        """Play one turn of every live episode.

        `actions[k]` belongs to environment k and is None or {} where its episode has ended.  Raises
        RuntimeError where none is live, and what `TextEnv.step` raises, before any episode was played on.
        """
        if len(actions) != len(self):
            raise ValueError(f"{self.spec.id}: need {len(self)} entries of actions, got {len(actions)}")
        live = self.live
        if not live:
            raise RuntimeError(f"{self.spec.id}: no episode is running; call reset() first")
        for k, some in enumerate(actions):
            if k in live:
                self.envs[k].check({} if some is None else some)
            elif some:
                raise ValueError(f"{self.spec.id}: episode {k} has ended; its actions must be None")
        played = dict(zip(live, self._play(live, actions), strict=True))
        empty: tuple[dict[str, Any], ...] = ({}, {}, {}, {}, {})
        columns = zip(*(played.get(k, empty) for k in range(len(self))), strict=True)
        observations, rewards, terminations, truncations, infos = ([*column] for column in columns)
        return observations, rewards, terminations, truncations, infos

    def close(self) -> None:
        """Stop the threads, where there are any; may be called any number of times."""
        if self._pool is not None:
            self._pool.shutdown()

    def _play(self, live: list[int], actions: Sequence[Any]) -> Iterator[tuple[dict[str, Any], ...]]:
        run = map if self._pool is None else self._pool.map
        return run(lambda k: self.envs[k].step(actions[k]), live)

    def _seeds(self, seed: int | Sequence[int] | None) -> list[int | None]:
        if seed is None:
            return [None] * len(self)
        if isinstance(seed, Sequence):
            return list(seed)
        return [Random(f"collm/{seed}/{k}").getrandbits(31) for k in range(len(self))]


def make_vec(id: str, n: int, **kwargs: Any) -> VecEnv:
    """`n` environments `make(id, **kwargs)` stepped together."""
    return VecEnv(make(id, **kwargs), n)
