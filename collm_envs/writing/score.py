"""The reward both writing tasks share: paragraphs compared by length, vocabulary, transitions and overlap.

Every later paragraph is paired with the first.  A level's value is the mean over the pairs; its gate is
open only if it is open for every pair; the levels after a closed gate earn nothing.  Two paragraphs are one
pair: the reward then equals the published one exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import Any, Literal, NamedTuple

from collm_envs.task import Rejected, Score
from collm_envs.writing.lexicon import STOPWORDS, TRANSITIONS
from collm_envs.writing.text import jaccard, runs, share, words

DELIMITER = "[PARAGRAPH_SPLIT]"
"""the line between the two paragraphs of a single agent"""
ADVERTISED = 3.0
"""the maximum the published score divides by; no text reaches it"""
COPY_RUN = 4
"""consecutive words from the source that count as copied"""
SHOWN_CHARS = 80
"""characters shown of a rejected text"""


class Band(NamedTuple):
    """A trapezoid: 1 from `full` to `till`, linear down to 0 at `low` and at `high`."""

    low: float
    full: float
    till: float
    high: float

    def __contains__(self, x: Any) -> bool:
        return self.low <= x <= self.high

    def worth(self, x: float) -> float:
        """The value of the trapezoid at `x`, 0 to 1."""
        if x not in self:
            return 0.0
        if x < self.full:
            return (x - self.low) / (self.full - self.low)
        if x > self.till:
            return 1.0 - (x - self.till) / (self.high - self.till)
        return 1.0


@dataclass(frozen=True)
class Rules:
    """The numbers in which the two tasks differ."""

    tokens: tuple[int, int]
    """fewest and most whitespace-separated tokens of every paragraph"""
    length: Band
    """characters of a later paragraph / characters of the first"""
    vocabulary: Band
    """different words of a later paragraph / of the first, stopwords included"""
    overlap: float
    """Jaccard similarity, stopwords excluded, from which the overlap part is full"""
    transitions_in: Literal["later", "both"]
    """where transitions are counted: in the later paragraph, or in both joined without a blank"""


class Paragraph(NamedTuple):
    """A paragraph and its measures: whitespace tokens, words, different words, those without stopwords."""

    text: str
    tokens: int
    words: list[str]
    vocabulary: frozenset[str]
    content: frozenset[str]


class Comparison(NamedTuple):
    """Ratios and counts of a later paragraph beside the first."""

    length: float
    vocabulary: float
    jaccard: float
    transitions: int


def _shortest(phrases: Sequence[str]) -> tuple[str, ...]:
    """The phrases that contain no other phrase, the shortest and so most frequent first.

    A text with a phrase that is left out contains one of these too.
    """
    return tuple(sorted((p for p in phrases if not any(q in p for q in phrases if q != p)), key=len))


_TRANSITIONS = {kind: _shortest(phrases) for kind, phrases in TRANSITIONS.items()}


def transitions(text: str) -> tuple[str, ...]:
    """The kinds of transition with a phrase in `text`, inside longer words too."""
    low = text.lower()
    return tuple(kind for kind, phrases in _TRANSITIONS.items() if any(phrase in low for phrase in phrases))


def transition_worth(kinds: int) -> float:
    """The value t of the reward: 0 for no kind, 0.4 for one, 0.05 more for each further one; 0.95 for 12."""
    return 0.0 if kinds == 0 else min(1.0, 0.4 + min(0.05 * (kinds - 1), 0.6))


REACHABLE = 0.5 + 1.0 + 0.5 + (0.4 * transition_worth(len(TRANSITIONS)) + 0.6)
"""2.98, the largest reward a text can earn"""


def split_paragraphs(text: str) -> tuple[str, str]:
    """The two paragraphs of a single agent's text, stripped.

    Cut at the first DELIMITER, else at the first "Paragraph 2:" in any case, else after a third of the
    characters.  A leading "Paragraph 1:" or "Paragraph 2:" is removed.
    """
    text = text.strip()
    first, delimiter, second = text.partition(DELIMITER)
    if not delimiter:
        label = re.search(r"Paragraph 2:\s*", text, re.IGNORECASE)
        third = len(text) // 3 or 1
        first_end, second_start = label.span() if label else (third, third)
        first, second = text[:first_end], text[second_start:]
    return (
        re.sub(r"\AParagraph 1:\s*", "", first.strip(), flags=re.IGNORECASE),
        re.sub(r"\AParagraph 2:\s*", "", second.strip(), flags=re.IGNORECASE),
    )


def measure(text: str) -> Paragraph:
    """The measures of one paragraph."""
    tokens = words(text)
    vocabulary = frozenset(tokens)
    return Paragraph(text, len(text.split()), tokens, vocabulary, vocabulary - STOPWORDS)


def compare(first: Paragraph, later: Paragraph, rules: Rules) -> Comparison:
    """The measures of one pair; a ratio to an empty first paragraph is 0."""
    read = first.text + later.text if rules.transitions_in == "both" else later.text
    return Comparison(
        len(later.text) / len(first.text) if first.text else 0.0,
        len(later.vocabulary) / len(first.vocabulary) if first.vocabulary else 0.0,
        jaccard(first.content, later.content),
        len(transitions(read)),
    )


def levels(
    paragraphs: Sequence[Paragraph], pairs: Sequence[Comparison], rules: Rules
) -> tuple[dict[str, float], dict[int, str]]:
    """({part: reward} up to the first closed gate, {index of a paragraph: why it closed the gate})."""
    least, most = rules.tokens
    parts: dict[str, float] = {}
    wrong = {
        k: f"{p.tokens} tokens; need {least} to {most}"
        for k, p in enumerate(paragraphs)
        if not least <= p.tokens <= most
    }
    if wrong:
        return parts, wrong
    parts["tokens"] = 0.5
    wrong = _outside(rules.length, [pair.length for pair in pairs], "as many characters")
    if wrong:
        return parts, wrong
    parts["length"] = fmean(rules.length.worth(pair.length) for pair in pairs)
    wrong = _outside(rules.vocabulary, [pair.vocabulary for pair in pairs], "as many different words")
    if wrong:
        return parts, wrong
    parts["vocabulary"] = 0.5 * fmean(rules.vocabulary.worth(pair.vocabulary) for pair in pairs)
    parts["transitions"] = 0.4 * fmean(transition_worth(pair.transitions) for pair in pairs)
    parts["overlap"] = 0.6 * fmean(min(pair.jaccard, rules.overlap) / rules.overlap for pair in pairs)
    return parts, {}


def _outside(band: Band, ratios: Sequence[float], what: str) -> dict[int, str]:
    most = f"to {band.high:g}" if math.isfinite(band.high) else "or more"
    return {
        k: f"{ratio:.4g} times {what} as the first paragraph; need {band.low:g} {most}"
        for k, ratio in enumerate(ratios, start=1)
        if ratio not in band
    }


def score(source: str, texts: Sequence[str], owners: Sequence[str], rules: Rules) -> Score:
    """Reward and metrics of paragraphs `texts`, the k-th written by `owners[k]`.

    Metrics do not depend on the gates; with more than two paragraphs, metrics of pairs are means.
    `source_covered` and `source_copied` compare with the source and never enter the reward.
    """
    paragraphs = [measure(text) for text in texts]
    pairs = [compare(paragraphs[0], later, rules) for later in paragraphs[1:]]
    parts, wrong = levels(paragraphs, pairs, rules)
    value = parts.get  # a level after a closed gate earns nothing
    reward = value("tokens", 0.0) + value("length", 0.0) + value("vocabulary", 0.0)
    reward += value("transitions", 0.0) + value("overlap", 0.0)
    metrics = {
        "score": reward / ADVERTISED,
        "score_reachable": reward / REACHABLE,
        "length_ratio": fmean(pair.length for pair in pairs),
        "vocabulary_ratio": fmean(pair.vocabulary for pair in pairs),
        "jaccard": fmean(pair.jaccard for pair in pairs),
        "transition_kinds": fmean(pair.transitions for pair in pairs),
        **_faithfulness(source, paragraphs),
    }
    for k, paragraph in enumerate(paragraphs, start=1):
        metrics[f"tokens_{k}"] = float(paragraph.tokens)
        metrics[f"chars_{k}"] = float(len(paragraph.text))
        metrics[f"words_{k}"] = float(len(paragraph.vocabulary))
    accepted: dict[str, list[str]] = {agent: [] for agent in owners}
    rejected: dict[str, list[Rejected]] = {agent: [] for agent in owners}
    for k, (text, agent) in enumerate(zip(texts, owners, strict=True)):
        if k in wrong:
            rejected[agent].append(Rejected(text[:SHOWN_CHARS], wrong[k]))
        else:
            accepted[agent].append(text)
    return Score(reward, parts, metrics, accepted, rejected)


def _faithfulness(source: str, paragraphs: Sequence[Paragraph]) -> dict[str, float]:
    content, source_runs = _source(source)
    used = frozenset().union(*(p.content for p in paragraphs))
    written = set().union(*(runs(p.words, COPY_RUN) for p in paragraphs))
    return {"source_covered": share(used, content), "source_copied": share(source_runs, written)}


@lru_cache(maxsize=512)
def _source(text: str) -> tuple[frozenset[str], frozenset[tuple[str, ...]]]:
    tokens = words(text)
    return frozenset(tokens) - STOPWORDS, frozenset(runs(tokens, COPY_RUN))
