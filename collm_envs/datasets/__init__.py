"""Loads a task's items: built in, from the Hugging Face hub, a JSONL file, or rows in memory.

One `Source` per task gives the schema of its rows and their locations.  Rows are checked here, once; an error
names the file and line (or row), the expected and the actual value.  Nothing is read before `load`, and only
`data="hub"` uses the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from collm_envs.datasets.formats import BOTH, GivenRow, located_rows, read_file
from collm_envs.keywords import whole_number
from collm_envs.task import Item

BUILTIN = Path(__file__).parents[1] / "data"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Slice(NamedTuple):
    """Rows `start` to `stop` of the first split in `names` that the data set has."""

    names: tuple[str, ...]
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Source:
    """The data of one task: schema and locations of its rows."""

    task: str
    """name of the task in errors, e.g. "TLDR-v0" """
    columns: Mapping[str, tuple[str, ...]]
    """{required text column: other names it may have}"""
    extra: tuple[str, ...] = ()
    """optional columns of the published schema (numbers or text), kept if a row has them"""
    nested: Mapping[str, Callable[[Any, str], Any]] = field(default_factory=dict)
    """{optional column of lists: its check, (value, where) -> value}"""
    id_column: str = "id"
    """column with the item's id, unique within a split; without it the id is made of split and position"""
    builtin: Mapping[str, str] = field(default_factory=dict)
    """{split: file in collm_envs/data}"""
    hub: tuple[str, ...] = ()
    """names of the data set on the hub, tried in order: the current one, then former ones"""
    revision: str = "main"
    """commit, tag or branch on the hub"""
    slices: Mapping[str, Slice] = field(default_factory=dict)
    """{split: its rows on the hub}"""


def load(
    source: Source,
    *,
    items: Any = None,
    data: str = "builtin",
    hub_revision: str | None = None,
    limit: int | None = None,
) -> dict[str, tuple[Item, ...]]:
    """The items of "train" and "eval".

    `items` are rows in any of the formats of `located_rows` and win over `data`, which is "builtin", "hub",
    "hub:NAME" (a mirror, or a folder with the same layout) or the path of a .jsonl, .jsonl.gz or .json file.
    Rows may have a column "split" ("train" or "eval"; without it all rows serve both).  `hub_revision`
    replaces the pinned revision, `limit` keeps the first items of each split.

    Raises ValueError for a malformed row or argument, FileNotFoundError for a missing file, ImportError
    without the package `datasets`, and ConnectionError if the hub's data cannot be loaded.
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
        rows = located_rows(items)
    elif on_hub:
        rows = _hub(source, data[len("hub:") :], hub_revision or source.revision)
    elif data == "builtin":
        rows = {split: list(read_file(BUILTIN / name)) for split, name in source.builtin.items()}
    else:
        rows = _file(source, data)
    loaded = {split: _items(source, split, group[:limit]) for split, group in rows.items()}
    return {"train": loaded[BOTH], "eval": loaded[BOTH]} if BOTH in loaded else loaded


def _items(source: Source, split: str, rows: Sequence[GivenRow]) -> tuple[Item, ...]:
    """The items of the checked rows of a split, or of those that serve both."""
    items = tuple(
        _item(source, row, f"{'item' if split == BOTH else split}/{k}") for k, row in enumerate(rows)
    )
    where_by_id: dict[str, str] = {}
    for item, row in zip(items, rows, strict=True):
        if item.id in where_by_id:
            raise ValueError(
                f"{source.task}: {row.where}: the id {item.id!r} is that of {where_by_id[item.id]} too"
            )
        where_by_id[item.id] = row.where
    return items


def _item(source: Source, row: GivenRow, spare_id: str) -> Item:
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


def _checked(source: Source, row: GivenRow, column: str, kinds: tuple[type, ...]) -> Any:
    """The row's value in `column`.  Raises ValueError if it is blank, no Unicode, or not of `kinds`."""
    value = row.value[column]
    fault = ""
    if not isinstance(value, kinds) or isinstance(value, bool):
        fault = type(value).__name__
    elif isinstance(value, str) and not value.strip():
        fault = "a blank text"
    elif isinstance(value, str) and _SURROGATE.search(value):
        fault = "a text with half of a surrogate pair"
    if fault:
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{source.task}: {row.where}: column {column!r} must hold {expected}, got {fault}")
    return value


def _file(source: Source, name: str) -> dict[str, list[GivenRow]]:
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"{source.task}: data must be 'builtin', 'hub', 'hub:NAME' or the path of a JSONL file; "
            f"there is no file {name!r}"
        )
    return located_rows(path)


def _hub(source: Source, name: str, revision: str) -> dict[str, list[GivenRow]]:
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
            splits = load_dataset(home, revision=revision)
        except (OSError, ValueError, RuntimeError, DatasetsError) as error:
            failures.append(f"{home}: {type(error).__name__}: {error}")
            continue
        return {split: _select(source, home, splits, part) for split, part in source.slices.items()}
    raise ConnectionError(
        f"{source.task}: could not load {' or '.join(map(repr, homes))} at revision {revision!r} from the "
        "Hugging Face hub.  Check the network (or the login: hf auth login); or run "
        f"`hf download --repo-type dataset {homes[0]}` where there is one and copy its cache (HF_HOME); or "
        f"use data='builtin' or data='path.jsonl'.  What it said: {'; '.join(failures)}"
    )


def _select(source: Source, name: str, splits: Mapping[Any, Any], part: Slice) -> list[GivenRow]:
    split = next((split for split in part.names if split in splits), None)
    if split is None:
        raise ValueError(
            f"{source.task}: {name} needs a split {' or '.join(map(repr, part.names))}, has {sorted(splits)}"
        )
    stop = len(splits[split]) if part.stop is None else min(part.stop, len(splits[split]))
    if part.start >= stop:
        raise ValueError(f"{source.task}: {name}, {split}: need more than {part.start} rows, got {stop}")
    numbers = range(part.start, stop)
    rows = splits[split].select(numbers)
    return [GivenRow(row, f"{name}, {split}, row {k}") for k, row in zip(numbers, rows, strict=True)]
