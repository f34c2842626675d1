"""Runs an algorithm: progress, metrics, evaluation, checkpoints.  What is learned is the algorithm's own.

A run's folder holds `config.json`, `metrics.jsonl` (one line a step), `eval.jsonl` (one line an evaluation),
`samples.jsonl` (texts of the evaluations), `checkpoints/` and, at the end, what is executed: of language
models one folder per agent that `from_pretrained` loads anywhere.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from baselines.runs import checkpoint, logs, texts
from baselines.runs.algorithms import algorithm
from baselines.runs.folder import (
    CONFIG,
    check_free,
    check_known,
    forget_unbegun,
    is_finished,
    mark_finished,
    stored_config,
    write_config,
)
from baselines.runs.logs import Logs, check_extras
from baselines.runs.stopping import until_safe
from baselines.train.placement.calls import LostProcess
from baselines.train.settings import Settings
from collm_envs.files import one_writer

LOSSES = 3
"""so many processes lost in a row, without a checkpoint between, end a run"""


class Trainee(Protocol):
    """What a run trains and saves: a team of language models, or any object that counts its steps."""

    step: int

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        ...


class RunSettings(logs.LogSettings, Protocol):
    """What a run needs of an algorithm's settings, which are a dataclass."""

    @property
    def seed(self) -> int:
        """Fixes all that is random."""
        ...

    @property
    def out(self) -> str:
        """Folder of the run."""
        ...

    @property
    def eval_every(self) -> int:
        """Steps between evaluations."""
        ...

    @property
    def save_every(self) -> int:
        """Steps between checkpoints."""
        ...

    @property
    def keep(self) -> int:
        """Checkpoints to keep."""
        ...


def train(name: str, config: Any, *, quiet: bool = False) -> Path:
    """A run of the algorithm `name` with its `Config`, from its beginning to its end; returns its folder.

    Raises ValueError where the folder holds a run already: resume that, or give another `out`.
    """
    out = Path(config.out or default_folder(name, config))
    check_free(out)
    config = replace(config, out=str(out))
    # what is wrong with the settings is said before anything is written
    subject, team = prepare(name, config, quiet)
    return _go(name, config, subject, team, out, quiet, fresh=True)


@contextmanager
def begun(name: str, config: Any, team: Any, out: Path, quiet: bool) -> Iterator[None]:
    """The folder of a fresh run with its configuration, which goes again where nothing is measured."""
    with one_writer(out):
        check_free(out)  # somebody may have begun meanwhile
        if isinstance(config, Settings):
            texts.begin(config, team, out, quiet)
        write_config(out, name, config)
        try:
            yield
        finally:
            forget_unbegun(out)


def default_folder(name: str, config: RunSettings) -> str:
    """The folder of a run whose settings name none."""
    label = f"{name}-{_kind(name, config).label(config)}-seed{config.seed}"
    return "runs/" + label.replace("/", "-").replace(":", "-")


def resume(out: Path, *, quiet: bool = False) -> Path:
    """Continue a run from its last complete checkpoint; the result is the same as without interruption."""
    name, config = load_config(out)
    if isinstance(config, Settings):
        texts.check_goes_on(out)
    with one_writer(out):
        return _go(name, config, *prepare(name, config, quiet, out), out, quiet)


def finished(name: str, config: Any, *, quiet: bool = False) -> Path:
    """The folder `config.out` with the whole run: begun, gone on with, or found there.

    Raises ValueError where it holds a run with other settings.
    """
    out = Path(config.out)
    if not (out / CONFIG).exists():
        return train(name, config, quiet=quiet)
    kind, stored = stored_config(out)
    differing = [key for key, value in config.to_dict().items() if stored.get(key) != _plain(value)]
    if kind != name or differing:
        raise ValueError(
            f"{out} holds a run with other settings ({', '.join(differing) or kind}); move it away"
        )
    return out if is_finished(out) else resume(out, quiet=quiet)


def _plain(value: Any) -> Any:
    """A setting as it comes back from JSON."""
    return json.loads(json.dumps(value))


