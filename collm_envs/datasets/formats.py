"""The formats in which people have rows of data: lists, iterators, files, data frames, data sets of the hub.

Nothing of theirs is imported: a table is known by the name of its class.
"""

from __future__ import annotations

import codecs
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
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
"""what the eval split of a mapping may be called, the first there is"""
SPLITS = {"train", *EVAL}
BOTH = "both"
"""in place of a split's name: rows that serve train and eval"""
FILES = (".jsonl", ".json", ".jsonl.gz", ".json.gz")
GZIP = b"\x1f\x8b"
LINE_END = re.compile(rb"\r\n|\n|\r")
GIT_LFS = b"version https://git-lfs.github.com/spec/"


class GivenRow(NamedTuple):
    """A row of a file."""

    value: Any
    where: str
    """for errors: "posts.jsonl, line 3" """


def located_rows(rows: Any) -> dict[str, list[GivenRow]]:
    """The rows that a user gives as items, in any of the formats `ACCEPTED`, and where each was found.

    By split, "train" and "eval": that of a mapping's keys, or of a column "split"; under "both" where nothing
    tells them apart.  Raises TypeError for what holds no rows, ValueError for an unknown split or one without
    rows, FileNotFoundError and ValueError for files.
    """
    if _is_file(rows):
        path = Path(rows).expanduser()
        file_rows = list(read_file(path))
        if len(file_rows) == 1 and _names_splits(file_rows[0].value):
            return located_rows(file_rows[0].value)
        if not file_rows:
            raise ValueError(f"{path} has no rows; need at least one")
        return _divided(file_rows, str(path))
    if isinstance(rows, Mapping):
        splits = {
            split: _listed(rows[name], f"items[{name!r}]") for split, name in _split_names(rows).items()
        }
    else:
        splits = _divided(_listed(rows, "items"), "items")
    for split, group in splits.items():
        if not group:
            empty = "train" if split == BOTH else split
            raise ValueError(f"items: the list for {empty!r} is empty; need at least one row")
    return splits


def storable(rows: Any) -> Any:
    """`rows` as they may stand in records: a path as a text, everything else as plain lists.

    They are not judged: what cannot be items stays as it is, for the task to refuse in its own words.  Raises
    TypeError for what holds no rows.
    """
    if isinstance(rows, (str, Path)):
        return str(rows)
    if not isinstance(rows, Mapping):
        return [row.value for row in _listed(rows, "items")]
    if not _has_splits(rows):
        return dict(rows)
    return {
        split: [row.value for row in _listed(rows[name], f"items[{name!r}]")]
        for split, name in _split_names(rows).items()
    }


def split_rows(rows: Any) -> dict[str, list[Any]]:
    """The `items=` keyword as {"train": rows, "eval": rows}; rows without a split serve both.

    Rows may come in every format of this file: see `ACCEPTED`.  Raises what `located_rows` raises.
    """
    splits = {split: [row.value for row in group] for split, group in located_rows(rows).items()}
    return splits if BOTH not in splits else {"train": splits[BOTH], "eval": [*splits[BOTH]]}


def read_file(path: Path) -> Iterator[GivenRow]:
    """The rows of a file with a JSON array or object, or with one object a line, gzipped or not.

    What a file holds counts, not how its name ends.  Blank lines are skipped.  Raises FileNotFoundError, and
    ValueError that names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"items: there is no file {str(path)!r}; need {ACCEPTED}")
    data = _text(path)
    if _is_one_value(data, path.name.lower().removesuffix(".gz").endswith(".json")):
        value = _json(data, str(path))
        rows = value if isinstance(value, list) else [value]
        yield from (GivenRow(row, f"{path}, row {k}") for k, row in enumerate(rows, start=1))
        return
    for number, line in enumerate(LINE_END.split(data), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            yield GivenRow(_json(line, where), where)


def _text(path: Path) -> bytes:
    """A file's bytes, unpacked, in UTF-8 without a byte order mark."""
    data = path.read_bytes()
    if data.startswith(GIT_LFS):
        raise ValueError(f"{path}: a pointer of git-lfs, not the file itself; run `git lfs pull` there")
    try:
        data = gzip.decompress(data) if data.startswith(GZIP) else data
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            data = data.decode("utf-16").encode()
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeError) as error:
        raise ValueError(f"{path}: damaged or cut short ({error})") from error
    return data.removeprefix(codecs.BOM_UTF8)


