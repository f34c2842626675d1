"""Runs an algorithm: progress, metrics, evaluation, checkpoints.  What is learned is the algorithm's own.

A run's folder holds `config.json`, `metrics.jsonl` (one line a step), `eval.jsonl` (one line an evaluation),
`checkpoints/` and, at the end, one folder per agent that `from_pretrained` loads anywhere.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from errno import ENOSPC
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from rich.console import Console

from baselines.core import checkpoint, credit, logs
from baselines.core.logs import Logs
from baselines.core.rollout import eval_starts, measure
from baselines.core.settings import Settings
from baselines.core.team import Team
from collm_envs import TextEnv, make
from collm_envs.files import one_writer, read_json, saving, write_whole

DISK = re.compile(
    r"no space left|quota exceeded|read-only file system|file too large|os error \d+|failed writing file",
    re.I,
)
"""how libraries written in Rust, and torch, say that a file cannot be written"""


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


ALGORITHMS = {
    "cory": "baselines.cory",
    "maac": "baselines.maac",
    "magrpo": "baselines.magrpo",
    "reinforce": "baselines.reinforce",
}
"""name on the command line -> module with Config, team(config, task) and train(config, task, team)"""


def algorithm(name: str) -> ModuleType:
    """The module of an algorithm.  Raises ValueError for a name that is none."""
    if name not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise ValueError(f"algorithm must be one of {known}, or mixing for games, got {name!r}")
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
    with one_writer(out):
        check_free(out)  # somebody may have begun meanwhile
        write_config(out, name, config)
        return _go(name, config, env, team, out, quiet)


def check_free(out: Path) -> None:
    """Raise ValueError where the folder holds a run already."""
    if (out / "config.json").exists():
        raise ValueError(f"{out} holds a run already; `collm train --resume {out}`, or choose another --out")


def write_config(out: Path, name: str, config: Plan) -> None:
    """Make the run's folder with its `config.json`, whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with saving(str(out / "config.json"), "nothing was begun; make room and give the same command again"):
        write_whole(
            out / "config.json", json.dumps({"algorithm": name, "config": config.to_dict()}, indent=1)
        )


def resume(out: Path, *, quiet: bool = False) -> Path:
    """Go on with a run from its last whole checkpoint, to the same end it would have had."""
    name, config = load_config(out)
    with one_writer(out):
        return _go(name, config, *prepare(name, config, quiet), out, quiet)


def prepare(name: str, config: Settings, quiet: bool = True) -> tuple[TextEnv, Team]:
    """The environment and a fresh team; raises for whatever is wrong with keywords, credit or models."""
    env = make(config.env, **config.env_kwargs)
    credit.make(config, env.task)  # refused here where it is wrong: a warm start takes a minute
    return env, algorithm(name).team(with_models(config, quiet), env.task)


def load_config(out: Path) -> tuple[str, Settings]:
    """The algorithm and settings of a text trainer's run.  Raises ValueError where there is no run."""
    name, stored = stored_config(out)
    module = algorithm(name)
    check_known(out, module.Config, stored)
    stored["models"] = tuple(stored["models"])
    return name, module.Config(**stored)


def stored_config(out: Path) -> tuple[str, dict[str, Any]]:
    """What a run's folder says it is.  Raises ValueError where there is no run."""
    try:
        stored = read_json(out / "config.json")
    except FileNotFoundError:
        raise ValueError(f"{out} holds no run: there is no config.json in it") from None
    if not isinstance(stored, dict) or not {"algorithm", "config"} <= stored.keys():
        raise ValueError(f"{out}/config.json is no run's: it needs 'algorithm' and 'config'")
    return stored["algorithm"], stored["config"]


def check_known(out: Path, config: Any, stored: Mapping[str, Any]) -> None:
    """Raise ValueError for settings that the dataclass `config` does not have."""
    unknown = sorted(set(stored) - {field.name for field in fields(config)})
    if unknown:
        raise ValueError(f"{out}/config.json: unknown settings {unknown}; it is from another version")


def evaluate(env: TextEnv, team: Team, config: Settings) -> dict[str, float]:
    """Mean return and metrics on the eval split: the same items, seeds and dice at every evaluation."""
    starts = eval_starts(env.task, config.eval_episodes)
    return measure(env.task, starts, team.lineups(env.task.agents), f"eval/{config.seed}")


def _go(name: str, config: Settings, env: TextEnv, team: Team, out: Path, quiet: bool) -> Path:
    steps = _text_steps(algorithm(name).train(config, env.task, team), config)
    follow(name, config, team, steps, lambda: evaluate(env, team, config), out, quiet=quiet)
    save_agents(team, out)
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
        _until_safe() as interrupted,
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


def with_models(config: Settings, quiet: bool = True) -> Settings:
    """The same settings with `tiny` replaced by the folder of the warm-started embedded model."""
    if "tiny" not in (config.model, *config.models):
        return config
    from baselines import tiny

    note = f"the tiny model's warm start for {config.env}; it is made once and kept"
    with Console(stderr=True, quiet=quiet).status(note):
        folder = str(tiny.folder(config.env, config.env_kwargs, config.history))
    return replace(
        config,
        model=folder if config.model == "tiny" else config.model,
        models=tuple(folder if model == "tiny" else model for model in config.models),
    )


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


@contextmanager
def _until_safe() -> Iterator[Callable[[], bool]]:
    """Holds the first Ctrl-C back until the step is done and saved; the second one stops at once."""
    hit = False

    def note(number: int, frame: Any) -> None:
        nonlocal hit
        if hit:
            raise KeyboardInterrupt
        hit = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False  # signals can only be caught in the main thread
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: hit
    finally:
        signal.signal(signal.SIGINT, before)
