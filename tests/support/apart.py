"""A process with weights that is this one: calls and answers are the bytes that would travel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from baselines.train.critic import NO_CRITICS, CriticSettings
from baselines.train.networks import Networks, homes, policy_of
from baselines.train.placement.actors import proxies
from baselines.train.placement.calls import LostProcess, Process
from baselines.train.placement.host import Host
from baselines.train.settings import Settings


class Loopback:
    """A courier to a host in this process, which is lost before its `lost_at`-th call."""

    def __init__(self, name: str, lost_at: int | None = None):
        self.name, self.lost_at = name, lost_at
        self.host = Host()
        self.calls = 0

    def send(self, data: bytes) -> Callable[[], Any]:
        self.calls += 1
        if self.lost_at is not None and self.calls >= self.lost_at:
            return self._lost
        try:
            answer = self.host.call(data)
        except Exception as error:
            failure = error

            def fail() -> Any:
                raise failure

            return fail
        return lambda: answer

    def _lost(self) -> Any:
        raise LostProcess(f"the process of {self.name} was lost")


def open_apart(
    settings: Settings,
    agents: Sequence[str],
    critics: CriticSettings = NO_CRITICS,
    courier: Callable[[str], Loopback] = Loopback,
) -> Networks:
    """What `--placement ray` opens, without Ray: a host for every policy and for a central critic."""
    live_with = homes(settings, agents, critics)
    names = dict.fromkeys([*(policy_of(settings, agent) for agent in agents), *live_with.values()])
    processes = {name: Process(courier(name)) for name in names}
    facts = {
        name: process.ask("host", "open", settings, agents, critics, [name])()
        for name, process in processes.items()
    }
    return proxies(processes, facts, lambda: None)
