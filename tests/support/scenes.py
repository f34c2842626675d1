"""Small worlds and records for the tests of the renderers."""

from __future__ import annotations

from typing import Any

from collm_envs.task import Scene

WALL = Scene(
    size=(7, 3, 1),
    blocks={(0, 0, 0): "oak_planks", (1, 0, 0): "stone", (2, 2, 0): "obsidian", (6, 2, 0): "stone"},
    target={(0, 0, 0): "", (1, 0, 0): "", (2, 0, 0): "", (2, 2, 0): ""},
)
"""one block missing at (2, 0), one too much at (6, 2)"""

HUT = Scene(
    size=(3, 2, 3),
    blocks={(x, 0, z): "stone_bricks" for x in range(3) for z in range(3)}
    | {(0, 1, 0): "glass", (2, 1, 2): "stone"},
    target={(x, 0, z): "stone_bricks" for x in range(3) for z in range(3)}
    | {(0, 1, 0): "obsidian", (1, 1, 0): "oak_planks"},
)
"""wrong at (0, 1, 0), missing at (1, 1, 0), too much at (2, 1, 2)"""

STORY = Scene(texts={"source post": "My cat ate my homework.", "paragraph 1, agent_0": "A cat story."})

HOSTILE = (
    '<script>window.hacked = 1</script><img src=x onerror="window.hacked=1">\x00\x1b[31m\x7f\x85 & \ud800'
)


def turn(**changes: Any) -> dict[str, Any]:
    """A turn of a record in which two agents wrote commands."""
    plain = {
        "prompts": {"agent_0": "Build.", "agent_1": "Build too.\n" * 40},
        "texts": {"agent_0": "- /setblock 0 0 0 oak_planks\n/setblock 9 9 9 stone\n", "agent_1": ""},
        "reward": 0.5,
        "parts": {"coverage": 0.75, "extra": -0.25},
        "metrics": {"iou": 0.6, "extra_blocks": 1.0},
        "accepted": {"agent_0": ["/setblock 0 0 0 oak_planks"], "agent_1": []},
        "rejected": {"agent_0": [{"line": "/setblock 9 9 9 stone", "why": "outside the box"}], "agent_1": []},
        "verdicts": {},
        "edits": {"agent_0": [], "agent_1": []},
        "usage": {"agent_0": {"output_tokens": 31}, "agent_1": {}},
    }
    return plain | changes


def record(*turns: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A record with these turns, two if none are given."""
    plain = {
        "env": "StrBuild-v0",
        "version": "0.1.0",
        "content_hash": "0123456789abcdef" * 4,
        "kwargs": {"spacing": 2},
        "item": "word_0001",
        "split": "eval",
        "seed": 7,
        "agents": {"agent_0": "expert", "agent_1": "noisy"},
        "turns": list(turns) or [turn(), turn(reward=0.75, parts={"coverage": 0.75, "extra": 0.0})],
        "terminated": True,
        "seconds": 1.5,
        "trial": 0,
    }
    return plain | changes
