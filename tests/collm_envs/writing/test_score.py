"""The shared reward of the writing tasks: word lists, measures, gates and ramps."""

import json
import re
from math import inf

import pytest
from folders import GOLDEN
from hypothesis import given, settings
from hypothesis import strategies as st

from collm_envs.writing.lexicon import STOPWORDS, TRANSITIONS
from collm_envs.writing.score import (
    REACHABLE,
    Band,
    Comparison,
    Rules,
    levels,
    measure,
    score,
    split_paragraphs,
    transition_worth,
    transitions,
)
from collm_envs.writing.text import jaccard, runs, share, words

LISTS = json.loads((GOLDEN / "writing_wordlists.json").read_text())
SPLITS = json.loads((GOLDEN / "writing_single_agent_split.json").read_text())
PHRASES = [phrase for some in TRANSITIONS.values() for phrase in some]
TLDR = Rules((8, 256), Band(1.1, 1.6, 3.2, 5.0), Band(1.3, 2.0, inf, inf), 0.03, "later")


def total(pair, rules=TLDR, tokens=(20, 40)):
    parts, _ = levels([measure("w " * n) for n in tokens], [pair], rules)
    return sum(parts.values())


def test_word_lists_are_the_published_ones():
    assert sorted(LISTS["stopwords"]) == sorted(STOPWORDS)
    assert {kind: list(some) for kind, some in TRANSITIONS.items()} == LISTS["transition_words"]
    assert len(PHRASES) == 279
    assert len(set(PHRASES)) == 230


def test_every_phrase_is_found_in_any_case_and_inside_words():
    for phrase in set(PHRASES):
        kinds = {kind for kind, some in TRANSITIONS.items() if phrase in some}
        assert kinds <= set(transitions(f"xx{phrase.upper()}xx")), phrase


@given(
    st.lists(st.one_of(st.sampled_from(PHRASES), st.text(max_size=4)), max_size=12),
    st.sampled_from(["", " "]),
)
@settings(max_examples=300, deadline=None)
def test_kinds_found_are_those_of_a_plain_search_for_all_phrases(pieces, glue):
    text = glue.join(pieces)
    plain = [kind for kind, some in TRANSITIONS.items() if any(phrase in text.lower() for phrase in some)]
    assert list(transitions(text)) == plain


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_words_are_those_of_the_published_pattern(text):
    assert words(text) == re.findall(r"\b\w+\b", text.lower())


def test_hidden_letters_count_and_neighbouring_ones_do_not():
    assert transitions("") == ()
    assert "condition" in transitions("a different thing")  # "if"
    assert "condition" in transitions("in the shade")  # "had"
    assert transitions("AS IN A BASEMENT") == ("time",)
    assert transitions("even  so") == ("cause_effect",)  # "so", not "even so"


@pytest.mark.parametrize(
    ("kinds", "worth"), [(0, 0.0), (1, 0.4), (2, 0.45), (11, 0.9), (12, 0.95)], ids=lambda x: str(x)
)
def test_transitions_are_worth(kinds, worth):
    assert transition_worth(kinds) == pytest.approx(worth, abs=1e-12)


def test_jaccard_of_nothing_and_nothing_is_one():
    assert jaccard(set(), set()) == 1.0
    assert jaccard({1}, set()) == 0.0
    assert jaccard({1, 2}, {2, 3}) == pytest.approx(1 / 3)


def test_share_and_runs_by_hand():
    assert share({1, 2, 9}, {1, 2, 3, 4}) == 0.5
    assert share({1}, set()) == 0.0
    assert runs(list("abcde"), 4) == {tuple("abcd"), tuple("bcde")}
    assert runs(["a"], 4) == set()


