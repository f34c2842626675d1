"""Logs of a run: JSON lines and a progress bar; TensorBoard and Weights & Biases on request."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from baselines.cli.progress import Progress
from collm_envs.files import read_lines, saving, write_whole


class LogSettings(Protocol):
    """What logs need of a run's settings."""

    @property
    def steps(self) -> int: ...
    @property
    def tensorboard(self) -> bool: ...
    @property
    def wandb(self) -> str: ...
    def to_dict(self) -> dict[str, Any]: ...


class Sink(Protocol):
    """A further destination of a run's numbers."""

    def write(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


SHOWN = {
    "return": "return {:.3f}",
    "policy_loss": "loss {:+.3f}",
    "loss": "loss {:.3f}",
    "tokens_per_s": "{:,.0f} tok/s",
    "epsilon": "epsilon {:.2f}",
}
"""metric -> its form in the progress bar"""


def check_extras(config: LogSettings) -> None:
    """Raise ModuleNotFoundError, with its `name`, for a package that these settings need and lack."""
    needed = {"tensorboard": config.tensorboard, "wandb": bool(config.wandb)}
    for package in (name for name, used in needed.items() if used):
        check_installed(package)


def check_installed(package: str) -> None:
    """Raise ModuleNotFoundError, with its `name`, for a package that is not there; it is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:  # without an origin: a mere folder of that name
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)


class Logs:
    """A context that writes `metrics.jsonl` and `eval.jsonl` and shows how far a run is.

    Lines of steps after `step` are dropped first: a resumed run writes them again.
    """

    def __init__(self, out: Path, name: str, config: LogSettings, step: int, quiet: bool):
        self.metrics = _Lines(out / "metrics.jsonl", step)
        self.evals = _Lines(out / "eval.jsonl", step)
        self.sinks = _sinks(out, name, config, step)
        self.progress = Progress(name, config.steps, step, quiet=quiet)
        self.last_eval: list[str] = []
        self.last_step: list[str] = []

    def __enter__(self) -> Logs:
        self.progress.__enter__()
        self.progress.update(self.progress.done, "evaluating" if self.progress.done == 0 else "going on")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.__exit__(kind, error, trace)
        for sink in self.sinks:
            sink.close()

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        self.metrics.write({"step": step, **metrics})
        for sink in self.sinks:
            sink.write(step, metrics)
        self.last_step = [form.format(metrics[key]) for key, form in SHOWN.items() if key in metrics]
        self._tell(step)

    def evaluation(self, step: int, metrics: Mapping[str, float]) -> None:
        self.evals.write({"step": step, **metrics})
        for sink in self.sinks:
            sink.write(step, {f"eval/{key}": value for key, value in metrics.items()})
        self.last_eval = [f"eval {metrics['return']:.3f}"]
        if step == 0:
            self.progress.restart()
        else:
            self._tell(step)

    def _tell(self, step: int) -> None:
        self.progress.update(step, *self.last_step[:1], *self.last_eval, *self.last_step[1:])


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON-lines file; a line cut off by a kill is left out."""
    if not path.exists():
        return []
    return read_lines(path)


class _Lines:
    """A file of JSON lines, opened and closed for each line so that a kill loses none."""

    def __init__(self, path: Path, step: int):
        self.path = path
        kept = [line for line in read_log(path) if line["step"] <= step and step > 0]
        with self._saving():  # what was measured must outlive a full disk or a kill here
            write_whole(path, "".join(json.dumps(line) + "\n" for line in kept))

    def write(self, line: Mapping[str, Any]) -> None:
        with self._saving(), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _saving(self) -> AbstractContextManager[None]:
        goes_on = f"`collm train --resume {self.path.parent}` goes on from the last checkpoint"
        return saving(str(self.path), f"{goes_on} once there is room")


class _TensorBoard:
    def __init__(self, out: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        for key, value in metrics.items():
            self.writer.add_scalar(key, value, step)

    def close(self) -> None:
        self.writer.close()


class _WandB:
    def __init__(self, out: Path, name: str, config: LogSettings):
        import wandb  # pyright: ignore[reportMissingImports]  (optional, imported on request)

        identity = out / "wandb-id"  # a resumed run goes on with its own page
        if not identity.exists():
            identity.write_text(wandb.util.generate_id())
        self.run = wandb.init(
            project=config.wandb,
            id=identity.read_text(),
            name=out.name,
            group=name,
            config=config.to_dict(),
            dir=str(out),
            resume="allow",
        )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        self.run.log(dict(metrics), step=step)

    def close(self) -> None:
        self.run.finish()


def _sinks(out: Path, name: str, config: LogSettings, step: int) -> list[Sink]:
    sinks: list[Sink] = []
    if config.tensorboard:
        sinks.append(_TensorBoard(out, step))
    if config.wandb:
        sinks.append(_WandB(out, name, config))
    return sinks
