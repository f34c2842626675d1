"""Runs an algorithm: progress, metrics, evaluation, checkpoints.  What is learned is the algorithm's own.

A run's folder holds `config.json`, `metrics.jsonl` (one line a step), `eval.jsonl` (one line an evaluation),
`checkpoints/` and, at the end, one folder per agent that `from_pretrained` loads anywhere.
"""

from __future__ import annotations

import importlib
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from errno import ENOSPC
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch

from baselines.credit import rules
from baselines.lm import threads
from baselines.lm.loading import pick_device
from baselines.play.rollout import eval_starts, measure
from baselines.runs import checkpoint, logs
from baselines.runs.algorithms import ALGORITHMS, check_name
from baselines.runs.folder import (
    check_free,
    check_known,
    forget_unbegun,
    mark_finished,
    stored_config,
    write_config,
)
from baselines.runs.logs import Logs, check_extras
from baselines.train.presets import ALWAYS, ENVS, is_tiny
from baselines.train.settings import Settings
from baselines.train.team import Team
from collm_envs import TextEnv, make
from collm_envs.files import one_writer, saving

DISK = re.compile(
    r"no space left|quota exceeded|read-only file system|file too large|os error \d+|failed writing file",
    re.I,
)
"""how libraries written in Rust, and torch, say that a file cannot be written"""

TINY = "tiny"
"""the embedded model's name among the settings"""
WARM_START = "warm_start"
"""folder in a run for the model that the embedded one began as: the run goes on on any machine"""


class Learner(Protocol):
    """What a run trains and keeps: a team of language models, or whatever else counts its steps."""

    step: int

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Plan(logs.Plan, Protocol):
    """What following a run needs of its settings."""

    @property
    def eval_every(self) -> int: ...
    @property
    def save_every(self) -> int: ...
    @property
    def keep(self) -> int: ...


def algorithm(name: str) -> ModuleType:
    """The module of an algorithm.  Raises ValueError for a name that is none."""
    check_name(name)
    return importlib.import_module(ALGORITHMS[name])


def train(name: str, config: Settings, *, quiet: bool = False) -> Path:
    """A run from its beginning to its end; returns its folder.

    Raises ValueError where the folder holds a run already: resume that, or give another `out`.
    """
    out = Path(config.out or f"runs/{name}-{config.env}-seed{config.seed}")
    check_free(out)
    config = replace(config, out=str(out))
    # what is wrong with the settings is said before anything is written
    env, team = prepare(name, config, quiet)
    if not quiet:
        print(*doubts(config, team), sep="", end="", file=sys.stderr, flush=True)
    with one_writer(out):
        check_free(out)  # somebody may have begun meanwhile
        _keep_warm_start(config, out)
        write_config(out, name, config)
        try:
            return _go(name, config, env, team, out, quiet)
        finally:
            forget_unbegun(out)


def resume(out: Path, *, quiet: bool = False) -> Path:
    """Go on with a run from its last whole checkpoint, to the same end it would have had."""
    name, config = load_config(out)
    with one_writer(out):
        return _go(name, config, *prepare(name, config, quiet, out / WARM_START), out, quiet)


def prepare(
    name: str, config: Settings, quiet: bool = True, warm_start: Path | None = None
) -> tuple[TextEnv, Team]:
    """The environment and a fresh team; raises for whatever is wrong with keywords, credit or models.

    `warm_start` is a folder with the warm-started embedded model, if there is such a folder.
    """
    check_extras(config)
    pick_device(config.device, config.bf16)
    threads.ask(config.threads)
    env = make(config.env, **config.env_kwargs)
    # what can be refused is refused before a warm start, which may take minutes
    rules.make(config.credit, config.credit_samples, env.task)
    return env, algorithm(name).team(with_models(config, quiet, warm_start), env.task)


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


def load_config(out: Path) -> tuple[str, Settings]:
    """The algorithm and settings of a text trainer's run.  Raises ValueError where there is no run."""
    name, stored = stored_config(out)
    module = algorithm(name)
    check_known(out, module.Config, stored)
    stored["models"] = tuple(stored["models"])
    return name, module.Config(**stored)


def evaluate(env: TextEnv, team: Team, config: Settings) -> dict[str, float]:
    """Mean return and metrics on the eval split: the same items, seeds and dice at every evaluation."""
    starts = eval_starts(env.task, config.eval_episodes)
    return measure(env.task, starts, team.lineups(env.task.agents), f"eval/{config.seed}")


