"""Policies by description: "expert", "replay:FILE", "openai:URL#MODEL?temperature=0.7"."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from collm_envs.env import TextEnv
from collm_envs.policies.local import Recorded, Scripted, _human
from collm_envs.policies.seat import Policy, Seat, seat_seed
from collm_envs.task import Task


def take_seat(env: TextEnv, agent: str, policy: Policy, trial: int = 0) -> Seat:
    """The seat of `agent` in the running episode of `env`, with what `policy` may know."""
    if env.item is None:
        raise RuntimeError(f"{env.spec.id}: no episode is running; call reset() first")
    seed = seat_seed(env.item.id, env.seed, trial, agent, len(env.turns))
    if isinstance(policy, Scripted):
        return Seat(agent, env.history(agent), seed, env.task, env.snapshot)
    return Seat(agent, env.history(agent), seed)


def _openai(text: str) -> Policy:
    return importlib.import_module("collm_envs.policies.openai").parse(text)


def _own(text: str) -> Policy:
    return importlib.import_module("collm_envs.policies.own").parse(text)


KINDS: Mapping[str, Callable[[str], Policy]] = {
    "human": _human,
    "openai": _openai,
    "replay": Recorded,
    "py": _own,
}
"""what may stand before the colon -> what makes the policy of the rest"""


def parse(text: str, kinds: Mapping[str, Callable[[str], Policy]] = KINDS) -> Policy:
    """The policy that `text` describes: a player of the task, or "kind:rest" with a kind of `kinds`.

    Raises ValueError for an unknown kind or a malformed rest.
    """
    kind, colon, argument = text.partition(":")
    if kind in kinds and (colon or kind == "human"):
        return kinds[kind](argument)
    if colon or kind in kinds or not kind:
        known_kinds = ", ".join(f"{name}:..." if name != "human" else name for name in kinds)
        raise ValueError(f"no policy {text!r}; use a player of the task such as 'expert', or {known_kinds}")
    return Scripted(kind)


def seat_all(
    task: Task, default: str, named: Mapping[str, str], kinds: Mapping[str, Callable[[str], Policy]] = KINDS
) -> dict[str, Policy]:
    """{agent: policy} from descriptions; agents of one description share one policy.

    Raises ValueError for agents that the task does not have and for policies that do not exist.
    """
    if unknown := set(named) - set(task.agents):
        raise ValueError(f"no agents {sorted(unknown)}; the task has {list(task.agents)}")
    texts = {agent: named.get(agent, default) for agent in task.agents}
    by_text = {text: parse(text, kinds) for text in dict.fromkeys(texts.values())}
    for policy in by_text.values():
        if isinstance(policy, Scripted):
            policy.check(task)
    return {agent: by_text[text] for agent, text in texts.items()}
