"""The state of a writing task, which has one turn: before, after, and as a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from collm_envs.task import Scene
from collm_envs.writing.score import DELIMITER, split_paragraphs

NOTE = (
    "The reward counts lengths, different words, transition words and words that the texts share. "
    "It never reads the source, so texts without sense can earn it."
)
HEAD_WORDS = 12
"""words of the source that a terse prompt quotes"""


@dataclass(frozen=True)
class State:
    """A source text and the paragraphs written about it."""

    source: str
    paragraphs: tuple[str, ...] = ()
    """empty before the turn; two for a single agent's text"""


def written(state: State, texts: Mapping[str, str], agents: Sequence[str]) -> State:
    """The state after the turn with these texts."""
    if len(agents) == 1:
        return replace(state, paragraphs=split_paragraphs(texts[agents[0]]))
    return replace(state, paragraphs=tuple(texts[agent] for agent in agents))


def owners(agents: Sequence[str]) -> tuple[str, ...]:
    """The writer of each paragraph."""
    return (agents[0], agents[0]) if len(agents) == 1 else tuple(agents)


def head(source: str) -> str:
    """The first words of the source, on one line."""
    return " ".join(source.split()[:HEAD_WORDS])


def stand_in(state: State, agents: Sequence[str], agent: str, tokens: Sequence[int]) -> str:
    """The text of a silent agent: the source's words, repeated up to tokens[0], for later texts tokens[1].

    An empty text would close the first gate, and the others' texts would earn nothing.
    """
    first, later = (" ".join(islice(cycle(state.source.split()), n)) for n in tokens)
    if len(agents) == 1:
        return f"{first}\n{DELIMITER}\n{later}"
    return first if agent == agents[0] else later


def title_of(source: str) -> str:
    """The line of the source that is marked as its title, else its first words."""
    marked = (line.removeprefix("TITLE:") for line in source.splitlines() if line.startswith("TITLE:"))
    words = next(marked, source).split()
    return " ".join(words[:HEAD_WORDS]) + " …" * (len(words) > HEAD_WORDS)


def scene(state: State, agents: Sequence[str], title: str) -> Scene:
    """The source under `title`, then each paragraph under its number and writer."""
    titled = {title: state.source}
    for k, (agent, text) in enumerate(zip(owners(agents), state.paragraphs, strict=False), start=1):
        titled[f"paragraph {k}, {agent}"] = text
    return Scene(texts=titled, title=title_of(state.source), note=NOTE)
