"""Scripted players of HouseBuild-v1.  All but `solo` know what their agent sees and hears, no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from random import Random
from typing import Any

from collm_envs.building.housebuild.plan import Rectangle
from collm_envs.building.housebuild_v1.houses import KINDS, LETTER_OF, LETTERS
from collm_envs.building.housebuild_v1.spiders import Spider, in_sight
from collm_envs.building.world import AIR
from collm_envs.task import NOTHING, Cell, Heard, Player, Voice, silent

_LAYER = re.compile(r"\by(\d+) ([A-P.]+(?:/[A-P.]+)*)")
_SPIDER = re.compile(r"\bspider (\d+) (\d+),(\d+) (\d+)\b")
_ROOM = 280
"""characters of a message, if the task has no other limit"""


def expert(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Says its layers and spiders; guards where it must, else builds what it sees or was told of."""
    k = task.agents.index(agent)
    if heard.speaking:
        return _tell(task, state, k, agent, heard)
    spiders = [*_watched(task, state, k), *_told_spiders(task, agent, heard)]
    return _act(task, state, k, _cells(task, state, k, heard), spiders)


mute = partial(silent, expert)
"""The expert without a word, said or heard.  Guessing kinds would lose: one of 2 n is right."""


def solo(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """What an agent that sees every layer and every spider does."""
    if heard.speaking:
        return ""
    k = task.agents.index(agent)
    spiders = [spider for j in range(task.builders) for spider in _watched(task, state, j)]
    return _act(task, state, k, _own(task, k, state.house.cells), spiders)


def noisy(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """The expert with mistakes: commands left out, blocks exchanged, guards forgotten, words lost."""
    lines = expert(task, state, agent, rng, heard).split("\n")
    if heard.speaking:
        return "" if rng.random() < 0.3 else lines[0]
    skill, mine = rng.uniform(0.3, 0.95), task.blocks[task.agents.index(agent)]
    kept = []
    for line in lines:
        if rng.random() < skill:
            kept.append(line)
        elif rng.random() < 0.3:
            block = rng.choice(mine)
            marks = "".join(LETTER_OF[kind] for kind in mine)
            kept.append(re.sub(rf"[{marks}]$", LETTER_OF[block], re.sub(r"[a-z_]+$", block, line)))
    return "\n".join(kept)


def random(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Boxes of its blocks anywhere, and sometimes guard."""
    k = task.agents.index(agent)
    width, height, depth = state.house.size
    if heard.speaking:
        return f"spider {state.turn + 2} {rng.randrange(width)},{rng.randrange(depth)} 1"
    if rng.random() < 0.1:
        return f"/guard {rng.randrange(width)} {rng.randrange(depth)}"
    boxes = []
    for _ in range(rng.randint(0, task.limit)):
        xs, zs = sorted(rng.choices(range(width), k=2)), sorted(rng.choices(range(depth), k=2))
        boxes.append(Rectangle(rng.randrange(height), xs[0], zs[0], xs[1], zs[1], rng.choice(task.blocks[k])))
    return _write(task, boxes)


PLAYERS: Mapping[str, Player] = {
    "random": random,
    "expert": expert,
    "noisy": noisy,
    "mute": mute,
    "solo": solo,
}
VOICES: Mapping[str, Voice] = PLAYERS


def _watched(task: Any, state: Any, k: int) -> list[Spider]:
    return in_sight(state.spiders, state.met, state.turn + 1, k)


def _tell(task: Any, state: Any, k: int, agent: str, heard: Heard) -> str:
    """Spiders first, then the layers it has not told of yet, as far as a message reaches."""
    words = [f"spider {s.turn} {s.x},{s.z} {s.strength}" for s in _watched(task, state, k)]
    already = "\n".join(messages[agent] for messages in heard.rounds)
    for y in sorted(task.seen_layers(state, k)):
        layer = f"y{y} {'/'.join(state.house.layers[y])}"
        if layer not in already and len("; ".join([*words, layer])) <= _ROOM:
            words.append(layer)
    return "; ".join(words)


def _told_spiders(task: Any, agent: str, heard: Heard) -> list[Spider]:
    """The spiders others have spoken of, each once."""
    spiders = {}
    for messages in heard.rounds:
        for name in task.agents:
            for numbers in _SPIDER.findall(messages[name]) if name != agent else ():
                if max(map(len, numbers)) < 6:
                    turn, x, z, strength = map(int, numbers)
                    spiders[turn, x, z] = Spider(turn, x, z, strength, task.agents.index(name))
    return list(spiders.values())


def _cells(task: Any, state: Any, k: int, heard: Heard) -> dict[Cell, str]:
    """The agent's cells of all layers that it sees or was told of, and what belongs there."""
    layers = {y: state.house.layers[y] for y in task.seen_layers(state, k)}
    for messages in heard.rounds:
        for message in messages.values():
            for number, rows in _LAYER.findall(message):
                if len(number) < 3 and int(number) < state.house.size[1]:
                    layers.setdefault(int(number), tuple(rows.split("/")))
    width, _, depth = state.house.size
    cells = {
        (x, y, z): KINDS[LETTERS.index(letter)]
        for y, rows in layers.items()
        for z, row in enumerate(rows[:depth])
        for x, letter in enumerate(row[:width])
        if letter != "."
    }
    return _own(task, k, cells)


def _own(task: Any, k: int, cells: Mapping[Cell, str]) -> dict[Cell, str]:
    return {cell: block for cell, block in cells.items() if block in task.blocks[k]}


def _act(task: Any, state: Any, k: int, wanted: Mapping[Cell, str], spiders: Iterable[Spider]) -> str:
    """Guard, if this agent is needed where a spider is now (its watch, and those after it); else build."""
    n, turn = len(task.agents), state.turn + 1
    for spider in sorted(spiders, key=lambda spider: -spider.turn):
        if spider.turn == turn and (k - spider.watch) % n < spider.strength:
            return f"/guard {spider.x} {spider.z}"
    own = state.own[k]
    changes = {cell: "air" for cell in own if cell not in wanted}
    changes |= {cell: block for cell, block in wanted.items() if own.get(cell) != block}
    return _write(task, boxes(changes)[: task.limit])


def boxes(cells: Mapping[Cell, str]) -> list[Rectangle]:
    """Rectangles that cover these cells exactly: runs along x, joined along z where they are alike."""
    runs: list[Rectangle] = []
    for x, y, z in sorted(cells, key=lambda cell: (cell[1], cell[2], cell[0])):
        block = cells[x, y, z]
        last = runs[-1] if runs else None
        if last and (last.y, last.z1, last.x2, last.block) == (y, z, x - 1, block):
            runs[-1] = last._replace(x2=x)
        else:
            runs.append(Rectangle(y, x, z, x, z, block))
    joined: dict[tuple[int, int, int, str], list[Rectangle]] = {}
    for run in runs:
        column = joined.setdefault((run.y, run.x1, run.x2, run.block), [])
        if column and column[-1].z2 == run.z1 - 1:
            column[-1] = column[-1]._replace(z2=run.z2)
        else:
            column.append(run)
    return sorted(box for column in joined.values() for box in column)


def _write(task: Any, chosen: Iterable[Rectangle]) -> str:
    """The boxes as this task's prompts ask for them."""
    if task.prompts == "full":
        return "\n".join(f"/fill {x1} {y} {z1} {x2} {y} {z2} {block}" for y, x1, z1, x2, z2, block in chosen)
    lines = []
    for y, x1, z1, x2, z2, block in chosen:
        numbers = [str(number) for number in (y, x1, z1, x2, z2)]
        blank = " " if max(map(len, numbers)) > 1 else ""
        lines.append(blank.join([*numbers, "-" if block in AIR else LETTER_OF[block]]))
    return "\n".join(lines)
