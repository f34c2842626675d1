"""Scripted players of TLDR-v1.  They know the item's facts and references: yardsticks, not agents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import Any

from collm_envs.task import NOTHING, Heard, Player, Voice, silent
from collm_envs.writing.facts import stem, stemmed
from collm_envs.writing.fluency import body, sentences, words_and_numbers
from collm_envs.writing.players import PLAIN
from collm_envs.writing.score import DELIMITER

_GROUPS = re.compile(r"\b(\d{1,2})\.(\d{1,2})\b")
BRIEF_WORDS = 35


def expert(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Says which parts of which facts it reads (`1.2`: the second group of words of the first fact).

    Writes the sentences of the references whose facts it knows in all their parts.
    """
    k = task.agents.index(agent)
    seen = _seen(task, state, k)
    if heard.speaking:
        return "facts " + " ".join(f"{fact + 1}.{group + 1}" for fact, group in sorted(seen))
    parts = seen | _told(heard)
    facts = [groups for groups, _ in stemmed(state.facts)]
    known_facts = {f for f, groups in enumerate(facts) if all((f, g) in parts for g in range(len(groups)))}
    return _write(task, state, k, known_facts)


mute = partial(silent, expert)
"""The expert without a word, said or heard."""


def solo(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """What an agent that reads the whole post writes."""
    if heard.speaking:
        return ""
    return _write(task, state, task.agents.index(agent), set(range(len(state.facts))))


def noisy(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """The expert with words lost, and sentences out of their order."""
    text = expert(task, state, agent, rng, heard)
    if heard.speaking:
        return text
    parts = sentences(text)
    if rng.random() < 0.3:
        rng.shuffle(parts)
    lost = rng.choice((0.0, 0.02, 0.1, 0.3))
    return " ".join(word for part in parts for word in part.split() if rng.random() >= lost)


def random(task: Any, state: Any, agent: str, rng: Random, heard: Heard = NOTHING) -> str:
    """Plain words by lot."""
    return " ".join(rng.choices(PLAIN, k=rng.randint(1, 60)))


PLAYERS: Mapping[str, Player] = {
    "random": random,
    "expert": expert,
    "noisy": noisy,
    "mute": mute,
    "solo": solo,
}
VOICES: Mapping[str, Voice] = PLAYERS


def held(text: str, facts: Any) -> set[int]:
    """The numbers (from 0) of the facts whose words stand in one sentence of a text."""
    rows = [{stem(word) for word in words_and_numbers(sentence)} for sentence in sentences(text)]
    return {
        number
        for number, (groups, _) in enumerate(stemmed(facts))
        if any(all(not group.isdisjoint(row) for group in groups) for row in rows)
    }


def _seen(task: Any, state: Any, k: int) -> set[tuple[int, int]]:
    """(fact, group) of which agent k reads a word; or nobody does: a paraphrase that needs no telling."""
    own, post = (
        {stem(word) for word in words_and_numbers(body(text))}
        for text in (task.source(state, k), state.item.data["prompt"])
    )
    return {
        (fact, group)
        for fact, (groups, _) in enumerate(stemmed(state.facts))
        for group, stems in enumerate(groups)
        if not stems.isdisjoint(own) or stems.isdisjoint(post)
    }


def _told(heard: Heard) -> set[tuple[int, int]]:
    messages = (message for by_agent in heard.rounds for message in by_agent.values())
    return {(int(f) - 1, int(g) - 1) for message in messages for f, g in _GROUPS.findall(message)}


def _write(task: Any, state: Any, k: int, known_facts: set[int]) -> str:
    """The agent's part: of its reference the sentences without a fact that it does not know."""
    data = state.item.data
    reference = data.get("completion", "")
    brief, detailed = data.get("brief", reference), data.get("detailed", reference)
    short, long = (_borne_out(text, state.facts, known_facts) for text in (brief, detailed))
    if not short:  # no sentence of the brief reference is safe: take what fits of the other one
        short = _first_words(long)
    if len(task.agents) == 1:
        return f"{' '.join(short)}\n{DELIMITER}\n{' '.join(long)}"
    return " ".join(long if k else short)


def _borne_out(text: str, facts: Any, known_facts: set[int]) -> list[str]:
    return [sentence for sentence in sentences(text) if held(sentence, facts) <= known_facts]


def _first_words(candidates: Sequence[str]) -> list[str]:
    chosen: list[str] = []
    for sentence in candidates:
        if len(words_and_numbers(" ".join([*chosen, sentence]))) <= BRIEF_WORDS:
            chosen.append(sentence)
    return chosen
