"""Episodes of a rollout as `Record`s, for the viewer and for replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from baselines.lm.history import usage_of
from baselines.play.episode import Node
from baselines.play.replays import texts_of
from collm_envs import TextEnv
from collm_envs.record import Record, record


def to_record(env: TextEnv, path: Sequence[Node], agents: Mapping[str, str]) -> Record:
    """The record of one episode, made by replaying its texts in `env`; `agents`: agent -> policy's name."""
    first = path[0]
    split = next(split for split in ("train", "eval") if first.item in env.items(split))
    env.reset(seed=first.seed, options={"item": first.item.id, "split": split})
    for node in path:
        env.step(dict.fromkeys(env.agents, "") | texts_of(node))
    usage = [{agent: usage_of(move) for agent, move in node.moves.items()} for node in path]
    return record(env, agents=agents, usage=usage)
