"""What a summary holds of a post: facts by their words, and gates against texts that are no summary.

The facts of a post are written down once, in order of weight (the pyramid method, Nenkova and Passonneau
2004).  A fact is a list of groups of words: one word of each group must stand in one sentence.  A word with
`!` before it must not stand there.  Words are compared by their stems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain, groupby, pairwise

from collm_envs.writing.fluency import (
    FEWEST_WORDS,
    FUNCTION_WORDS,
    Words,
    body,
    fluency,
    posts,
    ramp,
    saved,
    worded_sentences,
    words_and_numbers,
)

CORE = 3
"""facts that a brief text needs"""
COPY_RUN = 9
"""words in a row of the post that make a sentence a copy"""
LONGEST_SENTENCE = 45
"""words; a longer one holds no fact"""
FUNCTION_SHARE = 0.3
"""of function words, which a sentence needs to hold a fact"""
LONGEST_LIST = 5
"""other words in a row that a sentence may have and still hold a fact"""
MOST_TURNS = 0.86
"""of the neighbours in a sentence of at least 12 words that may be a function word and another word"""
LEAST_SAVED = -0.9
"""bits a word, as `fluency.saved`, which a sentence of at least 6 words needs to hold a fact"""
COMMON_POSTS = 4
"""built-in posts that must have a word for it to be common"""
SUFFIXES = ("ingly", "edly", "ing", "ied", "ies", "ed", "es", "ly", "s", "er")
Fact = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Post:
    """What the reward needs to know of a post."""

    length: int
    """words"""
    stems: frozenset[str]
    pairs: frozenset[tuple[str, ...]]
    """words that follow each other, at most one word between them"""
    threes: frozenset[tuple[str, ...]]
    """runs of three words"""
    nines: frozenset[tuple[str, ...]]
    """runs of `COPY_RUN` words"""


@dataclass(frozen=True)
class TextReading:
    """What a text holds of a post, and what its gates say."""

    length: int
    """words"""
    hit: tuple[bool, ...]
    """by fact"""
    wrong: int
    """facts that a sentence names with a word that must not stand there, and no other sentence gets right"""
    gates: dict[str, float]
    """grounded, own_words, fluent; each 0 to 1, the lower of those of the text and of its sentences that hold
    facts: what stands between them excuses no list of key words, and no copy"""

    @property
    def gate(self) -> float:
        """The product of the gates."""
        return self.gates["grounded"] * self.gates["own_words"] * self.gates["fluent"]


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """A word without its ending: cheap, and the same for both sides of every comparison."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3 and word[-2:] != "ss":
            word = word[: -len(suffix)]
            break
    if len(word) > 4 and word[-1] == word[-2]:
        return word[:-1]
    return word.rstrip("e") if len(word) > 3 else word


@cache
def common_stems() -> frozenset[str]:
    """Stems of words that stand in several of the built-in posts: words that need no source."""
    seen = Counter(token for post in posts() for token in {stem(word) for word in words_and_numbers(post)})
    return frozenset(token for token, many in seen.items() if many >= COMMON_POSTS)


@lru_cache(maxsize=512)
def read_post(prompt: str) -> Post:
    """The post behind a prompt."""
    tokens = words_and_numbers(body(prompt))
    stems = frozenset(stem(word) for word in tokens)
    pairs = frozenset(_runs(tokens, 2)) | frozenset(zip(tokens, tokens[2:], strict=False))
    return Post(len(tokens), stems, pairs, frozenset(_runs(tokens, 3)), frozenset(_runs(tokens, COPY_RUN)))


@lru_cache(maxsize=2048)
def stemmed(facts: tuple[Fact, ...]) -> tuple[tuple[tuple[frozenset[str], ...], frozenset[str]], ...]:
    """(groups of stems that must occur, stems that must not) of each fact."""
    out = []
    for fact in facts:
        groups = [frozenset(stem(w) for w in group if not w.startswith("!")) for group in fact]
        barred = frozenset(stem(w[1:]) for group in fact for w in group if w.startswith("!"))
        out.append((tuple(group for group in groups if group), barred))
    return tuple(out)


def read_text(text: str, post: Post, facts: tuple[Fact, ...]) -> TextReading:
    """What a text holds of a post."""
    worded = worded_sentences(text)
    usable = {k: sentence for k, sentence in enumerate(worded) if _is_usable(sentence, post)}
    stems = {k: {stem(word) for word in sentence} for k, sentence in usable.items()}
    hit, wrong, holding = [], 0, set[int]()
    for groups, barred in stemmed(facts):
        naming = [k for k in stems if all(not group.isdisjoint(stems[k]) for group in groups)]
        right = [k for k in naming if barred.isdisjoint(stems[k])]
        hit.append(bool(right))
        wrong += bool(naming) and not right
        holding.update(right)
    gates = _gates(worded, post)
    if 0 < len(holding) < len(worded):
        own = _gates([worded[k] for k in sorted(holding)], post)
        gates = {name: min(gate, own[name]) for name, gate in gates.items()}
    return TextReading(sum(map(len, worded)), tuple(hit), wrong, gates)


def _gates(worded: Sequence[Words], post: Post) -> dict[str, float]:
    """The gates of these sentences."""
    tokens = list(chain.from_iterable(worded))
    return {
        "grounded": _grounded(tokens, post),
        "own_words": _own_words(tokens, post),
        "fluent": fluency(worded),
    }


def _is_usable(sentence: Words, post: Post) -> bool:
    """Whether a sentence may hit facts: not too long, no copy, no list of key words."""
    n, plain = len(sentence), [word in FUNCTION_WORDS for word in sentence]
    longest = max((sum(1 for _ in run) for is_plain, run in groupby(plain) if not is_plain), default=0)
    turns = sum(first != other for first, other in pairwise(plain))
    return (
        n <= LONGEST_SENTENCE
        and sum(plain) >= FUNCTION_SHARE * n
        and longest <= LONGEST_LIST
        and (n < 12 or turns <= MOST_TURNS * (n - 1))
        and post.nines.isdisjoint(_runs(sentence, COPY_RUN))
        and (n < FEWEST_WORDS or saved(sentence) >= LEAST_SAVED)
    )


def _grounded(tokens: Sequence[str], post: Post) -> float:
    """Share of content words that the post or common speech has: 0 at .5, 1 from .85."""
    content = [stem(word) for word in tokens if word not in FUNCTION_WORDS]
    if not content:
        return 0.0
    grounded = sum(token in post.stems or token in common_stems() for token in content)
    return ramp(grounded / len(content), 0.5, 0.85)


def _own_words(tokens: Sequence[str], post: Post) -> float:
    """How little is copied.  Share of runs of three words that stand in the post: 1 up to .35, 0 from .6;
    times the share of neighbours that follow each other there, with at most one word between: 1 up to .65, 0
    from .85 (copies with words left out have .9 and more, references .11 to .64).
    """
    threes, pairs = _runs(tokens, 3), _runs(tokens, 2)
    copied = sum(run in post.threes for run in threes) / max(1, len(threes))
    near = sum(pair in post.pairs for pair in pairs) / max(1, len(pairs))
    return ramp(copied, 0.6, 0.35) * ramp(near, 0.85, 0.65)


def _runs(tokens: Sequence[str], length: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[k:] for k in range(length)), strict=False))
