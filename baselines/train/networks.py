"""Opens the policies and critics of a run: models loaded, adapters and value heads made, optimizers empty."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from baselines.lm import steady
from baselines.lm.learning import Optimizer
from baselines.lm.mixed import mix
from baselines.lm.opening import open_all
from baselines.lm.policy import LM
from baselines.lm.vllm import served
from baselines.train.critic import NO_CRITICS, Critic, CriticSettings
from baselines.train.settings import Settings


class Networks(NamedTuple):
    """Policies and critics by name, or proxies of those in other processes."""

    policies: dict[str, LM]
    critics: dict[str, Critic]
    close: Callable[[], None] = lambda: None
    """ends the processes that were started for them"""


def policy_of(settings: Settings, agent: str) -> str:
    """Name of the policy that acts for an agent."""
    return "shared" if settings.shared else agent


def homes(settings: Settings, agents: Sequence[str], critics: CriticSettings) -> dict[str, str]:
    """critic -> the policy it lives with, by name; a central critic of its own lives by itself: "central"."""
    out = {name: policy_of(settings, name) for name in critics.names}
    if "central" in out:
        out["central"] = policy_of(settings, agents[0]) if critics.on_actor else "central"
    return out


def models_of(settings: Settings, agents: Sequence[str]) -> dict[str, str]:
    """agent -> folder, file or name of its model."""
    if settings.models and len(settings.models) != len(agents):
        raise ValueError(f"models: need one for each of {list(agents)}, got {len(settings.models)}")
    return dict(zip(agents, settings.models or [settings.model] * len(agents), strict=True))


def sources(
    settings: Settings,
    agents: Sequence[str],
    critics: CriticSettings,
    here: Sequence[str],
    judging: Sequence[str],
) -> dict[str, str]:
    """name -> model of all that is opened for these policies and critics: references and trunks, too."""
    models = models_of(settings, agents)
    actors = {policy_of(settings, agent): models[agent] for agent in agents}
    trunks = {
        f"critic_{name}": critics.model or models[agents[0] if name == "central" else name]
        for name in critics.names
        if not critics.on_actor
    }
    own = {name: actors[name] for name in here}
    frozen = {f"reference {model}": model for model in own.values() if settings.reference_apart}
    judges = {f"critic_{name}": trunks[f"critic_{name}"] for name in judging if not critics.on_actor}
    wanted = {**own, **frozen, **judges}
    if settings.lora_rank:  # all adapters of a model: the same random ones, whoever is opened
        wanted = {name: model for name, model in {**actors, **trunks}.items() if model in wanted.values()}
    return wanted


def open_networks(
    settings: Settings,
    agents: Sequence[str],
    critics: CriticSettings = NO_CRITICS,
    only: Collection[str] | None = None,
    *,
    actors: bool = True,
) -> Networks:
    """The policies and critics of a fresh run, or those that live with the policies named in `only`.

    Without `actors` critics alone.

    Raises ValueError naming the model or the device and what is wrong with it.
    """
    torch.manual_seed(settings.seed)  # adapters and value heads are the only random weights
    live_with = homes(settings, agents, critics)
    names = dict.fromkeys(policy_of(settings, agent) for agent in agents)
    here = [name for name in names if actors and (only is None or name in only)]
    judging = [name for name in critics.names if only is None or live_with[name] in only]
    wanted, servers = sources(settings, agents, critics, here, judging), servers_of(settings, [*names])
    opened = open_all(wanted, settings.setup)
    policies = {name: opened[name] for name in here}
    if settings.mixed_batches:
        mix(policies.values())
    for name, policy in policies.items():
        if settings.cuda_graphs:  # critics and references write nothing, and may be of any kind
            steady.check(policy)
            policy.steady = True
        if servers:
            policy.publisher = served(policy, servers[name], Path(settings.out))
        if settings.reference_apart:
            policy.reference = opened[f"reference {wanted[name]}"]
            policy.reference.model.requires_grad_(False)
        elif settings.kl:
            policy.reference = policy
    built: dict[str, Critic] = {}
    for name in judging:
        trunk = policies[live_with[name]] if critics.on_actor else opened[f"critic_{name}"]
        built[name] = Critic(trunk, critics.max_context, on_actor=critics.on_actor)
    give_optimizers(settings, critics, policies, built)
    return Networks(policies, built)


def servers_of(settings: Settings, names: Sequence[str]) -> dict[str, str]:
    """policy -> address of the server that writes its texts; empty where they are written here.

    Raises ValueError for another number of servers than of policies, and for one server with all weights of
    several.
    """
    addresses = settings.sampler * (len(names) if len(settings.sampler) == 1 else 1)
    if not addresses:
        return {}
    if len(addresses) != len(names):
        raise ValueError(f"sampler: need one server, or one for each of {names}, got {len(addresses)}")
    if not settings.lora_rank and len(set(addresses)) < len(names):
        raise ValueError(
            "sampler: a server holds one set of all weights; give each policy a server of its own, or train "
            "adapters (lora_rank)"
        )
    return dict(zip(names, addresses, strict=True))


def give_optimizers(
    settings: Settings,
    critics: CriticSettings,
    policies: Mapping[str, LM],
    built: Mapping[str, Critic],
) -> None:
    """One for every policy, and one for every critic whose loss is not a part of the policy's."""
    for policy in policies.values():
        heads: list[nn.Parameter] = []
        passes = settings.epochs
        if critics.one_loss:
            heads = [p for c in built.values() if c.lm is policy for p in c.head.parameters()]
            passes = max(passes, critics.epochs)
        pace = pace_of(settings, passes)
        policy.optimizer = Optimizer(
            policy.parameters(), settings.lr, heads=heads, head_lr=critics.lr, **pace
        )
    for critic in () if critics.one_loss else built.values():
        pace = pace_of(settings, critics.epochs)
        weights = critic.parameters()
        if critics.on_actor:
            weights = [*critic.lm.parameters(), *critic.head.parameters()]
        critic.optimizer = Optimizer(weights, critics.lr, **pace)


def pace_of(settings: Settings, passes: int) -> dict[str, Any]:
    """Keywords of an optimizer with `passes` steps in each of the run, which warm-up and schedule count."""
    return {
        "steps": settings.steps * passes,
        "schedule": settings.schedule,
        "warmup": settings.warmup * passes,
        "max_grad_norm": settings.max_grad_norm,
    }
