"""`--placement ray`: every policy, with the critics that judge its agents, in an actor of its own.

An actor holds weights, optimizer, histories and texts; a central critic has an actor for itself.  The driver
plays tasks, computes advantages and writes the run's folder; it loads no model.  Actors may be on other
machines of a cluster, each with GPUs of its own (https://docs.ray.io, actors and resources).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from baselines.train.critic import NO_CRITICS, CriticSettings
from baselines.train.networks import Networks, homes, policy_of
from baselines.train.placement.calls import LostProcess, Process, Wait
from baselines.train.placement.host import Facts, Host
from baselines.train.placement.proxies import FarCritic, FarPolicy
from baselines.train.placement.replicas import Replicas
from baselines.train.settings import Settings

PATIENCE_S = 60
"""seconds after which a line says that the cluster has not yet started all actors"""


class ActorCourier:
    """The way to an actor, which does its calls in order."""

    def __init__(self, name: str, actor: Any):
        self.name, self.actor = name, actor

    def send(self, data: bytes) -> Wait:
        """Have the actor do a call, after those that were sent before."""
        answer = self.actor.call.remote(data)
        return lambda: self._wait(answer)

    def _wait(self, answer: Any) -> bytes:
        import ray  # pyright: ignore[reportMissingImports]

        try:
            return ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError as error:
            first = str(error).splitlines()[0]
            raise LostProcess(
                f"the actor of {self.name} was lost ({type(error).__name__}: {first})"
            ) from None


def open_on_ray(settings: Settings, agents: Sequence[str], critics: CriticSettings = NO_CRITICS) -> Networks:
    """Start the actors, which open their networks side by side; returns proxies.

    Raises ModuleNotFoundError without ray, ValueError where the cluster has too few CPUs or GPUs, and what
    `open_networks` raises in an actor.
    """
    import ray  # pyright: ignore[reportMissingImports]

    live_with = homes(settings, agents, critics)
    together = [name for name, home in live_with.items() if home != "central"]
    if settings.replicas > 1 and together:
        raise ValueError(
            f"replicas={settings.replicas}: the critics of {', '.join(together)} live with policies, which "
            "then have one process each; use a central critic or replicas=1"
        )
    names = dict.fromkeys([*(policy_of(settings, agent) for agent in agents), *live_with.values()])
    seats = {label: name for name in names for label in _labels(name, settings.replicas)}
    needs = {"num_cpus": max(1, settings.threads), "num_gpus": settings.gpus_per_agent}
    _connect(settings, [*seats], needs)
    actors = {label: ray.remote(Host).options(**needs).remote() for label in seats}
    processes = {label: Process(ActorCourier(label, actor)) for label, actor in actors.items()}

    def close() -> None:
        for actor in actors.values():
            ray.kill(actor)

    plain = Settings(**{field.name: getattr(settings, field.name) for field in fields(Settings)})
    plain.out = str(Path(settings.out).absolute())  # actors elsewhere publish to it, from other folders
    opening = {
        label: process.ask("host", "open", plain, agents, critics, [seats[label]])
        for label, process in processes.items()
    }
    _tell_who_waits(actors)
    try:
        facts = {label: wait() for label, wait in opening.items()}
        for name in names if settings.replicas > 1 else ():
            _introduce(_labels(name, settings.replicas), actors, processes)
    except BaseException:
        close()
        raise
    return proxies(processes, facts, close)


def proxies(
    processes: Mapping[str, Process], facts: Mapping[str, Facts], close: Callable[[], None]
) -> Networks:
    """The networks of these processes, as the driver sees them."""
    parts: dict[str, list[FarPolicy]] = {}
    critics: dict[str, Any] = {}
    for label, opened in facts.items():
        process = processes[label]
        for name, sizes in opened.policies.items():
            parts.setdefault(name, []).append(FarPolicy(process, name, sizes))
        critics |= {name: FarCritic(process, name, *fact) for name, fact in opened.critics.items()}
    policies: dict[str, Any] = {
        name: Replicas(own) if len(own) > 1 else own[0] for name, own in parts.items()
    }
    return Networks(policies, critics, close)


def _labels(name: str, replicas: int) -> list[str]:
    """What the actors of a policy are called; a central critic has one."""
    return [name] if replicas == 1 or name == "central" else [f"{name}#{k}" for k in range(replicas)]


def _introduce(labels: Sequence[str], actors: Mapping[str, Any], processes: Mapping[str, Process]) -> None:
    """Connect the replicas of a policy with each other."""
    import ray  # pyright: ignore[reportMissingImports]

    if len(labels) < 2:
        return
    node = actors[labels[0]].__ray_call__.remote(lambda host: ray.util.get_node_ip_address())
    address, port = ray.get(node), processes[labels[0]].ask("host", "meet")()
    joining = [
        processes[label].ask("host", "join", address, port, rank, len(labels))
        for rank, label in enumerate(labels)
    ]
    for wait in joining:
        wait()


def _connect(settings: Settings, names: Sequence[str], needs: Mapping[str, float]) -> None:
    """Join the cluster, or start one here; ValueError where it is too small for actors of these names."""
    import ray  # pyright: ignore[reportMissingImports]

    if ray.is_initialized() and not settings.ray_address:
        ray.shutdown()  # it was sized for another run
    if not ray.is_initialized():
        cpus = max(os.cpu_count() or 1, int(needs["num_cpus"]) * len(names))
        here = {} if settings.ray_address else {"num_cpus": cpus, "include_dashboard": False}
        ray.init(settings.ray_address or "local", logging_level="ERROR", log_to_driver=False, **here)
    there = ray.cluster_resources()
    for resource, key in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
        wanted, count = needs[key] * len(names), there.get(resource, 0)
        if wanted > count:
            raise ValueError(
                f"the actors of {', '.join(names)} need {wanted:g} {resource}s, the Ray cluster has {count:g}"
            )


def _tell_who_waits(actors: Mapping[str, Any]) -> None:
    """Say which actors the cluster has not started after a while."""
    import ray  # pyright: ignore[reportMissingImports]

    ready = {name: actor.__ray_ready__.remote() for name, actor in actors.items()}
    _, waiting = ray.wait([*ready.values()], num_returns=len(ready), timeout=PATIENCE_S)
    late = [name for name, ref in ready.items() if ref in waiting]
    if late:
        print(f"waiting for the Ray cluster to start the actors of {', '.join(late)}", file=sys.stderr)
