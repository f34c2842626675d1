"""The part of a run that all text trainers share: task, models, evaluations, saved agents."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from baselines.credit import rules
from baselines.lm import threads
from baselines.lm.loading import pick_device
from baselines.play.episode import rollout_metrics
from baselines.play.rollout import Start, TextPolicy, eval_starts, play
from baselines.runs import checkpoint
from baselines.runs.folder import going_on, stored_config
from baselines.train.presets import ALWAYS, ENVS, is_tiny
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import Task, make

TINY = "tiny"
"""the embedded model's name among the settings"""
WARM_START = "warm_start"
"""folder in a run with its copy of the embedded model's warm start, to resume on any machine"""


def label(config: Settings) -> str:
    """The environment: part of the name of a run's folder."""
    return config.env


def subject(config: Settings) -> Task:
    """The task that is trained on.  Raises for a device, keywords and a credit that cannot be.

    All of these are refused before a warm start, which may take minutes.
    """
    pick_device(config.device, config.bf16)
    threads.ask(config.threads)
    task = make(config.env, **config.env_kwargs).task
    rules.make(config.credit, config.credit_samples, task)
    return task


def measure(config: Settings, task: Task, team: Team) -> dict[str, float]:
    """Mean return and metrics on the eval split: the same items, seeds and dice at every evaluation."""
    starts = eval_starts(task, config.eval_episodes)
    return measure_lineups(task, starts, team.lineups(task.agents), f"eval/{config.seed}")


def measure_lineups(
    task: Task, starts: Sequence[Start], lineups: Mapping[str, Mapping[str, TextPolicy]], seed: str
) -> dict[str, float]:
    """`rollout_metrics` of every line-up, all with the same seed: `name/key` for each, `key` for their mean.

    With a single line-up only `key`.
    """
    summaries = {
        name: rollout_metrics(play(task, starts, policies, seed)) for name, policies in lineups.items()
    }
    keys = list(next(iter(summaries.values())))
    out = {key: sum(single[key] for single in summaries.values()) / len(summaries) for key in keys}
    for name, single in summaries.items() if len(summaries) > 1 else ():
        out |= {f"{name}/{key}": value for key, value in single.items()}
    return out


def begin(config: Settings, team: Team, out: Path, quiet: bool) -> None:
    """Before the first step of a fresh run: print `doubts` and copy the embedded model's warm start."""
    if not quiet:
        print(*doubts(config, team), sep="", end="", file=sys.stderr, flush=True)
    _keep_warm_start(config, out)


def save(team: Team, out: Path) -> list[str]:
    """One folder per agent in `out`, each whole or not there; returns their names.

    Raises OSError that says how to go on where they cannot be written: the checkpoint has all of them.
    """
    draft = out / ".agents"
    shutil.rmtree(draft, ignore_errors=True)
    with going_on(out, "the trained agents"):
        try:
            team.save_pretrained(draft)
            for folder in draft.iterdir():
                shutil.rmtree(out / folder.name, ignore_errors=True)
                os.replace(folder, out / folder.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return list(team.policies)


def with_models(config: Settings, quiet: bool = True, out: Path | None = None) -> Settings:
    """The same settings with `tiny` replaced by the folder of the warm-started embedded model.

    That is the one in the run's folder `out`, where there is one, else that of the cache.
    """
    if not uses_tiny(config):
        return config
    if out is None or not (warm_start := out / WARM_START).is_dir():
        warm_start = _warm_started(config, quiet)
    changed: dict[str, Any] = {name: str(warm_start) for name in _named_tiny(config)}
    models = tuple(str(warm_start) if model == TINY else model for model in config.models)
    return replace(config, models=models, **changed)


def check_goes_on(config: Settings, out: Path) -> None:
    """Raise ValueError for a begun run that would not end in the bits it would have ended in undisturbed.

    Early versions kept no warm start: the end is the same where every weight is in a checkpoint, and a frozen
    model is not.  Their KL term rounded differently; they are told by a setting that they did not have.
    """
    _, stored = stored_config(out)
    why = ""
    if config.kl and "threads" not in stored:
        why = f"its KL term (kl={config.kl:g}) rounded differently"
    elif uses_tiny(config) and not (out / WARM_START).is_dir():
        if config.kl or config.lora_rank:
            why = f"it kept no {WARM_START}, the frozen model that its agents are compared with or built on"
        elif not checkpoint.steps(out / "checkpoints"):
            why = f"it kept no {WARM_START}, the model as the run began, and there is no checkpoint yet"
    if why:
        raise ValueError(
            f"{out} was begun by an early version and would not end the same: {why}; begin it anew, in "
            "another folder"
        )


def uses_tiny(config: Settings) -> bool:
    """Whether any agent or critic of a run is the embedded model."""
    return TINY in config.models or bool(_named_tiny(config))


def _named_tiny(config: Settings) -> list[str]:
    """The settings of one model each that say `tiny` and are used: `models` takes the place of `model`."""
    settings = config.to_dict()
    used = ["critic_model"] if config.models else ["model", "critic_model"]
    return [name for name in used if settings.get(name) == TINY]


def _warm_started(config: Settings, quiet: bool) -> Path:
    from baselines.lm.tiny import model as tiny

    return tiny.folder(config.env, config.env_kwargs, config.history, quiet=quiet)


def _keep_warm_start(config: Settings, out: Path) -> None:
    """Copy the embedded model's folder into the run's, whole or not at all."""
    if not uses_tiny(config):
        return
    out.mkdir(parents=True, exist_ok=True)
    draft = out / f".{WARM_START}"
    for old in (draft, out / WARM_START):  # of a run that ended before it had begun
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(_warm_started(config, quiet=True), draft)
    draft.rename(out / WARM_START)


def watched(steps: Iterator[dict[str, float]], config: Settings) -> Iterator[dict[str, float]]:
    """The same metrics with `tokens_per_s` where tokens are counted.  Out of memory: names what to lower."""
    try:
        for metrics in steps:
            speed = {"tokens_per_s": metrics["tokens"] / metrics["seconds"]} if "tokens" in metrics else {}
            yield {**metrics, **speed}
    except torch.OutOfMemoryError as error:
        packed = config.micro_batch_tokens or "the default"
        raise MemoryError(
            f"out of memory: lower micro_batch_tokens (now {packed}) if it happened in an update, "
            f"episodes={config.episodes} or max_new_tokens={config.max_new_tokens} if while texts "
            f"were sampled ({str(error).splitlines()[0]})"
        ) from error


def doubts(config: Settings, team: Team) -> list[str]:
    """Lines about settings that are allowed and unlikely to teach the models anything."""
    lines = []
    sizes = [sum(p.numel() for p in policy.model.parameters()) for policy in team.policies.values()]
    if max(sizes) < threads.SMALL and config.lr < ALWAYS["lr"] / 10:
        lines.append(
            f"unlikely to learn: lr {config.lr:g} hardly moves a model of {max(sizes) / 1e6:.2g} million "
            f"parameters; --lr {ALWAYS['lr']:g} does\n"
        )
    if (
        is_tiny(config.model, config.models)
        and config.env in ENVS
        and config.env_kwargs.get("prompts") != "terse"
    ):
        lines.append(
            "unlikely to learn: the tiny model is slow and clumsy on full prompts; "
            """--env-kwargs '{"prompts": "terse"}' has shorter ones\n"""
        )
    return lines
