"""What names an environment: enough to make it again and to tell it from a changed one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from collm_envs.task import Task

SPLITS = ("train", "eval")


@dataclass(frozen=True)
class EnvSpec:
    """A line of the registry; with its content hash also the identity of a made environment."""

    id: str
    entry_point: str
    """"package.module:TaskClass", imported when the environment is made"""
    kwargs: Mapping[str, Any]
    """the task's keywords"""
    summary: str = ""
    """one line for tables"""
    content_hash: str | None = None
    """sha256 of items, opening prompts and the task's revision; None until the environment is made"""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return asdict(self)


def content_hash(task: Task) -> str:
    """sha256 (hex) of the task's items, its opening prompts for one item a split, and its revision."""
    digest = hashlib.sha256()

    def add(*facts: Any) -> None:
        digest.update(json.dumps(facts, sort_keys=True).encode() + b"\n")

    add(type(task).__name__, task.revision, task.max_turns)
    for split in SPLITS:
        items = task.items(split)
        for item in items:
            add(split, item.id, dict(item.data))
        state = task.start(items[0], 0)
        for agent in task.agents:
            add(agent, task.prompt(state, agent))
    return digest.hexdigest()
