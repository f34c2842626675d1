"""Pinned functions: short Python files that people or language models wrote and a person has reviewed.

NAME.py holds the functions, NAME.json beside it says of which source they are the reviewed form (sha256),
who wrote and who reviewed them, and which named fields they read.  `load_pinned` executes, in this process,
the very text that it hashed, and refuses any other: an edited file has to be pinned again, and a file that
`collm qllm` wrote and nobody has pinned with `collm qllm pin` is refused.

Three forms.  "tensors": torch on a batch, `weights(state)` of a mixer.  "state" and "turn": the language of
credit/language.py on plain numbers, which `collm qllm` asks models for, `weights(ctx)` of one state of a game
and the credit of one turn of a text environment; these must pass that module's fence at every load.

The hash guards against accidental edits, not against attack: whoever can write both files can pin anything.
So unreviewed code is never loaded here; it runs in a sandbox until a person has read it.
"""

from __future__ import annotations

import builtins
import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.credit import language
from baselines.credit.features import frozen
from baselines.credit.language import Refused
from collm_envs.files import read_json, write_json

FOLDER = Path(__file__).parent / "functions"
MANIFEST = {"sha256", "written_by", "reviewed_by", "form", "reads"}
FLOOR = 0.1
"""smallest N * w_i: an agent's learning signal is at least a tenth of that under VDN"""


class Pinned(NamedTuple):
    """A loaded function file whose source matches its pinned hash."""

    name: str
    sha256: str
    written_by: str
    reads: Mapping[str, list[int | None]]
    """field -> shape, None for a dimension of any size"""
    functions: Mapping[str, Callable[..., Any]]
    manifest: Mapping[str, Any]
    """the content of its .json"""

    def call(self, name: str, fields: Mapping[str, Tensor]) -> Tensor:
        """`name(fields)` without gradients, given only the fields that the function says it reads.

        Raises Refused for a function of form "state" that fails at a state, naming it.
        """
        read_fields = {field: fields[field] for field in self.reads}
        if self.manifest["form"] == "state":
            columns = {field: frozen(x.tolist()) for field, x in read_fields.items()}
            states = range(len(next(iter(fields.values()))))  # of all fields: it may read none
            rows = [{field: column[b] for field, column in columns.items()} for b in states]
            results = [self._numbers(name, b, row) for b, row in enumerate(rows)]
            if len({len(each) for each in results}) != 1:
                raise Refused(f"{self.name}: {name} gives more numbers at some states than at others")
            return torch.tensor(results)
        with torch.no_grad():
            return self.functions[name](read_fields)

    def _numbers(self, name: str, b: int, row: Mapping[str, Any]) -> list[float]:
        try:
            result = self.functions[name](row)
            return [float(x) for x in (result if isinstance(result, (list, tuple)) else [result])]
        except language.FAILURES as error:
            what = f"{type(error).__name__}: {error}"
            raise Refused(f"{self.name}: {name} of state {b} ({row}): {what}") from None


def load_pinned(name: str | Path) -> Pinned:
    """The pinned file `name`: a stem in baselines/credit/functions, or a path that ends in .py.

    Raises FileNotFoundError naming what there is, Refused where the source is not the pinned one.
    """
    path = Path(name) if str(name).endswith(".py") else FOLDER / f"{name}.py"
    if not path.is_file() or not path.with_suffix(".json").is_file():
        there = ", ".join(sorted(p.stem for p in FOLDER.glob("*.json")))
        raise FileNotFoundError(f"no pinned function {str(name)!r} (.py with its .json); there are {there}")
    text, manifest = source(path), _manifest(path)
    if _sha256(text) != manifest["sha256"]:
        raise Refused(
            f"{path.stem}: stale, the source's sha256 is {_sha256(text)[:12]}... and "
            f"{manifest['sha256'][:12]}... was pinned; review it and pin it again"
        )
    if not manifest["reviewed_by"]:
        raise Refused(f"{path.stem}: nobody has reviewed it; read it, then: {_pin(path)}")
    if manifest["form"] != "tensors":
        language.reads(text, manifest["mode"])
    functions = execute(text, path, fenced=manifest["form"] != "tensors")
    reads, sha = manifest["reads"], manifest["sha256"]
    return Pinned(path.stem, sha, manifest["written_by"], reads, functions, manifest)


def execute(source: str, path: Path, *, fenced: bool) -> dict[str, Callable[..., Any]]:
    """The functions that a reviewed source defines; `fenced` ones find no builtin but the language's own."""
    scope: dict[str, Any] = {"__name__": f"pinned_{path.stem}"}
    if fenced:
        scope["__builtins__"] = {
            "__import__": _only_math,
            **{k: vars(builtins)[k] for k in language.BUILTINS},
        }
    exec(compile(source, str(path), "exec"), scope)
    return {k: f for k, f in scope.items() if isinstance(f, FunctionType) and f.__globals__ is scope}


