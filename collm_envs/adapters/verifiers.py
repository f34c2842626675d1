"""A verifiers (v1) environment in which every agent is a seat of its own; all seats answer at once.

    # strbuild_verifiers.py, an installed module: both classes in __all__ make it a taskset package
    StrBuildEnv = environment("StrBuild-v0")
    StrBuildTasks = taskset("StrBuild-v0")
    __all__ = ["StrBuildEnv", "StrBuildTasks"]

    vf-eval strbuild_verifiers -n 20 -m MODEL            # --env.agent_1.model another

A task is an item with its index as the seed.  The team's return is the reward on every seat's trace, and the
metrics of the last turn are metrics there.  Seats run in the `null` harness as subprocesses of this machine
(verifiers' own default is a cloud that asks for a login); `uv` has to be installed.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from collm_envs.adapters.framework import load_framework
from collm_envs.env import TextEnv
from collm_envs.registry import make
from collm_envs.task import writers

VERSION = "0.4"


def environment(id: str, **make_kwargs: Any) -> Any:
    """The `verifiers.v1.Env` subclass; its config has a field for each agent of the environment.

    Raises ImportError without verifiers, and at once whatever `make` finds wrong with the arguments.
    """
    vf = load_framework("verifiers.v1", VERSION, "verifiers")
    create_model = load_framework("pydantic", "2").create_model
    agents = make(id, **make_kwargs).possible_agents
    seat = {"harness": {"id": "null"}, "runtime": {"type": "subprocess"}}
    fields: dict[str, Any] = {agent: (vf.AgentConfig, vf.AgentConfig(**seat)) for agent in agents}
    fields["max_concurrent_agents"] = (int | None, None)
    Config = create_model("CollmEnvConfig", __base__=vf.EnvConfig, **fields)

    class CollmEnv(vf.Env[Config]):
        async def run(self, task: Any, agents: Any) -> None:
            """Play the task's episode; a seat without a reply fails it."""
            await _play(vf, make(id, **make_kwargs), task, agents)

    return CollmEnv


def taskset(id: str, split: str = "eval", **make_kwargs: Any) -> Any:
    """The `verifiers.v1.Taskset` subclass: one task for each item of `split`, in order.

    Raises ImportError without verifiers, and at once whatever `make` finds wrong with the arguments.
    """
    vf = load_framework("verifiers.v1", VERSION, "verifiers")
    items = make(id, **make_kwargs).items(split)
    Data = load_framework("pydantic", "2").create_model(
        "CollmData", __base__=vf.TaskData, item=(str, ...), split=(str, ...), seed=(int, ...)
    )

    class CollmTask(vf.Task[Data]):
        pass

    class CollmTaskset(vf.Taskset[CollmTask, vf.TasksetConfig]):
        def load(self) -> Any:
            for seed, item in enumerate(items):
                data = Data(id=item.id, name=item.id, item=item.id, split=split, seed=seed)
                yield CollmTask(data, self.config.task)

    return CollmTaskset


async def _play(vf: Any, env: TextEnv, task: Any, agents: Any) -> None:
    """One episode: every turn waits for all seats that write in it, and then plays their texts."""
    data = task.data
    observations, _ = env.reset(seed=data.seed, options={"item": data.item, "split": data.split})
    earned, metrics = 0.0, {}
    async with AsyncExitStack() as open_seats:
        seats = {
            agent: await open_seats.enter_async_context(
                getattr(agents, agent).interaction(vf.Task(vf.TaskData(idx=data.idx)))
            )
            for agent in env.possible_agents
        }
        while env.agents:
            writing = writers(env.task, env.snapshot)
            turns = await asyncio.gather(*(seats[agent].turn(observations[agent]) for agent in writing))
            replies = dict(zip(writing, turns, strict=True))
            if silent := [agent for agent, reply in replies.items() if reply.terminated]:
                errors = seats[silent[0]].trace.errors
                why = errors[0].message if errors else "its run has ended"
                raise RuntimeError(
                    f"{env.spec.id}: no text from {silent[0]} at turn {len(env.turns) + 1}: {why}"
                )
            texts = {agent: reply.last_reply for agent, reply in replies.items()}
            observations, rewards, _, _, infos = await asyncio.to_thread(
                env.step, {**dict.fromkeys(env.possible_agents, ""), **texts}
            )
            earned += rewards[env.possible_agents[0]]
            metrics = infos[env.possible_agents[0]]["metrics"]
        for seat in seats.values():
            seat.trace.record_reward("return", earned)
            for name, value in metrics.items():
                seat.trace.record_metric(name, float(value))
