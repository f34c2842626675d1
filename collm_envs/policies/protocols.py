"""Prompt-only baselines: which texts of each other untrained agents read before they answer.  No torch.

    single        one model does all the agents' work in one answer
    parallel      each agent answers alone, all at once
    pipeline      agent k reads the texts of the agents before it, then answers
    discussion    each drafts alone; then each reads all drafts and writes anew, for some rounds;
                  the texts of the last round are the answers

The prompt-only rows of arXiv:2601.21972; the wording is ours.  A protocol is a policy around policies, so
the environment does not change: it sees the answers, and the rewards and the replay are those of any
policy.  `single` is no protocol of several but the environment's own `num_agents=1`: TLDR and ArXiv split
the one answer into their two paragraphs as published, CoopHE grades it as the whole program, StrBuild and
HouseBuild let the one agent place every block, with all palettes and stocks.

What others wrote is added to the newest message only: in later turns an agent remembers what it was told
and what it answered, as everywhere, but no drafts.

Cost and time: `tokens_read`, `tokens_written` and `seconds` of a reply are those of all calls made for it,
drafts included; `waited` are the seconds it had to wait for the texts of others, so that an agent's answer
is there after `waited + seconds`.  A turn's parallel latency, the latest answer, is then the slowest agent
(parallel), the sum over agents (pipeline), or the sum over rounds of each round's slowest (discussion).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Literal

from collm_envs.policies.journal import Paid, Remembered, mended, open_journal
from collm_envs.policies.local import Scripted
from collm_envs.policies.seat import SECONDS, TOKENS, WAITED, Policy, Reply, Seat, Weighed

Protocol = Literal["single", "parallel", "pipeline", "discussion"]
CALLS = "protocol_calls.jsonl"
ADDED = (*TOKENS, SECONDS)
"""usage entries that are summed over the calls for one reply"""
BEFORE = "{message}\n\nThese agents of your team have already answered:\n\n{texts}\n\nNow write your answer."
DRAFTS = (
    "{message}\n\nThese are the drafts of your team, yours among them; you are {agent}:\n\n{texts}\n\n"
    "Now write your own answer anew so that all fit together.  Write nothing but the answer."
)


def protocol_keywords(protocol: Protocol) -> dict[str, Any]:
    """Keywords of `make` that the protocol requires."""
    return {"num_agents": 1} if protocol == "single" else {}


@contextmanager
def seated(protocol: Protocol, policies: Mapping[str, Policy], folder: Path) -> Iterator[dict[str, Policy]]:
    """The policies as they play under `protocol`; paid replies are kept in `folder` as they arrive.

    Raises ValueError for policies that read no messages.
    """
    if protocol in ("single", "parallel"):
        yield dict(policies)
        return
    if scripted := [policy.name for policy in policies.values() if isinstance(policy, Scripted)]:
        raise ValueError(f"{protocol}: {scripted[0]!r} is a scripted player, which reads no messages")
    paid = {policy.name: policy for policy in policies.values() if isinstance(policy, Paid)}
    with open_journal(folder / CALLS) if paid else nullcontext() as journal:
        kept = {name: Remembered(policy, journal) for name, policy in paid.items() if journal}
        team = {agent: kept.get(policy.name, policy) for agent, policy in policies.items()}
        together: Policy = {"pipeline": Pipeline, "discussion": Discussion}[protocol](team)
        yield dict.fromkeys(policies, together)


@dataclass(frozen=True)
class Pipeline:
    """The agents of an episode answer in turn; each reads what those before it have written."""

    policies: Mapping[str, Policy]

    @property
    def name(self) -> str:
        return f"pipeline:{_names(self.policies)}"

    @property
    def digest(self) -> str:
        return _digest(self.policies)

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order; the agents of an episode stand together."""
        replies_so_far: list[dict[str, Reply]] = [{} for _ in _episodes(self.policies, seats)]
        for agent in self.policies:  # this agent is asked in all episodes at once
            agent_seats = [seat for seat in seats if seat.agent == agent]
            requests = [
                _reading(seat, BEFORE, before)
                for seat, before in zip(agent_seats, replies_so_far, strict=True)
            ]
            for before, reply in zip(replies_so_far, _ask(self.policies, requests), strict=True):
                before[agent] = reply
        return [
            _told([reply], waited=sum(_seconds(other) for other in [*before.values()][:k]))
            for before in replies_so_far
            for k, reply in enumerate(before.values())
        ]