def _only_math(name: str, *_: Any) -> ModuleType:
    if name != "math":
        raise ImportError(f"only `from math import ...`, got {name}")
    return math


def pin(
    path: Path,
    *,
    written_by: str,
    reads: Mapping[str, list[int | None]],
    reviewed_by: str = "whoever pinned it",
    **facts: Any,
) -> None:
    """Write the manifest that pins the present source at `path` as reviewed.

    `facts` go into it too: form ("tensors" without), and for the others mode, env, report, ...
    """
    manifest = {
        "sha256": _sha256(source(path)),
        "written_by": written_by,
        "reviewed_by": reviewed_by,
        "form": "tensors",
        "reads": dict(reads),
        **facts,
    }
    write_json(path.with_suffix(".json"), manifest)


def standing(path: Path) -> dict[str, Any]:
    """Author and reviewer of the present source at `path`; {} where no manifest matches its hash."""
    if not path.with_suffix(".json").is_file():
        return {}
    manifest = _manifest(path)
    if manifest["sha256"] != _sha256(source(path)):
        return {}
    return {name: manifest[name] for name in ("written_by", "reviewed_by")}


def review(path: Path, reviewed_by: str) -> None:
    """Record the reviewer of the function at `path`; its present source must have passed the gates.

    Raises FileNotFoundError without source or report, Refused for a source that was edited after its gates.
    """
    if path.is_file() and not path.with_suffix(".json").is_file():
        first = f"run `collm qllm check {path} --env ENV` first, with --write"
        raise FileNotFoundError(f"{path.with_suffix('.json')}: no report of its gates there; {first}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    manifest = _manifest(path)
    if _sha256(source(path)) != manifest["sha256"]:
        raise Refused(f"{path.stem}: stale, it was edited after its gates; run them again: collm qllm check")
    if not reviewed_by.strip():
        raise ValueError("reviewed_by: need the name of who has read it")
    manifest["reviewed_by"] = reviewed_by
    write_json(path.with_suffix(".json"), manifest)


def check_reads(function: Pinned, fields: Mapping[str, Any]) -> None:
    """Refuse a function that reads fields, or shapes of fields, that this environment does not have."""
    for field, shape in function.reads.items():
        if field not in fields:
            raise Refused(f"{function.name}: reads {field!r}, the environment has {sorted(fields)}")
        actual = fields[field].shape
        if len(actual) != len(shape) or any(
            w is not None and w != g for w, g in zip(shape, actual, strict=True)
        ):
            raise Refused(
                f"{function.name}: reads {field!r} of shape {shape}, the environment's is {list(actual)}"
            )


def check_weights(w: Tensor, shape: tuple[int, int], name: str) -> None:
    """Refuse weights that are not (rows, N), finite, above the floor and summing to 1 over the agents."""
    if tuple(w.shape) != shape:
        raise Refused(f"{name}: weights of shape {shape} wanted, got {tuple(w.shape)}")
    if not bool(torch.isfinite(w).all()):
        raise Refused(f"{name}: weights are not finite: {_worst(w, ~torch.isfinite(w))}")
    low = float(w.min())
    row, agent = divmod(int(w.argmin()), shape[1])
    if low < 0:
        raise Refused(
            f"{name}: negative weight {low:.4g} at row {row}: agent {agent} would be taught to lower the "
            "team's value"
        )
    if shape[1] * low < FLOOR:
        raise Refused(
            f"{name}: saturated, N * w = {shape[1] * low:.4g} is below the floor {FLOOR} at row {row}: "
            f"agent {agent} would hardly learn"
        )
    off = (w.sum(1) - 1).abs()
    if float(off.max()) > 1e-4:
        raise Refused(
            f"{name}: weights must sum to 1 over the agents, off by {float(off.max()):.4g} at row "
            f"{int(off.argmax())}"
        )


def _pin(path: Path) -> str:
    return f"collm qllm pin {path} --reviewed-by YOU"


def _worst(w: Tensor, bad: Tensor) -> list[float]:
    return w[bad.any(1)][0].tolist()


def _manifest(path: Path) -> dict[str, Any]:
    manifest = read_json(path.with_suffix(".json"))
    if not isinstance(manifest, dict) or not manifest.keys() >= MANIFEST:
        raise Refused(f"{path.with_suffix('.json')}: no manifest; it needs {', '.join(sorted(MANIFEST))}")
    return manifest


def source(path: Path) -> str:
    """The text that is hashed: any line end is \\n and there is no byte order mark, on every system."""
    return path.read_text("utf-8-sig")


def _sha256(source: str) -> str:
    return hashlib.sha256(source.encode()).hexdigest()
