"""Remarks for whoever trains: what is unlikely to learn, how much is written, and what a run's steps show."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from baselines.lm import threads
from baselines.train.presets import ALWAYS, ENVS, PRESETS, is_tiny

if TYPE_CHECKING:
    from baselines.train.settings import Settings
    from baselines.train.team import Team

LORA_LR = (5e-5, 5e-3)
"""learning rates between which adapters move a language model in some tens of steps and leave it one"""
FULL_LR = 2e-4
"""all weights of a language model lose their language above this"""
LARGE = 1e8
"""bytes of a checkpoint above which its size is told before the run"""
SHORT = 500
"""steps of a run that is short: with the papers' rates only thousands of steps move a model"""


SHARES = {"gradient_share/": "gradient's length", "credit_share/": "credit"}
"""prefix of a metric, an agent's name behind it -> what it is a share of"""
DOMINANT, STAYS = 0.9, 10
"""a share that is too large once it lasts for so many steps"""


def doubts(config: Settings, team: Team) -> list[str]:
    """Lines about settings that are allowed and unlikely to teach the models anything."""
    size = max(policy.sizes.all for policy in team.policies.values())
    why = _rate(config, size)
    tiny = is_tiny(config.model, config.models)
    if not why and tiny and config.env in ENVS and config.env_kwargs.get("prompts") != "terse":
        why = (
            "the tiny model is slow and clumsy on full prompts; "
            """--env-kwargs '{"prompts": "terse"}' has shorter ones"""
        )
    return [f"unlikely to learn: {why}"] if why else []


def _rate(config: Settings, size: int) -> str:
    """What speaks against a learning rate for a model of `size` parameters; "" where nothing does."""
    good, (low, high) = PRESETS["laptop"].always["lr"], LORA_LR
    shown, learns = f"lr {config.lr:g}", f"--lora-rank 16 --lr {good:g} learns in ten"
    if size < threads.SMALL:
        little = config.lr < ALWAYS["lr"] / 10
        hardly = f"{shown} hardly moves a model of {size / 1e6:.2g} million parameters"
        return f"{hardly}; --lr {ALWAYS['lr']:g} does" if little else ""
    if config.lora_rank and (config.lr > high or (config.lr < low and config.steps < SHORT)):
        does = "moves nothing" if config.lr < low else "destroys more than it teaches"
        return f"{shown} with LoRA {does} in {config.steps} steps; --lr {good:g} learns in ten"
    if not config.lora_rank and config.lr > FULL_LR:
        return f"{shown} on all weights of a model destroys its language; {learns}"
    if not config.lora_rank and config.lr < 1e-5 and config.steps < SHORT:
        return f"{shown} on all weights moves little in {config.steps} steps; {learns}"
    return ""


def disk(config: Settings, team: Team) -> list[str]:
    """A line about the size of a run on disk, where it is large: its checkpoints and agents.

    A checkpoint holds the trained weights and two moments of each; agents' folders are written at the end.
    """
    sizes = [policy.sizes for policy in team.by_name().values()]
    trained = sum(size.stepped for size in sizes) + sum(critic.stepped for critic in team.critics.values())
    frozen = 0 if config.lora_rank else sum(size.all for size in sizes)
    checkpoint, agents = 3 * 4 * trained, 4 * (frozen or trained)
    if checkpoint < LARGE:
        return []
    return [
        f"disk: {checkpoint / 1e9:.2g} GB a checkpoint, {config.keep} of them kept (--keep), and one more "
        f"while it is written; {agents / 1e9:.2g} GB for the agents at the end"
    ]


def of_step(metrics: Mapping[str, Any]) -> dict[str, str]:
    """{kind: line} about a step, or the means over some steps, from what is logged of it."""
    lines = {}
    if metrics.get("closed", 1.0) < 0.5:
        lines["cut"] = (
            f"{1 - metrics['closed']:.0%} of the texts were cut at max_new_tokens: a longer limit costs "
            "time, a prompt that asks for less does not"
        )
    if metrics.get("pushed", 1.0) == 0.0:
        lines["no spread"] = (
            "no group has any spread: every text earned what the others of its group did, and nothing was "
            'learned; try {"shots": 1}, `collm warm-start`, a larger group or a higher temperature'
        )
    return lines


def dominance(steps: Collection[Mapping[str, Any]]) -> dict[str, str]:
    """{kind: line} where one agent's share stays above DOMINANT in all of these steps, at least STAYS."""
    if len(steps) < STAYS:
        return {}
    lines = {}
    for kind, name in SHARES.items():
        for agent in (key for key in next(iter(steps)) if key.startswith(kind)):
            if all(step.get(agent, 0.0) > DOMINANT for step in steps):
                lines[kind] = (
                    f"{agent.partition('/')[2]} has more than {DOMINANT:.0%} of the {name} for {len(steps)} "
                    "steps: the others hardly learn; look at what they write, and at --credit"
                )
    return lines


def of_run(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of a run's last quarter of steps, which a page shows beside its curve."""
    last = steps[-max(1, len(steps) // 4) :]
    names = {name for step in last for name in ("closed", "pushed") if name in step}
    means = {name: fmean(step[name] for step in last if name in step) for name in names}
    return [*of_step(means).values(), *dominance(steps[-max(STAYS, len(last)) :]).values()]
