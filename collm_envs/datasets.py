"""Where a task's items come from: built in, the Hugging Face hub, a JSONL file, or rows in memory.

One `Source` per task says what its rows look like and where they stand.  Rows are checked here, once, at
the border; an error names the file and line (or row), what is wanted and what was found.  Nothing is read
before `load`, and only `data="hub"` touches the network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from collm_envs.settings import whole_number
from collm_envs.task import Item, split_rows

BUILTIN = Path(__file__).parent / "data"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Slice(NamedTuple):
    """Rows `start` to `stop` of the first split in `names` that the data set has."""

    names: tuple[str, ...]
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Source:
    """The rows of one task: their schema, and where they stand."""

    task: str
    """named in errors, e.g. "TLDR-v0" """
    columns: Mapping[str, tuple[str, ...]]
    """required text column -> other names it may have"""
    extra: tuple[str, ...] = ()
    """further columns of the published schema (numbers or text), kept where a row has them"""
    nested: Mapping[str, Callable[[Any, str], Any]] = field(default_factory=dict)
    """further columns that hold more than a number or text -> their check: (value, where) -> value"""
    id_column: str = "id"
    """names the item where a row has it, otherwise split and position do; unique within a split"""
    builtin: Mapping[str, str] = field(default_factory=dict)
    """split -> file in collm_envs/data"""
    hub: tuple[str, ...] = ()
    """names of the data set on the hub, tried in turn: the present one, then former ones"""
    revision: str = "main"
    """commit, tag or branch on the hub"""
    slices: Mapping[str, Slice] = field(default_factory=dict)
    """split -> its rows on the hub"""


class _Row(NamedTuple):
    value: Any
    where: str
    """for errors: "posts.jsonl, line 3" """


def load(
    source: Source,
    *,
    items: Any = None,
    data: str = "builtin",
    hub_revision: str | None = None,
    limit: int | None = None,
) -> dict[str, tuple[Item, ...]]:
    """The items of "train" and "eval".

    `items` are rows in memory (a list for both splits, or {"train": rows, "eval": rows}) and win over
    `data`, which is "builtin", "hub", "hub:NAME" (a mirror, or a folder with the same layout) or the path
    of a JSONL file, whose rows may have a column "split" ("train" or "eval"; without it all rows serve
    both).  `hub_revision` replaces the pinned revision, `limit` keeps the first items of each split.

    Raises ValueError for what is wrong with a row or an argument, FileNotFoundError for a missing file,
    ImportError without the package `datasets`, and ConnectionError where the hub's data can't be had.
    """
    if limit is not None:
        whole_number("limit", limit, least=1)
    if not isinstance(data, str):
        raise TypeError(f"{source.task}: data must be a str, got {type(data).__name__}")
    on_hub = items is None and (data == "hub" or data.startswith("hub:"))
    if hub_revision is not None and not on_hub:
        raise ValueError(f"{source.task}: hub_revision needs data='hub', got data={data!r}")
    if items is not None:
        if data != "builtin":
            raise ValueError(f"{source.task}: give items or data, got both (data={data!r})")
        rows = _given(items)
    elif on_hub:
        rows = _hub(source, data[len("hub:") :], hub_revision or source.revision)
    elif data == "builtin":
        rows = {split: list(_lines(BUILTIN / name)) for split, name in source.builtin.items()}
    else:
        rows = _file(source, data)
    made = {split: _items(source, split, some[:limit]) for split, some in rows.items()}
    return made if "eval" in made else {"train": made["both"], "eval": made["both"]}


def _items(source: Source, split: str, rows: Sequence[_Row]) -> tuple[Item, ...]:
    """The checked rows of a split; "both" where one list serves train and eval."""
    made = tuple(
        _item(source, row, f"{'item' if split == 'both' else split}/{k}") for k, row in enumerate(rows)
    )
    seen: dict[str, str] = {}
    for item, row in zip(made, rows, strict=True):
        if item.id in seen:
            raise ValueError(f"{source.task}: {row.where}: the id {item.id!r} is that of {seen[item.id]} too")
        seen[item.id] = row.where
    return made


def _item(source: Source, row: _Row, spare_id: str) -> Item:
    value = row.value
    if not isinstance(value, Mapping):
        raise ValueError(f"{source.task}: {row.where}: need an object, got {type(value).__name__}")
    data: dict[str, Any] = {}
    for column, others in source.columns.items():
        name = next((name for name in (column, *others) if name in value), None)
        if name is None:
            raise ValueError(
                f"{source.task}: {row.where}: missing column {column!r}; it has {sorted(map(str, value))}"
            )
        data[column] = _checked(source, row, name, (str,))
    for column in source.extra:
        if value.get(column) is not None:
            data[column] = _checked(source, row, column, (str, int, float))
    for column, check in source.nested.items():
        if value.get(column) is not None:
            data[column] = check(value[column], f"{source.task}: {row.where}: column {column!r}")
    if value.get(source.id_column) is None:
        return Item(spare_id, data)
    return Item(str(_checked(source, row, source.id_column, (str, int))), data)


def _checked(source: Source, row: _Row, column: str, kinds: tuple[type, ...]) -> Any:
    """The row's value in `column`, of one of `kinds`; text must not be blank and must fit into UTF-8."""
    value = row.value[column]
    got = ""
    if not isinstance(value, kinds) or isinstance(value, bool):
        got = type(value).__name__
    elif isinstance(value, str) and not value.strip():
        got = "a blank text"
    elif isinstance(value, str) and _SURROGATE.search(value):
        got = "a text with half of a surrogate pair"
    if got:
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{source.task}: {row.where}: column {column!r} must hold {wanted}, got {got}")
    return value


