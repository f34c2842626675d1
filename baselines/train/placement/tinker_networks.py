"""`--placement tinker`: every policy is an adapter on a server with the Tinker API; critics are here.

The SDK is `pip install 'collm[tinker]'`, in the version that the server wants.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any
from urllib.request import Request

from baselines.lm.sampling import check_honoured
from baselines.train.critic import NO_CRITICS, CriticSettings
from baselines.train.networks import Networks, models_of, open_networks, policy_of
from baselines.train.placement.tinker_policy import TinkerPolicy
from baselines.train.placement.tinker_probe import probe, refuse
from baselines.train.settings import Settings
from collm_envs.policies.http import open_url

KEY = "TINKER_API_KEY"
ANSWER_S = 30.0
"""seconds within which a server has to say that it is there"""
ALPHA = 32
"""LoRA's alpha of every Tinker server"""


def check_settings(settings: Settings, critics: CriticSettings) -> None:
    """Raise ValueError naming what no Tinker server can do."""
    check_honoured(settings.sampling, "a Tinker server", temperature=1.0, top_p=1.0, top_k=0)
    refused = {
        "lora_rank=0: it trains adapters": settings.lora_rank == 0,
        f"lora_alpha={settings.lora_alpha}: it is {ALPHA} there": settings.lora_alpha != ALPHA,
        "entropy: its bonus is no function of the tokens' log-probabilities": settings.entropy != 0,
        "critic_on_actor: values are computed here": critics.on_actor,
        "sampler: the server itself writes": bool(settings.sampler),
    }
    if wrong := [why for why, is_so in refused.items() if is_so]:
        raise ValueError(f"placement='tinker' cannot honour {'; '.join(wrong)}")


def connect(url: str) -> Any:
    """A client of the SDK, of the service itself for an empty `url`.

    Raises ModuleNotFoundError without the SDK, ConnectionError where no server answers (the SDK would go on
    asking).
    """
    import tinker  # pyright: ignore[reportMissingImports]

    if not url:
        return tinker.ServiceClient()
    try:
        open_url(Request(f"{url.rstrip('/')}/api/v1/healthz"), ANSWER_S).close()
    except (OSError, HTTPException) as error:
        raise ConnectionError(f"no Tinker server answers at {url}: {error}") from None
    # the SDK insists on a key, which a server of one's own does not ask for
    return tinker.ServiceClient(base_url=url, api_key=os.environ.get(KEY) or "tml-none")


def open_on_tinker(
    settings: Settings, agents: Sequence[str], critics: CriticSettings = NO_CRITICS
) -> Networks:
    """Policies on the server, critics in this process; raises ValueError for what the server cannot do."""
    check_settings(settings, critics)
    service, models = connect(settings.tinker_url), models_of(settings, agents)
    bases = {policy_of(settings, agent): models[agent] for agent in agents}
    habits = {}
    for base in dict.fromkeys(bases.values()):
        findings = probe(service, base, settings.lora_rank)
        refuse(findings, settings.max_grad_norm)
        habits[base] = findings.habits
    policies: dict[str, Any] = {
        name: TinkerPolicy(name, base, service, settings, habits[base]) for name, base in bases.items()
    }
    return Networks(policies, open_networks(settings, agents, critics, actors=False).critics)
