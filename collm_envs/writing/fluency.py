"""Whether a text reads like English: shares of words, repetition, and a small model of word classes.

A class is a function word itself, or the ending of any other word.  The class model is an interpolated
trigram model with counts from the built-in posts; what counts is how many bits a word it saves against the
classes' own frequencies: text in its order saves some, shuffled text and key words with odd function words
between them cost.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain, pairwise
from math import log2

from collm_envs.datasets import BUILTIN

_FUNCTION = """
a an the and or but if so as of to in on at by for from with without about into onto over under after before
between through during against than then that this these those there here he she it they we you i me him her
us them my your his its our their mine yours who whom whose which what when where why how all any both each
few more most other some such no nor not only own same too very can could will would shall should may might
must do does did done doing have has had having am is are was were be been being s t d ll ve re m don won
isn aren wasn weren didn doesn hadn hasn haven couldn wouldn shouldn just also still even yet up out off
down again ever never now
"""
FUNCTION_WORDS = frozenset(_FUNCTION.split())
ENDINGS = ("ing", "ed", "ly", "tion", "ment", "ness", "s", "er", "y")
DISCOUNT = 5.0
"""how much a longer context has to be met before it is trusted"""
FEWEST_WORDS = 6
"""of a text that can be judged at all"""
_WORD = re.compile(r"[^\W\d_]+|\d[\d,.]*\d|\d")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_CUE = re.compile(r"\s*TL;DR:\s*\Z")
Classes = tuple[str, ...]
Words = tuple[str, ...]
"""of a sentence, lower-case"""


def words_and_numbers(text: str) -> list[str]:
    """Lower-case words and numbers, in order; an apostrophe parts a word in two."""
    return [word.lower() for word in _WORD.findall(text)]


def sentences(text: str) -> list[str]:
    """The parts between full stops, question marks, exclamation marks and line breaks that hold a word."""
    return [part for part in _SENTENCE_END.split(text.strip()) if _WORD.search(part)]


def body(prompt: str) -> str:
    """A post without the cue at its end."""
    return _CUE.sub("", prompt)


def ramp(x: float, zero: float, full: float) -> float:
    """0 up to `zero`, 1 from `one`, a straight line between; either may be the larger."""
    return max(0.0, min(1.0, (x - zero) / (full - zero)))


@lru_cache(maxsize=1 << 16)
def word_class(word: str) -> str:
    """A function word itself, `#` for a number, `-ing` and the like for an ending, else `C`."""
    if word in FUNCTION_WORDS:
        return word
    if word[0].isdigit():
        return "#"
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return "-" + ending
    return "C"


def classes(sentence: Sequence[str]) -> Classes:
    """The classes of a sentence's words between two starts and an end."""
    return ("^", "^", *map(word_class, sentence), "$")


@cache
def posts() -> tuple[str, ...]:
    """The built-in posts, without their cue."""
    names = ("tldr_train.jsonl", "tldr_eval.jsonl")
    lines = (line for name in names for line in (BUILTIN / name).read_text(encoding="utf-8").splitlines())
    return tuple(body(json.loads(line)["prompt"]) for line in lines)


@cache
def counts() -> tuple[tuple[Counter[Classes], Counter[Classes]], ...]:
    """For one, two and three classes in a row: how often they occur, and how often their context does."""
    table: tuple[tuple[Counter[Classes], Counter[Classes]], ...] = tuple(
        (Counter(), Counter()) for _ in range(3)
    )
    for post in posts():
        for sentence in sentences(post):
            row = classes(words_and_numbers(sentence))
            for k in range(2, len(row)):
                for n, (runs, contexts) in enumerate(table):
                    run = row[k - n : k + 1]
                    runs[run] += 1
                    contexts[run[:-1]] += 1
    return table


@lru_cache(maxsize=1 << 18)
def bits(run: Classes) -> float:
    """-log2 of the probability of the last of three classes after the two before it."""
    table = counts()
    p = 1 / len(table[0][0])
    for n, (runs, contexts) in enumerate(table):
        tail = run[2 - n :]
        p = (runs[tail] + DISCOUNT * p) / (contexts[tail[:-1]] + DISCOUNT)
    return -log2(p)


@lru_cache(maxsize=1 << 12)
def plain_bits(name: str) -> float:
    """-log2 of the frequency of a class."""
    runs, contexts = counts()[0]
    return -log2((runs[name,] + 1) / (contexts[()] + len(runs)))


@lru_cache(maxsize=1 << 12)
def saved(sentence: Words) -> float:
    """Bits a word that the order of the classes saves; the end of a sentence counts as a word."""
    row = classes(sentence)
    ordered = sum(bits(row[k - 2 : k + 1]) for k in range(2, len(row))) / (len(row) - 2)
    return sum(plain_bits(name) for name in row[2:-1]) / len(sentence) - ordered


def fluency(worded: Sequence[Words]) -> float:
    """0 to 1 for the words of sentences, the product of what each of these allows:

    share of function words     0 at .22, 1 from .34 to .74, 0 at .82
    share of the commonest word 1 up to .14, 0 from .2 (of texts of at least 20 words)
    different pairs of words    0 at .6 of all pairs, 1 from .8
    bits a word saved           0 at -.5, 1 from 0 (see `saved`; the mean over sentences, by words)
    """
    tokens = list(chain.from_iterable(worded))
    n = len(tokens)
    if n < FEWEST_WORDS:
        return 0.0
    plain = [word in FUNCTION_WORDS for word in tokens]
    share = sum(plain) / n
    turns = sum(first != other for first, other in pairwise(plain)) / (n - 1)
    commonest = max(Counter(tokens).values()) / n if n >= 20 else 0.0
    pairs = len(set(pairwise(tokens))) / (n - 1)
    gate = ramp(share, 0.22, 0.34) * ramp(share, 0.82, 0.74) * ramp(turns, 0.95, 0.8)
    gate *= ramp(commonest, 0.2, 0.14) * ramp(pairs, 0.6, 0.8)
    if not gate:
        return 0.0
    return gate * ramp(sum(saved(sentence) * len(sentence) for sentence in worded) / n, -0.5, 0.0)


def worded_sentences(text: str) -> list[Words]:
    """The words of each sentence."""
    return [tuple(words_and_numbers(sentence)) for sentence in sentences(text)]
