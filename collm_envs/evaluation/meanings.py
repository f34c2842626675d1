"""What the numbers on episode pages and on the board are: a definition and a range for each, by name.

A number of somebody else's task that is not here is shown without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import NamedTuple


class Meaning(NamedTuple):
    """A measure in words."""

    text: str
    low: float = 0.0
    high: float = inf


def _share(text: str) -> Meaning:
    return Meaning(text, 0.0, 1.0)


GENERAL = {
    "score": Meaning(
        "the headline: the task's own measure where it has one, else the last turn's reward", -inf
    ),
    "return": Meaning("sum of the rewards of all turns", -inf),
    "reward": Meaning("what the turn earned, for every agent the same", -inf),
    "raw_reward": Meaning("the reward before it is scaled and shifted", -inf),
    "tokens_read": Meaning("tokens of all prompts of the episode"),
    "tokens_written": Meaning("tokens of all texts of the episode"),
    "seconds_sequential": Meaning("seconds of the policies, one agent after the other"),
    "seconds_parallel": Meaning("seconds of the policies, all agents at once"),
    "talk_chars": Meaning("characters said in message rounds so far"),
    "talk_empty": Meaning("message rounds in which somebody said nothing"),
    "talk_round": Meaning("number of the message round before this turn"),
    "talk_tokens": Meaning("tokens written in message rounds"),
    "influence": Meaning("change of the texts when messages are taken away"),
}
BUILDING = {
    "iou": _share("right cells over all cells that hold a block or should"),
    "iou_blind": _share("cells with any block where one should be, over all that hold one or should"),
    "adj": _share("share of neighbouring pairs of blocks that are of one texture; less is better"),
    "coverage": Meaning("share of the cells to fill that hold a block"),
    "extra": Meaning(
        "share of the other cells that hold a block; as a part of the reward, what that costs", -inf
    ),
    "adjacency": Meaning("what equal neighbours cost", -inf, 0.0),
    "palette": Meaning("what is lost for agents whose blocks are not all to be seen", -inf, 0.0),
    "match": Meaning("share of all cells, air included, that hold the right block"),
    "redundancy": Meaning("built cells outside the house over the cells of the house"),
    "threat": Meaning("what the spiders cost", -inf, 0.0),
    "missing_palettes": Meaning("agents whose blocks are not all to be seen"),
    "covered_blocks": Meaning("cells to fill that hold a block"),
    "extra_blocks": Meaning("blocks where nothing belongs"),
    "target_blocks": Meaning("cells to fill"),
    "same_pairs": Meaning("neighbouring pairs of blocks of one texture"),
    "pairs": Meaning("neighbouring pairs of blocks"),
    "correct_cells": Meaning("cells, air included, that hold the right block"),
    "cells": Meaning("cells of the box"),
    "right_blocks": Meaning("cells that hold the right texture"),
    "wrong_blocks": Meaning("all other blocks"),
    "hp": Meaning("health points left"),
    "hp_share": _share("health points left, of all"),
    "damage": Meaning("health points that the spiders took"),
    "worth": Meaning("worth of what stands", -inf),
    "change": Meaning("worth of what stands less that before the turn", -inf),
    "health": Meaning("what lost health points cost", -inf, 0.0),
    "death": Meaning("what the end of the health points costs", -inf, 0.0),
    "wasted": Meaning("lines of the turn that were refused or came to nothing"),
    "stock_left": Meaning("blocks that were not placed"),
    "spiders_met": Meaning("spiders that were driven away"),
    "guards_wasted": Meaning("guards of the turn where no spider left"),
    "survived": _share("whether the health points lasted"),
}
WRITING = {
    "score_reachable": _share("reward over the largest that can be reached"),
    "length_ratio": Meaning("characters of the later text over those of the first"),
    "vocabulary_ratio": Meaning("different words of the later text over those of the first"),
    "jaccard": _share("words that both texts have over words that either has, without stopwords"),
    "transition_kinds": Meaning("kinds of transition words, of 12"),
    "source_covered": _share("share of the source's words that the texts use; not part of the reward"),
    "source_copied": _share("share of runs of four words taken from the source; not part of the reward"),
    "tokens": Meaning("reward for the lengths in tokens"),
    "length": Meaning("reward for the ratio of the lengths"),
    "vocabulary": Meaning("reward for the ratio of the vocabularies"),
    "transitions": Meaning("reward for kinds of transition words"),
    "overlap": Meaning("reward for words that both texts have"),
    "brief": _share("what the brief text earns"),
    "detailed": _share("what the detailed texts earn"),
    "together": _share("what the texts earn for agreeing and adding to each other"),
    "contradicted": Meaning("facts named with a word that must not stand beside them"),
} | {
    f"{kind}_{name}": meaning
    for kind in ("brief", "detailed")
    for name, meaning in {
        "facts": Meaning("facts of the post that the text holds"),
        "words": Meaning("words of the text"),
        "grounded": _share("gate: content words that the post or common speech has"),
        "own_words": _share("gate: not copied from the post"),
        "fluent": _share("gate: reads like sentences"),
    }.items()
}
CODING = {
    "pass_rate": _share("share of the tests that pass"),
    "fully_passed": _share("whether all tests pass"),
    "call_rate": _share("whether main calls the helper"),
    "used_rate": _share("share of the helpers that a passed test depends on"),
    "timeouts": Meaning("tests that timed out"),
    "passed_tests": Meaning("tests that pass"),
    "total_tests": Meaning("tests"),
    "aux_defined": _share("whether a helper is defined"),
    "main_defined": _share("whether main is defined"),
    "thin_wrapper": _share("whether main only hands on what the helper returns"),
    "test_reward": _share("reward for tests"),
    "aux_usage_bonus": Meaning("reward for calling the helper"),
    "anti_wrapper_bonus": Meaning("reward for being no thin wrapper"),
    "called_wo_used_deduction": Meaning("what ignoring the helper's value costs"),
    "level_1": Meaning("reward for what is defined"),
    "level_2": Meaning("reward for a program that loads"),
    "level_3": Meaning("reward for tests, and in v0 for the use of the helper"),
    "cooperation": Meaning("reward for helpers that matter"),
}
MEANINGS: Mapping[str, Meaning] = {**GENERAL, **BUILDING, **WRITING, **CODING}
"""name of a metric, a reward's part or a measure -> what it is"""
_NUMBERED = {
    "tokens": Meaning("tokens of the text with this number, split at blanks"),
    "chars": Meaning("characters of the text with this number"),
    "words": Meaning("different words of the text with this number"),
}


def meaning(name: str) -> Meaning | None:
    """What the number of this name is; None if nobody has said it."""
    stem, _, last = name.rpartition("_")
    return _NUMBERED.get(stem) if last.isdigit() and stem in _NUMBERED else MEANINGS.get(name)


def defined(names: Iterable[str]) -> dict[str, str]:
    """{name: definition} of those of the names that have one, each once."""
    return {name: found.text for name in dict.fromkeys(names) if (found := meaning(name)) is not None}
