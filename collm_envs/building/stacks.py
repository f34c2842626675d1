"""A world that lasts, in which every block stays the property of the agent that placed it.

Where two agents place a block in one cell, the earlier block is what stands there; the other waits behind it
and comes forward when the earlier is removed.  An agent's own blocks and its stock so depend on its own
commands alone: nothing that it is told of them can carry a message from anybody else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from collm_envs.building.world import AIR
from collm_envs.task import Cell, Rejected


class Held(NamedTuple):
    """A block and the number of the agent it belongs to (from 0)."""

    agent: int
    block: str


class Placement(NamedTuple):
    """A command that places blocks, or takes one's own away where `block` is air."""

    line: str
    cells: Sequence[Cell]
    block: str


Stacks = Mapping[Cell, tuple[Held, ...]]
"""cell -> the blocks placed there, the one that stands first"""
Blocks = Mapping[Cell, str]
"""cell -> the block that one agent has placed there, to be seen or not"""


def standing(stacks: Stacks) -> dict[Cell, str]:
    """The block to be seen in each cell."""
    return {cell: stack[0].block for cell, stack in stacks.items()}


def carry_out(
    stacks: dict[Cell, tuple[Held, ...]],
    own: dict[Cell, str],
    stock: Mapping[str, int],
    agents: Sequence[str],
    agent: int,
    placements: Iterable[Placement],
) -> tuple[list[str], list[Rejected]]:
    """Carry out an agent's commands: (lines that counted, lines that did not and why).

    Changed in place are `stacks` and `own`, what agent number `agent` of `agents` has placed; `stock` is what
    there is of each of its blocks, placed or not.  A line is refused whole where the stock does not suffice.
    One whose blocks all stand behind those of another agent is carried out, and does not count.
    """
    placed = Counter(own.values())
    left = {block: many - placed[block] for block, many in stock.items()}
    accepted: list[str] = []
    rejected: list[Rejected] = []
    for line, cells, block in placements:
        if why := _refusal(own, left, cells, block):
            rejected.append(Rejected(line, why))
            continue
        for cell in cells:
            if cell in own:
                left[own.pop(cell)] += 1
            if block not in AIR:
                own[cell] = block
                left[block] -= 1
            _put(stacks, agent, cell, block)
        holders = [agent if block in AIR else stacks[cell][0].agent for cell in cells]
        if agent in holders:
            accepted.append(line)
        else:
            rejected.append(Rejected(line, f"held by {agents[holders[0]]}"))
    return accepted, rejected


def _refusal(own: Blocks, left: Mapping[str, int], cells: Sequence[Cell], block: str) -> str:
    """Why an agent with these blocks placed and `left` in stock cannot do this; "" if it can."""
    if block in AIR:
        return "" if any(cell in own for cell in cells) else "no block of yours stands there"
    needed = sum(own.get(cell) != block for cell in cells)
    if not needed:
        return "it stands there already"
    if needed <= left[block]:
        return ""
    return f"exceeds the stock of {block}: {needed} > {left[block]}" if left[block] else f"no {block} left"


def _put(stacks: dict[Cell, tuple[Held, ...]], agent: int, cell: Cell, block: str) -> None:
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