@pytest.mark.parametrize(
    ("tokens", "pair", "reward"),
    [
        ((7, 40), Comparison(2, 2, 1, 12), 0.0),
        ((8, 256), Comparison(2, 2, 1, 12), 2.98),
        ((8, 257), Comparison(2, 2, 1, 12), 0.0),
        ((20, 40), Comparison(1.09, 2, 1, 12), 0.5),
        ((20, 40), Comparison(1.1, 2, 1, 12), 0.5 + 0.0 + 0.5 + 0.98),
        ((20, 40), Comparison(1.35, 2, 1, 12), 0.5 + 0.5 + 0.5 + 0.98),
        ((20, 40), Comparison(1.6, 2, 1, 12), 2.98),
        ((20, 40), Comparison(3.2, 2, 1, 12), 2.98),
        ((20, 40), Comparison(4.1, 2, 1, 12), 0.5 + 0.5 + 0.5 + 0.98),
        ((20, 40), Comparison(5.0, 2, 1, 12), 0.5 + 0.0 + 0.5 + 0.98),
        ((20, 40), Comparison(5.01, 2, 1, 12), 0.5),
        ((20, 40), Comparison(2, 1.29, 1, 12), 1.5),
        ((20, 40), Comparison(2, 1.3, 1, 12), 1.5 + 0.98),
        ((20, 40), Comparison(2, 1.65, 1, 12), 1.5 + 0.25 + 0.98),
        ((20, 40), Comparison(2, 1e9, 1, 12), 2.98),
        ((20, 40), Comparison(2, 2, 0, 0), 2.0),
        ((20, 40), Comparison(2, 2, 0.015, 0), 2.3),
        ((12, 40), Comparison(3, 1.65, 0.015, 5), 2.29),  # the worked example of the docstring
    ],
    ids=str,
)
def test_tldr_levels_by_hand(tokens, pair, reward):
    assert total(pair, tokens=tokens) == pytest.approx(reward, abs=1e-12)


def test_a_first_text_without_words_closes_the_gate_of_the_vocabulary():
    earned = score("post", ["! " * 8, "one two three four five six seven eight nine"], ["a", "b"], TLDR)
    assert earned.metrics["vocabulary_ratio"] == 0.0
    assert set(earned.parts) == {"tokens", "length"}


def test_empty_texts_earn_nothing_and_measure_zero():
    earned = score("post", ["", ""], ["a", "b"], TLDR)
    assert earned.reward == 0.0
    assert earned.parts == {}
    assert earned.metrics["length_ratio"] == 0.0
    assert [line.why for line in earned.rejected["a"]] == ["0 tokens; need 8 to 256"]


def test_three_texts_earn_the_mean_of_their_pairs_and_share_every_gate():
    a, b, c = Comparison(2, 2, 1, 12), Comparison(4.1, 1.65, 0.015, 5), Comparison(1.0, 2, 1, 12)
    texts = [measure("w " * 20)] * 3
    parts, wrong = levels(texts, [a, b], TLDR)
    assert wrong == {}
    assert parts["length"] == pytest.approx((1 + 0.5) / 2)
    assert parts["vocabulary"] == pytest.approx((0.5 + 0.25) / 2)
    assert parts["transitions"] == pytest.approx(0.4 * (0.95 + 0.6) / 2)
    assert parts["overlap"] == pytest.approx(0.6 * (1 + 0.5) / 2)
    parts, wrong = levels(texts, [a, c], TLDR)
    assert parts == {"tokens": 0.5}
    assert wrong == {2: "1 times as many characters as the first paragraph; need 1.1 to 5"}


def test_no_number_of_agents_earns_more_than_the_reachable_maximum():
    for n in range(2, 40):
        parts, _ = levels([measure("w " * 20)] * n, [Comparison(2, 2, 1, 12)] * (n - 1), TLDR)
        assert sum(parts.values()) <= REACHABLE
    assert pytest.approx(2.98, abs=1e-12) == REACHABLE


def test_coverage_and_copying_by_hand():
    source = "The red fox jumps over the lazy dog."  # content: red fox jumps over lazy dog
    texts = ["a red fox jumps over the lazy cat", "one two three four five six"]
    got = score(source, texts, ["a", "b"], TLDR).metrics
    assert got["source_covered"] == pytest.approx(5 / 6)
    assert got["source_copied"] == pytest.approx(3 / 8)  # of 5 + 3 runs: red fox jumps over, ... the lazy


@pytest.mark.parametrize("case", SPLITS, ids=lambda case: case["input"]["response"][:20] or "empty")
def test_golden_split_of_a_lone_text(case):
    assert list(split_paragraphs(case["input"]["response"])) == list(case["output"].values())


def test_a_label_is_taken_off_its_own_paragraph_only():
    assert split_paragraphs("Paragraph 2: a [PARAGRAPH_SPLIT] Paragraph 1: b") == (
        "Paragraph 2: a",
        "Paragraph 1: b",
    )
    assert split_paragraphs("[paragraph_split] xx") == ("[parag", "raph_split] xx")  # the case counts
