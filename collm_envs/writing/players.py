"""Scripted players of the writing tasks: `random`, `expert` (the largest reward on any source), `noisy`.

All three use the reward's rules, which prompts do not state: baselines and warm starts, not agents.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, chain, cycle, islice
from random import Random
from typing import Any

from collm_envs.task import Player
from collm_envs.writing.score import DELIMITER, REACHABLE, Rules, score
from collm_envs.writing.state import State

_PLAIN = """
friend work home money phone week story plan school car mother brother house night job dog letter room
family question boss year problem answer street doctor teacher garden kitchen party train winter
"""
PLAIN = tuple(_PLAIN.split())
"""words of `random` and `noisy`; none contains a transition"""
LINKS = ("also", "overall", "clearly", "however", "then", "likewise", "if", "when", "namely")
"""nine words that contain all 12 kinds of transition"""
FILLER = (
    "This text tells one clear story in plain words and gives its reader enough detail to follow every "
    "point from beginning to close. It names who took part, where things happened, which choices were "
    "open, how each choice turned out, and why that outcome matters to people beyond those directly "
    "involved. It weighs costs against benefits, separates known facts from guesses, admits gaps, and "
    "points toward questions which remain open for anyone willing to look further. Small details carry "
    "weight here: dates, places, numbers, names, habits, doubts, hopes, and mistakes all add colour. "
    "Nothing important hides behind vague language; claims come with reasons, and reasons come with "
    "evidence that others could check. Readers may disagree about what should happen next, yet they share "
    "enough common ground to talk about it calmly."
)
"""extra words for sources too short to fill a paragraph"""
FIRST = "In plain words, the text opens like this: {}"
LATER = (
    "Overall, the text clearly opens like this: {}. It also goes on, for example, like this: {}. However, "
    "if it is read when there is time, it then likewise says: {}."
)
"""contains all 12 kinds of transition"""
FEWEST_QUOTED = 8
"""words of the source in the expert's first paragraph; later ones quote no fewer"""
MAX_WORD_CHARS = 24
"""longer words of the source (links, scripts without blanks) are skipped: they would upset the lengths"""


def random(task: Any, state: State, agent: str, rng: Random) -> str:
    """Random plain words and links, of a random length up to 1.25 times the token limit."""
    longest = task.rules.tokens[1] * 5 // 4

    def paragraph(k: int) -> str:
        return " ".join(rng.choices(PLAIN + LINKS, k=rng.randint(1, longest)))

    return _speak(task, agent, paragraph)


def noisy(task: Any, state: State, agent: str, rng: Random) -> str:
    """Short paragraphs from few words: often near the gates, seldom past all of them."""

    def paragraph(k: int) -> str:
        tokens = rng.randint(*task.practice_tokens[min(k, 1)])
        links = rng.sample(LINKS, rng.randint(0, len(LINKS))) if k else []
        plain = islice(chain.from_iterable(_shuffled(rng)), max(0, tokens - len(links)))
        chosen = [*plain, *links]
        rng.shuffle(chosen)
        return " ".join(chosen)

    return _speak(task, agent, paragraph)


def expert(task: Any, state: State, agent: str, rng: Random) -> str:
    """Quotes of the source in frames that hold all kinds of transition, cut to the lengths wanted."""
    texts = _best(state.source, task.rules)
    return _speak(task, agent, lambda k: texts[min(k, 1)])


PLAYERS: dict[str, Player] = {"random": random, "expert": expert, "noisy": noisy}


def _speak(task: Any, agent: str, paragraph: Callable[[int], str]) -> str:
    """The text of `agent` made of `paragraph(k)`, its k-th paragraph; a single agent writes both."""
    if len(task.agents) == 1:
        return f"{paragraph(0)}\n{DELIMITER}\n{paragraph(1)}"
    return paragraph(task.agents.index(agent))


def _shuffled(rng: Random) -> Iterator[list[str]]:
    """PLAIN in random order, again and again, so that a short text repeats no word."""
    while True:
        yield rng.sample(PLAIN, len(PLAIN))


@lru_cache(maxsize=512)
def _best(source: str, rules: Rules) -> tuple[str, str]:
    """The shortest pair of paragraphs with the largest reward that any text can earn."""
    # labels such as POST: are not prose, and a delimiter would split a single agent's text
    own = [w for w in source.split() if len(w) <= MAX_WORD_CHARS and w[-1] != ":" and DELIMITER not in w]
    spare = FILLER.split()
    for supply in ([*own, *spare], spare):  # the second serves a source like "the the the"
        for pair in _pairs(supply, rules):
            if score(source, pair, ("first", "later"), rules).reward > REACHABLE - 1e-9:
                return pair
    raise AssertionError(f"no filler reaches {REACHABLE} under {rules}")


def _pairs(supply: Sequence[str], rules: Rules) -> Iterator[tuple[str, str]]:
    """Pairs of a growing number of words of `supply`, the later one of several lengths in the length band."""
    words = list(islice(cycle(supply), rules.tokens[1]))
    ends = list(accumulate(len(word) + 1 for word in words))
    full, till = rules.length.full, rules.length.till
    opening = LATER if rules.transitions_in == "both" else FIRST
    for n in range(max(FEWEST_QUOTED, rules.tokens[0] - len(opening.split())), rules.tokens[1]):
        first = _quote(opening, words[:n])
        for ratio in (0.5 * full + 0.5 * till, 0.9 * full + 0.1 * till, 0.1 * full + 0.9 * till):
            m = bisect_left(ends, ratio * len(first) - len(LATER))
            if m >= n:
                yield first, _quote(LATER, words[:m])


def _quote(frame: str, words: Sequence[str]) -> str:
    """The frame with the words split evenly over its gaps."""
    gaps = frame.count("{}")
    ends = [len(words) * k // gaps for k in range(gaps + 1)]
    return frame.format(*(" ".join(words[ends[k] : ends[k + 1]]) for k in range(gaps)))
