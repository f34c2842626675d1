"""One agent of an environment as a `gymnasium.Env`: the other agents are policies inside it.

    env = SeatEnv("StrBuild-v0", seat="agent_1", partners="noisy")
    env = gymnasium.make("collm/StrBuild-v0-seat", seat="agent_1", partners="noisy")     # the same
    observation, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("/setblock 0 0 0 stone")

An observation is the new message to the agent, an action its text, the reward the team's.  Where agents write
one after the other, the steps in which only partners write are played in between, and earn with the agent's
next or last text.  An episode is the one that `collm_envs.make` plays for the same seed, item and texts, with
the partners' texts drawn as `collm eval` draws them.  Asynchronous vector environments need
`shared_memory=False`.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from collm_envs.adapters.partners import Partners, open_env, partner_texts, seat_partners
from collm_envs.env import RENDER_MODES, TextEnv
from collm_envs.task import writers


class SeatEnv(gymnasium.Env[str, str]):
    """`seat` of a text environment; `partners` write for all other agents.

    `env_or_id` is an environment that `make` gave, or an id to make with `make_kwargs`.  `partners` is a
    description ("expert", "replay:FILE", "openai:URL#MODEL"), a policy, a function observation -> text, or
    {agent: one of these} for every other agent.  Raises ValueError for an unknown seat or policy.
    `parallel` is the environment within, e.g. for `collm_envs.record.record`.
    """

    metadata = {"render_modes": [*RENDER_MODES], "render_fps": 1}  # noqa: RUF012  Gymnasium reads the class's

    def __init__(
        self,
        env_or_id: TextEnv | str,
        seat: str = "agent_0",
        partners: Partners = "expert",
        **make_kwargs: Any,
    ):
        self.parallel = open_env(env_or_id, make_kwargs)
        self.seat = seat
        self.partners = seat_partners(self.parallel, seat, partners)
        self.metadata = self.parallel.metadata
        self.render_mode = self.parallel.render_mode
        self.observation_space = self.parallel.observation_space(seat)
        self.action_space = self.parallel.action_space(seat)
        self._earned = 0.0
        self._seen: tuple[str, bool, bool, dict[str, Any]] = ("", False, False, {})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode: (the first message to the seat, its info).  `options` as in `TextEnv.reset`."""
        super().reset(seed=seed)
        observations, infos = self.parallel.reset(seed=seed, options=options)
        self._earned = 0.0
        self._seen = observations[self.seat], False, False, infos[self.seat]
        self._play_partners()
        observation, _, _, info = self._seen
        return observation, info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Play one turn: (next message, reward, terminated, truncated, info).

        Raises what `TextEnv.step` raises, RuntimeError for a partner without a text; the episode goes on, and
        a text that has been played is not played again.
        """
        unasked = dict.fromkeys(self.partners, "")
        self.parallel.check({**unasked, self.seat: action})  # before a partner is asked, and maybe paid
        if self._writes():
            self._play(action)
        self._play_partners()
        earned, self._earned = self._earned, 0.0
        observation, terminated, truncated, info = self._seen
        return observation, earned, terminated, truncated, info

    def _writes(self) -> bool:
        return self.seat in writers(self.parallel.task, self.parallel.snapshot)

    def _play_partners(self) -> None:
        """Play the steps before the seat's next one."""
        while self.parallel.agents and not self._writes():
            self._play("")

    def _play(self, text: str) -> None:
        """Play one step of the parallel environment; keeps what the seat sees and earns by it."""
        seat, texts = self.seat, partner_texts(self.parallel, self.partners)
        observations, rewards, terminations, truncations, infos = self.parallel.step({**texts, seat: text})
        self._earned += rewards[seat]
        self._seen = observations[seat], terminations[seat], truncations[seat], infos[seat]

    def render(self) -> str | np.ndarray | None:  # type: ignore[override]
        """As `TextEnv.render`."""
        return self.parallel.render()