def _is_one_value(data: bytes, named_json: bool) -> bool:
    """Whether a file is one JSON value, such as an array; otherwise it has a value a line."""
    lines = [line for line in map(bytes.strip, LINE_END.split(data)) if line]
    if not named_json:
        return len(lines) > 0 and lines[0].startswith(b"[") and lines[-1].endswith(b"]")
    return len(lines) < 2 or not _is_json(lines[0]) or not _is_json(lines[1])


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if not where.rpartition(", line ")[1] else "a line of JSON"
        raise ValueError(f"{where}: not {kind} ({error})") from error


def _classes(rows: Any) -> list[tuple[str, str]]:
    return [(cls.__module__.partition(".")[0], cls.__name__) for cls in type(rows).__mro__]


def _is_file(rows: Any) -> bool:
    return isinstance(rows, Path) or (isinstance(rows, str) and rows.lower().endswith(FILES))


def _listed(rows: Any, name: str) -> list[GivenRow]:
    """The rows of a file, a table or an iterable, undivided; `name` is what errors call them."""
    if _is_file(rows):
        return list(read_file(Path(rows).expanduser()))
    table = next((kind for kind in _classes(rows) if kind in TABLES), None)
    if table is not None:
        rows = map(_without_gaps, TABLES[table](rows))
    elif isinstance(rows, (str, bytes, bytearray, Mapping)) or not isinstance(rows, Iterable):
        text = f" {rows[:200]!r}" if isinstance(rows, str) else ""
        raise TypeError(f"items: need a list of rows, got {type(rows).__name__}{text}; that is {ACCEPTED}")
    return [GivenRow(row, f"{name}[{k}]") for k, row in enumerate(rows)]


def _divided(rows: list[GivenRow], source: str) -> dict[str, list[GivenRow]]:
    """Rows by their column "split"; all under "both" where none has it."""
    if not any(isinstance(row.value, Mapping) and "split" in row.value for row in rows):
        return {BOTH: rows}
    splits: dict[str, list[GivenRow]] = {"train": [], "eval": []}
    for row in rows:
        split = row.value.get("split") if isinstance(row.value, Mapping) else None
        if split not in ("train", "eval"):
            raise ValueError(f"{row.where}: 'split' must be 'train' or 'eval', got {split!r}")
        splits[split].append(row)
    for split, group in splits.items():
        if not group:
            raise ValueError(f"{source} has no row with the split {split!r}; need at least one")
    return splits


def _names_splits(value: Any) -> bool:
    """Whether a value maps "train" and names of an eval split to rows, and nothing else."""
    return isinstance(value, Mapping) and "train" in value and len(value) > 1 and set(value) <= SPLITS


def _has_splits(rows: Mapping[str, Any]) -> bool:
    return _names_splits(rows) or not DATASET_DICTS.isdisjoint(_classes(rows))


def _split_names(rows: Mapping[str, Any]) -> dict[str, str]:
    """{"train": "train", "eval": the first of `EVAL` that the mapping has}."""
    if not _has_splits(rows):
        raise ValueError(f'items: need the keys "train" and "eval", got {sorted(map(str, rows))}')
    name = next((name for name in EVAL if name in rows), None)
    if "train" not in rows or name is None:
        raise ValueError(f"items: need a split 'train' and one of {', '.join(EVAL)}, got {sorted(rows)}")
    return {"train": "train", "eval": name}


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
