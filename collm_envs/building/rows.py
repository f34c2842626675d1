"""Rows of data, as a user gives them, to items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from collm_envs.datasets.formats import split_rows
from collm_envs.task import Item


def read_rows(
    rows: Any, prefix: str, read: Callable[[str, Any], Mapping[str, Any]]
) -> dict[str, tuple[Item, ...]]:
    """The items of {"train": rows, "eval": rows}, or of one list that serves both.

    A row's id is its "task_id", else `prefix` and its number over all rows, from 0001.  `read` gets the id
    and the row, raises ValueError for a row it cannot use, and returns the data of the item.  Raises
    ValueError for ids that occur twice.
    """
    items: dict[str, tuple[Item, ...]] = {}
    count = 0
    for split, some in split_rows(rows).items():
        if items and not isinstance(rows, Mapping):
            return {**items, split: items["train"]}
        items[split] = tuple(_item(row, f"{prefix}{count + k:04d}", read) for k, row in enumerate(some, 1))
        count += len(some)
        name, times = Counter(item.id for item in items[split]).most_common(1)[0]
        if times > 1:
            raise ValueError(
                f"items: task_id {name!r} occurs {times} times in {split!r}; need different ones"
            )
    return items


def _item(row: Any, number: str, read: Callable[[str, Any], Mapping[str, Any]]) -> Item:
    if not isinstance(row, Mapping):
        raise ValueError(f"items: {number}: need a mapping, got {row!r}")
    name = row.get("task_id", number)
    if not isinstance(name, str) or not name:
        raise ValueError(f"items: {number}: task_id must be a text, got {name!r}")
    return Item(name, read(name, row))