def _go(name: str, config: Settings, env: TextEnv, team: Team, out: Path, quiet: bool) -> Path:
    steps = _text_steps(algorithm(name).train(config, env.task, team), config)
    follow(name, config, team, steps, lambda: evaluate(env, team, config), out, quiet=quiet)
    save_agents(team, out)
    mark_finished(out, list(team.policies))
    return out


def save_agents(team: Team, out: Path) -> None:
    """One folder per agent in `out`, each whole or not there.

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


@contextmanager
def going_on(out: Path, what: str) -> Iterator[None]:
    """A save of a run that fails comes out as one line that says how to go on.

    For a full disk safetensors, tokenizers (a bare Exception) and torch raise errors of their own.
    """
    with saving(f"{out}: {what}", f"`collm train --resume {out}` goes on once there is room"):
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) or not DISK.search(str(error)):
                raise
            raise OSError(ENOSPC, str(error).splitlines()[0]) from error


def follow(
    name: str,
    config: Plan,
    learner: Learner,
    steps: Iterator[dict[str, float]],
    measure: Callable[[], dict[str, float]],
    out: Path,
    *,
    quiet: bool,
) -> None:
    """Take the steps that are left of a run, from its last whole checkpoint on: log, measure, save.

    `steps` yields metrics after each step that `learner` has counted, and has not been started yet.
    """
    saved = checkpoint.load_last(out / "checkpoints")
    if saved is not None:
        learner.load_state_dict(saved)
    with (
        one_writer(out),
        Logs(out, name, config, learner.step, quiet) as log,
        _until_safe(out) as interrupted,
    ):
        if learner.step == 0:
            log.evaluation(0, measure())
        for metrics in steps:
            step, last = learner.step, learner.step == config.steps
            log.step(step, metrics)
            if last or (config.eval_every and step % config.eval_every == 0):
                log.evaluation(step, measure())
            stop = interrupted() and not last  # asked once: a Ctrl-C during the write waits for the next step
            if last or stop or (config.save_every and step % config.save_every == 0):
                checkpoint.save(out / "checkpoints", step, learner.state_dict(), config.keep)
            if stop:
                raise KeyboardInterrupt(f"stopped at step {step}; `collm train --resume {out}` goes on")


def with_models(config: Settings, quiet: bool = True, warm_start: Path | None = None) -> Settings:
    """The same settings with `tiny` replaced by the folder of the warm-started embedded model.

    That is `warm_start` where there is such a folder, else the one of the cache.
    """
    if not uses_tiny(config):
        return config
    if warm_start is None or not warm_start.is_dir():
        warm_start = _warm_started(config, quiet)
    changed: dict[str, Any] = {name: str(warm_start) for name in _named_tiny(config)}
    models = tuple(str(warm_start) if model == TINY else model for model in config.models)
    return replace(config, models=models, **changed)


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


def timed(steps: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
    """The same metrics with the step's `seconds`."""
    while True:
        start = time.perf_counter()
        try:
            metrics = next(steps)
        except StopIteration:
            return
        yield {**metrics, "seconds": time.perf_counter() - start}


def _text_steps(steps: Iterator[dict[str, float]], config: Settings) -> Iterator[dict[str, float]]:
    """The same metrics with `tokens_per_s`; running out of memory names what to lower."""
    try:
        for metrics in timed(steps):
            yield {**metrics, "tokens_per_s": metrics["tokens"] / metrics["seconds"]}
    except torch.OutOfMemoryError as error:
        packed = config.micro_batch_tokens or "the default"
        raise MemoryError(
            f"out of memory: lower micro_batch_tokens (now {packed}) if it happened in an update, "
            f"episodes={config.episodes} or max_new_tokens={config.max_new_tokens} if while texts "
            f"were sampled ({str(error).splitlines()[0]})"
        ) from error


def _stopped_within(out: Path) -> str:
    """What is left of a run that a second Ctrl-C ended at once."""
    if saved := checkpoint.steps(out / "checkpoints"):
        return f"stopped within a step; `collm train --resume {out}` goes on from step {saved[-1]}"
    return "stopped within a step, before the first was saved: nothing was kept but metrics"


@contextmanager
def _until_safe(out: Path) -> Iterator[Callable[[], bool]]:
    """Holds the first Ctrl-C back until the step is done and saved; the second one stops at once."""
    hit = False

    def note(number: int, frame: Any) -> None:
        nonlocal hit
        if hit:
            raise KeyboardInterrupt(_stopped_within(out))
        hit = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals can only be caught in the main thread
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: hit
    finally:
        signal.signal(signal.SIGINT, before)
