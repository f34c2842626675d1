"""Scripted players of StrBuild.  They know the whole state: yardsticks and teachers, not agents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any

from collm_envs.building.strbuild.prompts import MARKS
from collm_envs.building.strbuild.words import HEIGHT, Word
from collm_envs.building.world import texture
from collm_envs.task import Cell, Player


@lru_cache(maxsize=4096)
def division(
    word: Word, palettes: tuple[tuple[str, ...], ...], limits: tuple[int, ...]
) -> tuple[dict[Cell, str], ...]:
    """Who places what where for the largest reward: one {cell: block} an agent."""
    shares: tuple[dict[Cell, str], ...] = tuple({} for _ in palettes)
    for cell, block in colouring(word, palettes).items():
        holders = [k for k, palette in enumerate(palettes) if block in palette and len(shares[k]) < limits[k]]
        if holders:
            shares[min(holders, key=lambda k: len(shares[k]))][cell] = block
    return shares


def colouring(word: Word, palettes: tuple[tuple[str, ...], ...]) -> dict[Cell, str]:
    """A block for every cell of the word: no textures that touch, every block used.

    The wall is coloured like a chessboard: some textures on cells with even x + y, the others on odd ones;
    the blocks of a colour take turns.  What is not used then replaces a block that is used twice and that
    none of its neighbours looks like.  (With one texture in all there is no such colouring.)
    """
    sides, turn, blocks = _sides(palettes), [0, 0], {}
    for x, y, z in word.cells:
        side = (x + y) % 2
        blocks[x, y, z] = sides[side][turn[side] % len(sides[side])]
        turn[side] += 1
    for missing in (block for side in sides for block in side if block not in blocks.values()):
        used = Counter(blocks.values())
        for cell, block in blocks.items():
            if used[block] > 1 and texture(missing) not in _looks_around(cell, blocks):
                blocks[cell] = missing
                break
    return blocks


def _sides(palettes: Sequence[Sequence[str]]) -> list[list[str]]:
    """All blocks in two groups without a common texture: by owner where that works, else in turn."""
    blocks = list(dict.fromkeys(block for palette in palettes for block in palette))
    owner: dict[str, int] = {}
    for k, palette in enumerate(palettes):
        for block in palette:
            owner.setdefault(texture(block), k % 2)
    if len(set(owner.values())) == 1:
        owner = {look: k % 2 for k, look in enumerate(owner)}
    sides = [[block for block in blocks if owner[texture(block)] == k] for k in (0, 1)]
    return sides if all(sides) else [blocks, blocks]


def _looks_around(cell: Cell, blocks: Mapping[Cell, str]) -> set[str]:
    """Textures of the four neighbours."""
    x, y, z = cell
    around = ((x - 1, y, z), (x + 1, y, z), (x, y - 1, z), (x, y + 1, z))
    return {texture(blocks[near]) for near in around if near in blocks}


def expert(task: Any, state: Any, agent: str, rng: Random) -> str:
    """This agent's part of a plan that earns the maximum in one turn."""
    k = task.agents.index(agent)
    return _write(task, k, state.word, _share(task, state, k))


def noisy(task: Any, state: Any, agent: str, rng: Random) -> str:
    """The expert's part with mistakes: cells left out, cells of others, wrong blocks, wrong cells."""
    k = task.agents.index(agent)
    share, skill = _share(task, state, k), rng.uniform(0.0, 0.8)
    placed: dict[Cell, str] = {}
    for cell in state.word.cells:
        if rng.random() < skill:
            if cell in share:
                placed[cell] = share[cell]
        elif rng.random() < 0.35:
            spot = cell if rng.random() < 0.6 else _anywhere(state.word, rng)
            placed[spot] = rng.choice(task.blocks[k])
    return _write(task, k, state.word, _first(placed, task.seats[k].limit))


def random(task: Any, state: Any, agent: str, rng: Random) -> str:
    """Any number of blocks anywhere in the box."""
    k = task.agents.index(agent)
    count = rng.randint(0, min(task.seats[k].limit, len(state.word.cells)))
    placed = {_anywhere(state.word, rng): rng.choice(task.blocks[k]) for _ in range(count)}
    return _write(task, k, state.word, placed)


PLAYERS: Mapping[str, Player] = {"random": random, "expert": expert, "noisy": noisy}


def _share(task: Any, state: Any, k: int) -> dict[Cell, str]:
    return division(state.word, task.blocks, tuple(seat.limit for seat in task.seats))[k]


def _first(placed: Mapping[Cell, str], limit: int) -> dict[Cell, str]:
    return dict(list(placed.items())[:limit])


def _anywhere(word: Word, rng: Random) -> Cell:
    return rng.randrange(word.width), rng.randrange(HEIGHT), word.z


def _write(task: Any, k: int, word: Word, placed: Mapping[Cell, str]) -> str:
    """The blocks as this task's prompts ask for them: one command a line, or drawn."""
    if task.prompts == "full":
        return "\n".join(f"/setblock {x} {y} {z} {block}" for (x, y, z), block in placed.items())
    marks = dict(zip(task.blocks[k], MARKS, strict=False))
    return "\n".join(
        f"{y} " + "".join(marks.get(placed.get((x, y, word.z), ""), ".") for x in range(word.width))
        for y in reversed(range(HEIGHT))
    )
