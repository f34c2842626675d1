"""The posts of TLDR-v1: where they come from, and what facts and references belong to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from collm_envs.datasets import BUILTIN, Slice, Source, load
from collm_envs.task import Item
from collm_envs.writing.fluency import FUNCTION_WORDS, sentences, words_and_numbers

MOST_FACTS = 40


def check_facts(value: Any, where: str) -> list[list[list[str]]]:
    """Facts as they stand in a row of data, or a ValueError that names `where` they are."""
    good = isinstance(value, Sequence) and not isinstance(value, str) and 0 < len(value) <= MOST_FACTS
    if not good or not all(map(_is_fact, value)):
        raise ValueError(
            f"{where} must hold 1 to {MOST_FACTS} facts, each a list of groups of single words, such as "
            f'[["plumber", "gerd"], ["love"], ["!hate"]], got {value!r:.200}'
        )
    return [[list(group) for group in fact] for fact in value]


def _is_fact(fact: Any) -> bool:
    def is_list(value: Any) -> bool:
        return isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0

    if not is_list(fact) or not all(map(is_list, fact)):
        return False
    named = [word for group in fact for word in group]
    return all(isinstance(word, str) and len(words_and_numbers(word)) == 1 for word in named) and any(
        not word.startswith("!") for word in named
    )


SOURCE = Source(
    task="TLDR-v1",
    columns={"prompt": ()},
    extra=("completion", "brief", "detailed"),
    nested={"facts": check_facts},
    builtin={"train": "tldr_train.jsonl", "eval": "tldr_eval.jsonl"},
    hub=("trl-lib/tldr",),
    revision="21233da376667088e6eb1ce4ce19ed832c2935d3",
    slices={"train": Slice(("train",), 0, 1100), "eval": Slice(("test",), 0, 1100)},
)


def read_items(
    items: Any, data: str, hub_revision: str | None, limit: int | None
) -> dict[str, tuple[Item, ...]]:
    """The items of each split, all with facts; ValueError for one that has none and no completion either."""
    items_by_split = load(SOURCE, items=items, data=data, hub_revision=hub_revision, limit=limit)
    if items is None and data == "builtin":
        items_by_split = {split: tuple(map(_with_references, rows)) for split, rows in items_by_split.items()}
    return {split: tuple(map(_with_facts, rows)) for split, rows in items_by_split.items()}


@cache
def references() -> Mapping[str, Mapping[str, Any]]:
    """item -> facts and reference summaries of the built-in posts."""
    lines = (BUILTIN / "tldr_facts.jsonl").read_text(encoding="utf-8").splitlines()
    return {row.pop("id"): row for row in map(json.loads, lines)}


def _with_references(item: Item) -> Item:
    return Item(item.id, {**item.data, **references()[item.id]})


def _with_facts(item: Item) -> Item:
    """The item, with facts from its completion where it has none; ValueError without either."""
    if "facts" in item.data:
        return item
    facts = facts_of(item.data.get("completion", ""))
    if not facts:
        raise ValueError(f"TLDR-v1: item {item.id!r} needs facts, or a completion with two content words")
    return Item(item.id, {**item.data, "facts": facts})


def facts_of(completion: str) -> list[list[list[str]]]:
    """Pairs of neighbouring content words of one sentence."""
    facts = []
    for sentence in sentences(completion):
        content = [word for word in words_and_numbers(sentence) if word not in FUNCTION_WORDS]
        facts += [[[first], [other]] for first, other in zip(content[::2], content[1::2], strict=False)]
    return facts[:MOST_FACTS]