@dataclass(frozen=True)
class Discussion:
    """All draft; then all read every draft and write anew, `rounds` times."""

    policies: Mapping[str, Policy]
    rounds: int = 1

    @property
    def name(self) -> str:
        return f"discussion:{_names(self.policies)}"

    @property
    def digest(self) -> str:
        return _digest(self.policies)

    def act(self, seats: Sequence[Seat]) -> list[Reply]:
        """One reply for each seat, in order; the agents of an episode stand together."""
        episodes = _episodes(self.policies, seats)
        rounds = [_ask(self.policies, [_reseeded(seat, "draft 0") for seat in seats])]
        for n in range(1, self.rounds + 1):
            requests: list[Seat | Reply] = []
            for indices in episodes:
                drafts = {seats[k].agent: rounds[-1][k] for k in indices}
                requests += [_reading(seats[k], DRAFTS, drafts) for k in indices]
            if n < self.rounds:
                requests = [
                    _reseeded(request, f"draft {n}") if isinstance(request, Seat) else request
                    for request in requests
                ]
            rounds.append(_ask(self.policies, requests))
        replies = []
        for indices in episodes:
            slowest = sum(max(_seconds(texts[k]) for k in indices) for texts in rounds[:-1])
            for k in indices:
                waited = slowest - sum(_seconds(texts[k]) for texts in rounds[:-1])
                replies.append(_told([texts[k] for texts in rounds], waited))
        return replies


def _names(policies: Mapping[str, Policy]) -> str:
    """The models' names: one for a team of one model, else one for each agent."""
    names = {agent: policy.name for agent, policy in policies.items()}
    if len(set(names.values())) == 1:
        return next(iter(names.values()))
    return ",".join(f"{agent}={name}" for agent, name in names.items())


def _digest(policies: Mapping[str, Policy]) -> str:
    """Digest of the team's weights, which its policies' names do not determine."""
    each = {agent: policy.digest for agent, policy in policies.items() if isinstance(policy, Weighed)}
    return hashlib.sha256(json.dumps(each, sort_keys=True).encode()).hexdigest()


def _episodes(policies: Mapping[str, Policy], seats: Sequence[Seat]) -> list[list[int]]:
    """Places in `seats`, episode by episode.  Raises ValueError where not all agents of one are there."""
    N, agents = len(policies), list(policies)
    if [seat.agent for seat in seats] != agents * (len(seats) // N):
        raise ValueError(
            f"a protocol needs all agents of an episode at once, in the order {agents}; "
            f"got {[seat.agent for seat in seats[: N + 1]]}"
        )
    return [list(range(k, k + N)) for k in range(0, len(seats), N)]


def _ask(policies: Mapping[str, Policy], requests: Sequence[Seat | Reply]) -> list[Reply]:
    """A reply for each seat, one call of each policy; a `Reply` instead of a seat stays as it is."""
    replies = {k: request for k, request in enumerate(requests) if isinstance(request, Reply)}
    for policy in {id(policy): policy for policy in policies.values()}.values():
        seats = {k: request for k, request in enumerate(requests) if isinstance(request, Seat)}
        seats = {k: request for k, request in seats.items() if policies[request.agent] is policy}
        if seats:
            began = time.perf_counter()
            answered = policy.act([*seats.values()])
            share = round((time.perf_counter() - began) / len(seats), 6)
            for k, reply in zip(seats, answered, strict=True):
                replies[k] = replace(reply, usage={SECONDS: share, **reply.usage})
    return [replies[k] for k in range(len(requests))]


def _reading(seat: Seat, words: str, others: Mapping[str, Reply]) -> Seat | Reply:
    """The seat with the others' texts in its newest message; where one of them failed, that failure."""
    if failed := [reply.error for reply in others.values() if reply.error]:
        return Reply("", error=failed[0])
    if not others:
        return seat
    texts = "\n\n".join(f"[{agent}]\n{mended(reply.text)}" for agent, reply in others.items())
    message = words.format(message=seat.history[-1], texts=texts, agent=seat.agent)
    return replace(seat, history=(*seat.history[:-1], message))


def _reseeded(seat: Seat, call: str) -> Seat:
    """The same seat with another seed, so that a draft is not a copy of the answer."""
    return replace(seat, seed=Random(f"collm/{seat.seed}/{call}").getrandbits(31))


def _seconds(reply: Reply) -> float:
    """Seconds of one call; 0 for a call that was not made."""
    return reply.usage.get(SECONDS, 0.0)


def _told(calls: Sequence[Reply], waited: float) -> Reply:
    """The last of the calls for one reply, with the usage of all of them."""
    usages = [reply.usage for reply in calls]
    cost = {
        name: sum(usage[name] for usage in usages) for name in ADDED if all(name in usage for usage in usages)
    }
    drafts = {"drafts": [reply.text for reply in calls[:-1]]} if len(calls) > 1 else {}
    return replace(calls[-1], usage={**usages[-1], **cost, WAITED: round(max(0.0, waited), 6), **drafts})
