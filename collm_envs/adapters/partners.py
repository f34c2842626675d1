"""One agent is the learner's seat, the others are partners: who plays them, and what they write."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from collm_envs.env import TextEnv
from collm_envs.policies.local import Scripted
from collm_envs.policies.own import Own
from collm_envs.policies.seat import Policy
from collm_envs.policies.specs import parse, take_seat
from collm_envs.registry import make
from collm_envs.task import writers

Partner = str | Policy | Callable[[str], str]
"""a description as in `collm_envs.policies`, a policy, or a function from an observation to a text"""
Partners = Partner | Mapping[str, Partner]
"""one partner for all other agents, or one for each: {agent: partner}"""


def open_env(env_or_id: TextEnv | str, make_kwargs: Mapping[str, Any]) -> TextEnv:
    """The environment itself, or `make(id, **make_kwargs)`; TypeError for keywords to one that is made."""
    if isinstance(env_or_id, str):
        return make(env_or_id, **make_kwargs)
    if not isinstance(env_or_id, TextEnv):
        raise TypeError(f"need an environment or its id, got {type(env_or_id).__name__}")
    if make_kwargs:
        raise TypeError(f"{env_or_id.spec.id}: is made already, got keywords for it: {sorted(make_kwargs)}")
    return env_or_id


def check_seat(env: TextEnv, seat: str) -> None:
    """ValueError with the nearest agent where `env` has no agent called `seat`."""
    if seat not in env.possible_agents:
        near = difflib.get_close_matches(str(seat), env.possible_agents, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{env.spec.id}: no agent {seat!r}, there are {env.possible_agents}{hint}")


def seat_partners(env: TextEnv, seat: str, partners: Partners) -> dict[str, Policy]:
    """{agent: policy} of every agent but `seat`; agents of one description share one policy.

    Raises ValueError for a seat, an agent or a policy that does not exist, TypeError for what is no partner.
    """
    check_seat(env, seat)
    others = [agent for agent in env.possible_agents if agent != seat]
    by_agent = partners if isinstance(partners, Mapping) else dict.fromkeys(others, partners)
    if set(by_agent) != set(others):
        raise ValueError(f"{env.spec.id}: need a partner for each of {others}, got {sorted(by_agent)}")
    policies = {id(partner): _policy(env, partner) for partner in by_agent.values()}
    return {agent: policies[id(by_agent[agent])] for agent in others}


def _policy(env: TextEnv, partner: Any) -> Policy:
    if isinstance(partner, str):
        policy = parse(partner)
        if isinstance(policy, Scripted):
            policy.check(env.task)
        return policy
    if not isinstance(partner, type):
        if hasattr(partner, "act"):
            return partner
        if callable(partner):
            return Own(f"function {partner!r}", partner, "")
    raise TypeError(
        f"{env.spec.id}: a partner is a policy, its description, or a function observation -> text; "
        f"got {partner!r}"
    )


def partner_texts(env: TextEnv, policies: Mapping[str, Policy]) -> dict[str, str]:
    """{agent: text} of one turn of the running episode; each policy is asked once, for its agents that write.

    An agent that does not write now has the empty text.  Raises RuntimeError where a policy has no text; the
    episode can go on.
    """
    texts = dict.fromkeys(policies, "")
    writing = writers(env.task, env.snapshot)
    for policy in {id(policy): policy for policy in policies.values()}.values():
        agents = [agent for agent in writing if policies.get(agent) is policy]
        if not agents:
            continue
        replies = policy.act([take_seat(env, agent, policy) for agent in agents])
        for agent, reply in zip(agents, replies, strict=True):
            if reply.error:
                raise RuntimeError(f"{env.spec.id}: no text from the partner {agent}: {reply.error}")
            texts[agent] = reply.text
    return texts
