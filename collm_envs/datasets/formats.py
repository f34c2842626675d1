"""The formats in which people have rows of data: lists, iterators, files, data frames, data sets of the hub.

Nothing of theirs is imported: a table is known by the name of its class.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

ACCEPTED = (
    "a list of mappings, an iterator of them, a Hugging Face Dataset, a data frame of pandas or polars, "
    "or the path of a .jsonl, .jsonl.gz or .json file"
)
TABLES: Mapping[tuple[str, str], Callable[[Any], Iterable[Any]]] = {
    ("pandas", "DataFrame"): lambda frame: frame.to_dict("records"),
    ("polars", "DataFrame"): lambda frame: frame.to_dicts(),
    ("polars", "LazyFrame"): lambda frame: frame.collect().to_dicts(),
    ("pyarrow", "Table"): lambda table: table.to_pylist(),
    ("datasets", "Dataset"): list,
    ("datasets", "IterableDataset"): list,
}
"""(package, class) -> its rows as mappings"""
DATASET_DICTS = {("datasets", "DatasetDict"), ("datasets", "IterableDatasetDict")}
EVAL = ("eval", "validation", "valid", "dev", "test")
"""what the eval split of a Hugging Face DatasetDict may be called, the first there is"""
SPLITS = {"train", "eval"}
FILES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
GIT_LFS = b"version https://git-lfs.github.com/spec/"


class GivenRow(NamedTuple):
    """A row of a file."""

    value: Any
    where: str
    """for errors: "posts.jsonl, line 3" """


def given_rows(rows: Any) -> Any:
    """A list of rows, or {"train": rows, "eval": rows}, of what a user gives as items.

    A file whose rows have a column "split", or that holds {"train": [...], "eval": [...]}, gives both.
    Raises TypeError for what holds no rows, FileNotFoundError and ValueError for files.
    """
    if isinstance(rows, Path) or (isinstance(rows, str) and rows.lower().endswith(FILES)):
        file_rows = list(read_file(Path(rows).expanduser()))
        if (
            len(file_rows) == 1
            and isinstance(file_rows[0].value, Mapping)
            and set(file_rows[0].value) == SPLITS
        ):
            return dict(file_rows[0].value)
        return divided([row.value for row in file_rows], [row.where for row in file_rows])
    classes = _classes(rows)
    if isinstance(rows, Mapping) and DATASET_DICTS & set(classes):
        return {split: given_rows(split_data) for split, split_data in _both(rows).items()}
    if isinstance(rows, Mapping):
        return {
            split: split_data if isinstance(split_data, (str, bytes)) else given_rows(split_data)
            for split, split_data in rows.items()
        }
    if table := next((name for name in classes if name in TABLES), None):
        return [_without_gaps(row) for row in TABLES[table](rows)]
    if isinstance(rows, (str, bytes, bytearray)) or not isinstance(rows, Iterable):
        text = f" {rows[:200]!r}" if isinstance(rows, str) else ""
        raise TypeError(f"items: need a list of rows, got {type(rows).__name__}{text}; that is {ACCEPTED}")
    return rows if isinstance(rows, (list, tuple)) else list(rows)


def storable(rows: Any) -> Any:
    """`rows` as they may stand in records: a path as a text, everything else as plain lists."""
    return str(rows) if isinstance(rows, (str, Path)) else given_rows(rows)


def split_rows(rows: Any) -> dict[str, list[Any]]:
    """The `items=` keyword as {"train": rows, "eval": rows}; one list of rows serves both splits.

    Rows may come in every format of this file: see `ACCEPTED`.
    Raises ValueError for an empty list or unknown split names, TypeError for anything that holds no rows.
    """
    rows = given_rows(rows)
    if isinstance(rows, Mapping):
        if set(rows) != {"train", "eval"}:
            raise ValueError(f'items: need the keys "train" and "eval", got {sorted(map(str, rows))}')
        splits = {split: rows[split] for split in ("train", "eval")}
    else:
        splits = {"train": rows, "eval": rows}
    for split, split_data in splits.items():
        if isinstance(split_data, (str, bytes)) or not isinstance(split_data, Sequence):
            raise TypeError(f"items: need a list of rows, got {type(split_data).__name__}")
        if not split_data:
            raise ValueError(f"items: the list for {split!r} is empty; need at least one row")
    return {split: list(split_data) for split, split_data in splits.items()}


def divided(values: list[Any], where: list[str]) -> Any:
    """Rows divided by their column "split", or as they are where none has it."""
    if not any(isinstance(value, Mapping) and "split" in value for value in values):
        return values
    splits: dict[str, list[Any]] = {"train": [], "eval": []}
    for value, location in zip(values, where, strict=True):
        split = value.get("split") if isinstance(value, Mapping) else None
        if split not in SPLITS:
            raise ValueError(f"items: {location}: 'split' must be 'train' or 'eval', got {split!r}")
        splits[split].append(value)
    return splits


def read_file(path: Path) -> Iterator[GivenRow]:
    """The rows of a .json array or object, or of a file with one object a line (.jsonl), either compressed.

    Blank lines are skipped.  Raises FileNotFoundError, and ValueError that names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"items: there is no file {str(path)!r}; need {ACCEPTED}")
    data, name = path.read_bytes(), path.name.lower()
    if data.startswith(GIT_LFS):
        raise ValueError(f"{path}: a pointer of git-lfs, not the file itself; run `git lfs pull` there")
    try:
        data = gzip.decompress(data) if name.endswith(".gz") else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: damaged or cut short ({error})") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    if name.removesuffix(".gz").endswith(".json"):
        value = _json(data, str(path))
        rows = value if isinstance(value, list) else [value]
        yield from (GivenRow(row, f"{path}, row {k}") for k, row in enumerate(rows, start=1))
        return
    for number, line in enumerate(data.replace(b"\r\n", b"\n").split(b"\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield GivenRow(_json(line, where), where)


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if not where.rpartition(", line ")[1] else "a line of JSON"
        raise ValueError(f"{where}: not {kind} ({error})") from error


def _classes(rows: Any) -> list[tuple[str, str]]:
    return [(cls.__module__.partition(".")[0], cls.__name__) for cls in type(rows).__mro__]


def _both(rows: Mapping[str, Any]) -> dict[str, Any]:
    name = next((name for name in EVAL if name in rows), None)
    if "train" not in rows or name is None:
        raise ValueError(f"items: need a split 'train' and one of {', '.join(EVAL)}, got {sorted(rows)}")
    return {"train": rows["train"], "eval": rows[name]}


def _without_gaps(row: Mapping[str, Any]) -> dict[str, Any]:
    """A table has a cell for every column; one that is empty is missing."""
    cells = {str(name): _cell(value) for name, value in row.items()}
    return {name: value for name, value in cells.items() if value is not None}


def _cell(value: Any) -> Any:
    """Plain data of what tables hold: arrays and numbers of numpy, dates, marks of missing values."""
    if type(value).__module__ == "numpy":
        value = value.tolist()
    if type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, Mapping):
        return {str(name): _cell(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cell(part) for part in value]
    return value.isoformat() if isinstance(value, date) else value
