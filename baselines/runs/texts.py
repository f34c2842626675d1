"""The part of a run that all text trainers share: task, models, evaluations, saved agents."""

from __future__ import annotations

import os
import shutil
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from baselines.credit import rules
from baselines.lm import threads
from baselines.lm.loading import pick_device
from baselines.play.episode import rollout_metrics
from baselines.play.influence import text_influence
from baselines.play.rollout import Start, TextPolicy, eval_starts, play
from baselines.runs import remarks, samples
from baselines.runs.folder import going_on, stored_config
from baselines.runs.logs import check_installed
from baselines.train.settings import Settings
from baselines.train.team import ALL, Team
from collm_envs import Task, make

TINY = "tiny"
"""the embedded model's name among the settings"""
WARM_START = "warm_start"
"""folder in a run with its copy of the embedded model's warm start, to resume on any machine"""


def label(config: Settings) -> str:
    """The environment: part of the name of a run's folder."""
    return config.env


def subject(config: Settings) -> Task:
    """The task that is trained on.  Raises for a device, a placement, keywords and a credit that cannot be.

    All of these are refused before a warm start, which may take minutes.
    """
    if config.placement != "local":
        check_installed(config.placement)
    if config.placement != "ray":  # whose actors may be on machines with other devices
        pick_device(config.device, config.bf16)
    threads.ask(config.threads)
    task = make(config.env, **config.env_kwargs).task
    rules.make(config.credit, config.credit_samples, task)
    return task


def measure(config: Settings, task: Task, team: Team, out: Path) -> dict[str, float]:
    """Mean return and metrics on the eval split: the same items, seeds and dice at every evaluation.

    The texts of the first episodes are kept in `out` (`runs/samples.py`).  With `checked_turns` teams of
    language models are also asked how far their texts reach (play/influence.py).
    """
    starts, seed = eval_starts(task, config.eval_episodes), f"eval/{config.seed}"
    lineups = team.lineups(task.agents)
    played = {name: play(task, starts, policies, seed) for name, policies in lineups.items()}
    samples.keep(out, make(config.env, **config.env_kwargs), team.step, played)
    numbers = means({name: rollout_metrics(roots) for name, roots in played.items()})
    if ALL in played and config.checked_turns and rules.cheap_to_check(task):
        numbers |= text_influence(task, played[ALL], lineups[ALL], config.checked_turns)
    return numbers


def measure_lineups(
    task: Task, starts: Sequence[Start], lineups: Mapping[str, Mapping[str, TextPolicy]], seed: str
) -> dict[str, float]:
    """`means` of what every line-up earns, all with the same seed."""
    return means(
        {name: rollout_metrics(play(task, starts, policies, seed)) for name, policies in lineups.items()}
    )


def means(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The metrics of all line-ups in one: `name/key` for each, `key` for their mean.

    With a single line-up only `key`.
    """
    keys = list(next(iter(metrics.values())))
    out = {key: sum(single[key] for single in metrics.values()) / len(metrics) for key in keys}
    for name, single in metrics.items() if len(metrics) > 1 else ():
        out |= {f"{name}/{key}": value for key, value in single.items()}
    return out


def begin(config: Settings, team: Team, out: Path, quiet: bool) -> None:
    """Before the first step of a fresh run: print remarks on it, and copy the embedded model's warm start."""
    if not quiet:
        for line in (*remarks.doubts(config, team), *remarks.disk(config, team)):
            print(line, file=sys.stderr, flush=True)
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


def check_goes_on(out: Path) -> None:
    """Raise ValueError for a begun run that would not end in the bits it would have ended in undisturbed.

    Early versions compared a text's probability with the sampler's, today's with that of the first pass: the
    ratios differ by rounding.  They are told by a setting that they did not have.
    """
    if "threads" not in stored_config(out)[1]:
        raise ValueError(
            f"{out} was begun by an early version and would not end the same: its importance ratios rounded "
            "differently; begin it anew, in another folder"
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


def watched(
    steps: Iterator[dict[str, float]], config: Settings, quiet: bool = True
) -> Iterator[dict[str, float]]:
    """The same metrics with `tokens_per_s` where tokens are counted; what they show is said, each kind once.

    Out of memory: names what to lower.
    """
    kinds: set[str] = set()
    newest: deque[Mapping[str, float]] = deque(maxlen=remarks.STAYS)
    try:
        for metrics in steps:
            newest.append(metrics)
            for kind, line in {**remarks.of_step(metrics), **remarks.dominance(newest)}.items():
                if not quiet and kind not in kinds:
                    print(line, file=sys.stderr, flush=True)
                kinds.add(kind)
            speed = {"tokens_per_s": metrics["tokens"] / metrics["seconds"]} if "tokens" in metrics else {}
            yield {**metrics, **speed}
    except torch.OutOfMemoryError as error:
        packed = config.micro_batch_tokens or "the default"
        raise MemoryError(
            f"out of memory: lower micro_batch_tokens (now {packed}) if it happened in an update, "
            f"episodes={config.episodes} or max_new_tokens={config.max_new_tokens} if while texts "
            f"were sampled ({str(error).splitlines()[0]})"
        ) from error
