"""Scripted players of StrBuild-v1.  All but `solo` know what their agent sees and hears, no more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, partial
from random import Random
from typing import Any

from collm_envs.building.strbuild.prompts import MARKS
from collm_envs.building.strbuild.words import FONT, HEIGHT, LETTERS, WIDTH
from collm_envs.building.strbuild_v1.score import EXTRA
from collm_envs.building.strbuild_v1.words import SEEN, SIGN_CELLS, SPACING, Pattern, patterns_of
from collm_envs.task import NOTHING, Cell, Heard, Player, Voice, silent

_LETTER = re.compile(r"\b(\d+)=([A-Z]\b|[#.]{5}(?:/[#.]{5}){4})")
_NAMES = {pattern: letter for letter, pattern in FONT.items()}


def expert(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Says the letters it sees; fills its cells of those it sees or was told of, and guesses at others."""
    k = task.agents.index(agent)
    if heard.speaking:
        return _tell(task, state, k)
    return _build(task, state, k, {**_told(heard), **_seen(task, state, k)})


mute = partial(silent, expert)
"""The expert without a word, said or heard."""


def solo(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """What an agent that sees every letter builds."""
    shapes = dict(enumerate(patterns_of(state.item)))
    return "" if heard.speaking else _build(task, state, task.agents.index(agent), shapes)


def noisy(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """The expert with mistakes: a letter misnamed, commands left out, cells missed by one."""
    text = expert(task, state, agent, rng, heard)
    if heard.speaking:
        return text if rng.random() < 0.7 else _LETTER.sub(rf"\1={rng.choice(LETTERS)}", text)
    k, skill = task.agents.index(agent), rng.uniform(0.2, 0.9)
    wanted = {cell: block for cell, block in _wanted(task, state, k, heard).items() if rng.random() < skill}
    for cell in rng.sample(sorted(wanted), len(wanted) // 8):
        wanted[_anywhere(state, rng)] = wanted.pop(cell)
    return _write(task, state, k, _within(task, state, k, wanted))


def random(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Blocks anywhere, letters by lot."""
    if heard.speaking:
        return f"{rng.randint(1, 9)}={rng.choice(LETTERS)}"
    k = task.agents.index(agent)
    cells = {_anywhere(state, rng): rng.choice(task.blocks[k]) for _ in range(rng.randint(0, 12))}
    return _write(task, state, k, _within(task, state, k, cells))


PLAYERS: Mapping[str, Player] = {
    "random": random,
    "expert": expert,
    "noisy": noisy,
    "mute": mute,
    "solo": solo,
}
VOICES: Mapping[str, Voice] = PLAYERS


def _seen(task: Any, state: Any, k: int) -> dict[int, Pattern]:
    patterns = patterns_of(state.item)
    return {j: patterns[j] for j in task.seen_letters(state, k)}


def _tell(task: Any, state: Any, k: int) -> str:
    """`1=C 3=#...#/...`: number (from 1) and name of each letter it sees, or its rows."""
    seen = sorted(_seen(task, state, k).items())
    return " ".join(f"{j + 1}={_NAMES.get(pattern) or '/'.join(pattern)}" for j, pattern in seen)


def _told(heard: Heard) -> dict[int, Pattern]:
    """The letters that somebody has said, the last word on each."""
    letters: dict[int, Pattern] = {}
    for messages in heard.rounds:
        for message in messages.values():
            for number, name in _LETTER.findall(message):
                if len(number) < 3:
                    letters[int(number) - 1] = FONT[name] if name in FONT else tuple(name.split("/"))
    return letters


@cache
def _likely(alphabet: str, letters: int) -> Pattern:
    """The cells of an unseen letter that are worth a guess: filling them gains more than it costs.

    A cell that share p of the letters have gains 2 p / target and costs 3 (1 - p) / background.
    """
    shapes = [FONT[letter] for letter in alphabet]
    cells = sum(row.count("#") for shape in shapes for row in shape) / len(shapes) if shapes else 0.0
    target = letters * (cells or sum(SIGN_CELLS) / 2)
    background = HEIGHT * (letters * (WIDTH + SPACING) - SPACING) - target

    def mark(r: int, x: int) -> str:
        p = sum(shape[r][x] == "#" for shape in shapes) / len(shapes) if shapes else target / letters / 25
        return "#" if 2 * p / target > EXTRA * (1 - p) / background else "."

    return tuple("".join(mark(r, x) for x in range(WIDTH)) for r in range(HEIGHT))


def _wanted(task: Any, state: Any, k: int, heard: Heard) -> dict[Cell, str]:
    return _cells(task, state, k, {**_told(heard), **_seen(task, state, k)})


def _cells(task: Any, state: Any, k: int, shapes: Mapping[int, Pattern]) -> dict[Cell, str]:
    """The agent's cells of all letters, known or guessed, and the block that belongs there."""
    patterns = patterns_of(state.item)
    alphabet = "" if "signs" in state.item.data else SEEN if task.difficulty <= 3 else LETTERS
    guess = _likely(alphabet, len(patterns))
    kinds = dict(enumerate(task.blocks[k]))
    cells: dict[Cell, str] = {}
    for j in range(len(patterns)):
        pattern = shapes.get(j, guess)
        for r, row in enumerate(pattern):
            for column, mark in enumerate(row):
                x, y = j * (WIDTH + SPACING) + column, HEIGHT - 1 - r
                kind = (x + y) % task.builders
                if mark == "#" and len(task.agents) == 1:
                    cells[x, y, 0] = kinds[kind]
                elif mark == "#" and kind == k:
                    cells[x, y, 0] = kinds[0]
    return _known_first(cells, shapes)


def _known_first(cells: Mapping[Cell, str], shapes: Mapping[int, Pattern]) -> dict[Cell, str]:
    """Cells of known letters before guesses, in case the stock runs out."""
    return dict(sorted(cells.items(), key=lambda entry: entry[0][0] // (WIDTH + SPACING) not in shapes))


def _build(task: Any, state: Any, k: int, shapes: Mapping[int, Pattern]) -> str:
    return _write(task, state, k, _within(task, state, k, _cells(task, state, k, shapes)))


def _within(task: Any, state: Any, k: int, wanted: Mapping[Cell, str]) -> dict[Cell, str]:
    """As much of it as the stock allows."""
    left = dict(zip(task.blocks[k], state.stock[k], strict=True))
    kept: dict[Cell, str] = {}
    for cell, block in wanted.items():
        if left[block] > 0:
            left[block] -= 1
            kept[cell] = block
    return kept


def _anywhere(state: Any, rng: Random) -> Cell:
    return rng.randrange(state.word.width), rng.randrange(HEIGHT), 0


def _write(task: Any, state: Any, k: int, wanted: Mapping[Cell, str]) -> str:
    """What turns the agent's own blocks into these, as this task's prompts ask for it."""
    own = state.own[k]
    changes = {cell: "air" for cell in own if cell not in wanted}
    changes |= {cell: block for cell, block in wanted.items() if own.get(cell) != block}
    if task.prompts == "full":
        return "\n".join(f"/setblock {x} {y} {z} {block}" for (x, y, z), block in changes.items())
    marks = dict(zip(task.blocks[k], MARKS, strict=False)) | {"air": "-"}
    rows = []
    for y in reversed(range(HEIGHT)):
        row = "".join(marks.get(changes.get((x, y, 0), ""), ".") for x in range(state.word.width))
        if row.strip("."):
            rows.append(f"{y} {row}")
    return "\n".join(rows)
