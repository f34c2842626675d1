"""Policies' names as tables and titles show them; records keep whole names, which make the policy again."""

from __future__ import annotations

from urllib.parse import parse_qsl

MODELS = ("hf", "openai")
"""kinds of policy whose names say where a model lies and how it is sampled"""


def short_name(policy: str) -> str:
    """The model and its settings without the way to it; other names unchanged.

    "hf:/data/runs/x/agent_0?temperature=0.7" -> "x/agent_0 (temperature 0.7)"
    """
    kind, colon, model = policy.partition(":")
    if colon and kind not in MODELS and model.partition(":")[0] in MODELS:  # a protocol's policy
        return f"{kind}: {short_name(model)}"
    if not colon or kind not in MODELS:
        return policy
    place, _, query = model.partition("?")
    settings = ", ".join(f"{name} {value}" for name, value in parse_qsl(query))
    shown = place.rpartition("#")[2] if kind == "openai" else short_model(place)
    return f"{shown} ({settings})" if settings else shown


def short_model(place: str) -> str:
    """A model's folder or file by its last part, a trained agent's by the last two; a hub name unchanged."""
    parts = [part for part in place.replace("\\", "/").split("/") if part]
    if len(parts) < 2 or (len(parts) == 2 and not place.startswith(("/", ".", "~"))):
        return place
    return "/".join(parts[-2:] if parts[-1].startswith("agent_") else parts[-1:])
