"""An environment as an OpenEnv server: one seat of it, or all seats together.

    uvicorn.run(app("StrBuild-v0", seat="agent_0", partners="expert"), port=8000)
    collm serve openenv StrBuild-v0 --port 8000                       # the same

    with GenericEnvClient(base_url="http://localhost:8000").sync() as client:
        client.reset(seed=0, item="...", split="train")
        result = client.step({"text": "/setblock 0 0 0 stone"})       # seat="all": {"texts": {agent: text}}

With one seat, an observation is {"text": message to the agent that sits there}; with seat="all" it is
{"texts": {agent: message}}.  `metadata` holds the agent's `info` of `TextEnv.step`, and whether the episode
was terminated or truncated.  Each session has an environment of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from collm_envs.adapters.framework import load_framework
from collm_envs.adapters.gymnasium import SeatEnv
from collm_envs.adapters.partners import Partners
from collm_envs.registry import make

VERSION = "0.10"
SESSIONS = 1024
"""that may be open at once"""
ALL = "all"


class Wire(NamedTuple):
    """The pydantic classes of actions and observations, e.g. for a typed client."""

    Action: Any
    Observation: Any


def models(joint: bool = False) -> Wire:
    """Of one seat: Action(text=...), Observation(text=...); of all: texts={agent: ...} in both."""
    types = load_framework("openenv.core.env_server.types", VERSION, "openenv")
    create_model = load_framework("pydantic", "2").create_model
    fields: dict[str, Any] = {"texts": (dict[str, str], ...)} if joint else {"text": (str, ...)}
    kind = "Joint" if joint else "Seat"
    return Wire(
        create_model(f"{kind}Action", __base__=types.Action, **fields),
        create_model(f"{kind}Observation", __base__=types.Observation, **fields),
    )


def app(id: str, *, seat: str = "agent_0", partners: Partners = "expert", **make_kwargs: Any) -> Any:
    """The FastAPI application; `seat="all"` takes the texts of all agents and asks no partners.

    Raises ImportError without OpenEnv, and at once whatever is wrong with the arguments.
    """
    server = load_framework("openenv.core.env_server", VERSION, "openenv")
    types = load_framework("openenv.core.env_server.types", VERSION, "openenv")
    joint = seat == ALL
    Action, Observation = models(joint)

    def open_seat() -> Any:
        return make(id, **make_kwargs) if joint else SeatEnv(id, seat, partners, **make_kwargs)

    open_seat()

    class CollmEnvironment(server.Environment):
        SUPPORTS_CONCURRENT_SESSIONS = True

        def __init__(self) -> None:
            super().__init__()
            self._env = open_seat()
            self._state = types.State(episode_id="", step_count=0)

        def reset(self, seed: int | None = None, episode_id: str | None = None, **options: Any) -> Any:
            given = {name: value for name, value in options.items() if value is not None}
            message, info = self._env.reset(seed=seed, options=given)
            self._state = types.State(episode_id=episode_id or "", step_count=0)
            return self._observation(message, info, None, False, False)

        def step(self, action: Any, timeout_s: float | None = None, **options: Any) -> Any:
            played = self._env.step(action.texts if joint else action.text)
            self._state = self._state.model_copy(update={"step_count": self._state.step_count + 1})
            message, reward, terminated, truncated, info = played
            if joint:  # all agents earn the same and end together
                reward, terminated, truncated = (
                    next(iter(part.values())) for part in (reward, terminated, truncated)
                )
            return self._observation(message, info, reward, terminated, truncated)

        def _observation(
            self, message: Any, info: Any, reward: float | None, terminated: bool, truncated: bool
        ) -> Any:
            ends = {"terminated": terminated, "truncated": truncated}
            return Observation(
                **{"texts" if joint else "text": message},
                reward=reward,
                done=terminated or truncated,
                metadata={**(next(iter(info.values())) if joint else info), **ends},
            )

        @property
        def state(self) -> Any:
            return self._state

    return server.create_app(CollmEnvironment, Action, Observation, env_name=id, max_concurrent_envs=SESSIONS)