def prepare(name: str, config: Any, quiet: bool = True, out: Path | None = None) -> tuple[Any, Any]:
    """The subject (task or games) and a fresh team; raises for invalid keywords, credit or models.

    `out` is the folder of a run that is gone on with: its warm-started model is taken, if it holds one.
    """
    check_extras(config)
    subject = _kind(name, config).subject(config)
    if isinstance(config, Settings):
        config = texts.with_models(config, quiet, out)
    return subject, algorithm(name).team(config, subject)


def load_config(out: Path) -> tuple[str, Any]:
    """The algorithm and settings of a run.  Raises ValueError where there is no run."""
    name, stored = stored_config(out)
    config = algorithm(name).Config
    check_known(out, config, stored)
    tuples = {field.name for field in fields(config) if isinstance(field.default, tuple)}
    return name, config(**{key: tuple(value) if key in tuples else value for key, value in stored.items()})


def _kind(name: str, config: RunSettings) -> ModuleType:
    """The module with label, subject, measure and save: that of all text trainers, or the algorithm's own."""
    return texts if isinstance(config, Settings) else algorithm(name)


def _go(
    name: str, config: Any, subject: Any, team: Any, out: Path, quiet: bool, *, fresh: bool = False
) -> Path:
    """Take a run to its end.  Where a process of its policies is lost, go on from the last checkpoint."""
    kept, losses = None, 0
    with ExitStack() as held:
        while True:
            try:
                team = team or _again(name, config, quiet, out)
                if fresh:
                    held.enter_context(begun(name, config, team, out, quiet))
                    fresh = False
                return _to_the_end(name, config, subject, team, out, quiet)
            except LostProcess as lost:
                before, kept = kept, checkpoint.steps(out / "checkpoints")[-1:]
                losses = losses + 1 if kept == before else 1
                if losses == LOSSES:
                    raise LostProcess(
                        f"{lost}; {LOSSES} times in a row without a checkpoint between; "
                        f"`collm train --resume {out}` goes on"
                    ) from lost
                if not quiet:
                    print(f"{lost}; all agents go on from step {kept[0] if kept else 0}", file=sys.stderr)
            finally:
                if team is not None and isinstance(config, Settings):
                    team.close()
                team = None


def _again(name: str, config: Any, quiet: bool, out: Path) -> Any:
    """A team with processes of its own again; ValueError that says how to go on where that cannot be."""
    try:
        return prepare(name, config, quiet, out)[1]
    except ValueError as error:  # such as a cluster that is smaller now
        raise ValueError(f"{error}; `collm train --resume {out}` goes on") from error


def _to_the_end(name: str, config: Any, subject: Any, team: Any, out: Path, quiet: bool) -> Path:
    kind, steps = _kind(name, config), timed(algorithm(name).train(config, subject, team))
    measure = partial(kind.measure, config, subject, team)
    if isinstance(config, Settings):
        steps, measure = texts.watched(steps, config, quiet), partial(measure, out)
    follow(name, config, team, steps, measure, out, quiet=quiet)
    mark_finished(out, kind.save(team, out))
    return out


def follow(
    name: str,
    config: RunSettings,
    learner: Trainee,
    steps: Iterator[dict[str, float]],
    measure: Callable[[], dict[str, float]],
    out: Path,
    *,
    quiet: bool,
) -> None:
    """Take the remaining steps of a run from its last complete checkpoint on: log, measure, save.

    `steps` yields metrics after each step that `learner` has counted, and has not been started yet.
    """
    saved = checkpoint.load_last(out / "checkpoints")
    if saved is not None:
        learner.load_state_dict(saved)
    with (
        one_writer(out),
        Logs(out, name, config, learner.step, quiet) as log,
        until_safe(out) as interrupted,
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


def timed(steps: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
    """The same metrics with the step's `seconds`, and `cpu_s` of all threads of this process."""
    while True:
        start, cpu = time.perf_counter(), time.process_time()
        try:
            metrics = next(steps)
        except StopIteration:
            return
        seconds, cpu_s = time.perf_counter() - start, time.process_time() - cpu
        yield {**metrics, "seconds": seconds, "cpu_s": cpu_s}