def _given(items: Any) -> dict[str, list[_Row]]:
    rows = split_rows(items)
    if not isinstance(items, Mapping):
        return {"both": [_Row(row, f"items[{k}]") for k, row in enumerate(rows["train"])]}
    return {
        split: [_Row(row, f"items[{split!r}][{k}]") for k, row in enumerate(some)]
        for split, some in rows.items()
    }


def _lines(path: Path) -> Iterator[_Row]:
    """The rows of a JSONL file; blank lines are skipped."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            where = f"{path}, line {number}"
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.strip():
                continue
            try:
                yield _Row(json.loads(text), where)
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{where}: not a line of JSON ({error})") from error


def _file(source: Source, name: str) -> dict[str, list[_Row]]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"{source.task}: data must be 'builtin', 'hub', 'hub:NAME' or the path of a JSONL file; "
            f"there is no file {name!r}"
        )
    rows = list(_lines(path))
    if not rows:
        raise ValueError(f"{source.task}: {path} has no rows; need at least one")
    if not any(isinstance(row.value, Mapping) and "split" in row.value for row in rows):
        return {"both": rows}
    splits: dict[str, list[_Row]] = {"train": [], "eval": []}
    for row in rows:
        split = row.value.get("split") if isinstance(row.value, Mapping) else None
        if split not in ("train", "eval"):
            raise ValueError(f"{source.task}: {row.where}: 'split' must be 'train' or 'eval', got {split!r}")
        splits[split].append(row)
    for split, some in splits.items():
        if not some:
            raise ValueError(f"{source.task}: {path} has no row with the split {split!r}; need at least one")
    return splits


def _hub(source: Source, name: str, revision: str) -> dict[str, list[_Row]]:
    try:
        from datasets import load_dataset
        from datasets.exceptions import DatasetsError
    except ImportError as error:
        raise ImportError(
            f"{source.task}: data='hub' needs the package `datasets`: pip install 'collm[hub]', "
            "or use data='builtin' or data='path.jsonl'"
        ) from error
    homes = (name,) if name else source.hub
    failures: list[str] = []
    for home in homes:
        try:
            found = load_dataset(home, revision=revision)
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            failures.append(f"{home}: {type(error).__name__}: {error}")
            continue
        return {split: _select(source, home, found, part) for split, part in source.slices.items()}
    raise ConnectionError(
        f"{source.task}: could not load {' or '.join(map(repr, homes))} at revision {revision!r} from the "
        "Hugging Face hub.  Check the network (or the login: hf auth login); or run "
        f"`hf download --repo-type dataset {homes[0]}` where there is one and copy its cache (HF_HOME); or "
        f"use data='builtin' or data='path.jsonl'.  What it said: {'; '.join(failures)}"
    )


def _select(source: Source, name: str, found: Mapping[Any, Any], part: Slice) -> list[_Row]:
    split = next((split for split in part.names if split in found), None)
    if split is None:
        raise ValueError(
            f"{source.task}: {name} needs a split {' or '.join(map(repr, part.names))}, has {sorted(found)}"
        )
    stop = len(found[split]) if part.stop is None else min(part.stop, len(found[split]))
    if part.start >= stop:
        raise ValueError(f"{source.task}: {name}, {split}: need more than {part.start} rows, got {stop}")
    numbers = range(part.start, stop)
    rows = found[split].select(numbers)
    return [_Row(row, f"{name}, {split}, row {k}") for k, row in zip(numbers, rows, strict=True)]
