"""A world that lasts, in which every block stays the property of the agent that placed it.

Where two agents place a block in one cell, the earlier block is what stands there; the other waits behind it
and comes forward when the earlier is removed.  An agent's own blocks and its stock so depend on its own
commands alone: nothing that it is told of them can carry a message from anybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from collm_envs.building.world import AIR
from collm_envs.task import Cell


class Held(NamedTuple):
    """A block and the number of the agent it belongs to (from 0)."""

    agent: int
    block: str


Stacks = Mapping[Cell, tuple[Held, ...]]
"""cell -> the blocks placed there, the one that stands first"""


def standing(stacks: Stacks) -> dict[Cell, str]:
    """The block to be seen in each cell."""
    return {cell: stack[0].block for cell, stack in stacks.items()}


def own_blocks(stacks: Stacks, agent: int) -> dict[Cell, str]:
    """What an agent has placed, to be seen or not."""
    return {cell: held.block for cell, stack in stacks.items() for held in stack if held.agent == agent}


def holder(stacks: Stacks, cell: Cell) -> int | None:
    """The agent whose block stands in a cell."""
    stack = stacks.get(cell)
    return stack[0].agent if stack else None


def put(stacks: dict[Cell, tuple[Held, ...]], agent: int, cell: Cell, block: str) -> None:
    """Place an agent's block; a block of its own there is replaced, and taken away where `block` is air."""
    stack = stacks.get(cell, ())
    if block in AIR:
        stack = tuple(held for held in stack if held.agent != agent)
    elif any(held.agent == agent for held in stack):
        stack = tuple(Held(agent, block) if held.agent == agent else held for held in stack)
    else:
        stack = (*stack, Held(agent, block))
    if stack:
        stacks[cell] = stack
    else:
        stacks.pop(cell, None)
