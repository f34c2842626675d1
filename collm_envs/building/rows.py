"""Turns a user's rows of data into items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from collm_envs.datasets.formats import BOTH, located_rows
from collm_envs.task import Item


def read_rows(
    rows: Any, prefix: str, read: Callable[[str, Any], Mapping[str, Any]]
) -> dict[str, tuple[Item, ...]]:
    """{split: items} of rows in any of the formats of `located_rows`; without a split they serve both.

    An item's id is its row's "task_id", else `prefix` and the row's number over all rows, from 0001.
    `read(id, row)` returns the data of the item and raises ValueError for a row it cannot use.  Raises
    ValueError for an id that occurs twice.
    """
    items: dict[str, tuple[Item, ...]] = {}
    count = 0
    for split, group in located_rows(rows).items():
        items[split] = tuple(
            _item(row.value, f"{prefix}{count + k:04d}", read) for k, row in enumerate(group, 1)
        )
        count += len(group)
        name, times = Counter(item.id for item in items[split]).most_common(1)[0]
        if times > 1:
            where = "train" if split == BOTH else split
            raise ValueError(
                f"items: task_id {name!r} occurs {times} times in {where!r}; need different ones"
            )
    return {"train": items[BOTH], "eval": items[BOTH]} if BOTH in items else items


def _item(row: Any, number: str, read: Callable[[str, Any], Mapping[str, Any]]) -> Item:
    if not isinstance(row, Mapping):
        raise ValueError(f"items: {number}: need a mapping, got {row!r}")
    name = row.get("task_id", number)
    if not isinstance(name, str) or not name:
        raise ValueError(f"items: {number}: task_id must be a text, got {name!r}")
    return Item(name, read(name, row))
