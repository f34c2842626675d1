"""The built-in posts and abstracts: how many, how long, how laid out, how different."""

import itertools

import pytest

import collm_envs
from collm_envs.writing.lexicon import STOPWORDS
from collm_envs.writing.text import jaccard, words

TASKS = {"TLDR-v0": "prompt", "ArXiv-v0": "abstract_text"}
ROWS = {
    id: [(split, item) for split in ("train", "eval") for item in collm_envs.make_task(id).items(split)]
    for id in TASKS
}


@pytest.mark.parametrize("id", TASKS)
def test_there_are_at_least_96_to_train_on_and_32_to_evaluate_on(id):
    splits = [split for split, _ in ROWS[id]]
    assert splits.count("train") >= 96
    assert splits.count("eval") >= 32


@pytest.mark.parametrize("id", TASKS)
def test_no_two_built_in_texts_are_alike(id):
    sets = [frozenset(words(item.data[TASKS[id]])) - STOPWORDS for _, item in ROWS[id]]
    assert max(jaccard(a, b) for a, b in itertools.combinations(sets, 2)) < 0.25


def test_posts_have_the_published_layout_and_many_lengths():
    lengths = []
    for _, item in ROWS["TLDR-v0"]:
        sub, title, *body, cue = item.data["prompt"].split("\n\n")
        assert sub.startswith("SUBREDDIT: r/")
        assert title.startswith("TITLE: ")
        assert body[0].startswith("POST: ")
        assert cue == "TL;DR:"
        assert item.data["completion"].startswith(" ")
        assert 8 <= len(item.data["completion"].split()) <= 40
        lengths.append(len("\n\n".join(body).split()) - 1)
    assert 60 <= min(lengths) <= 80
    assert 300 <= max(lengths) <= 350
    assert len({item.data["prompt"].split("\n\n")[0] for _, item in ROWS["TLDR-v0"]}) > 60


def test_abstracts_are_one_line_of_100_to_300_tokens():
    ids = set()
    for _, item in ROWS["ArXiv-v0"]:
        text = item.data["abstract_text"]
        assert 100 <= len(text.split()) <= 300
        assert item.data["token_count"] == len(text.split())
        assert text == " ".join(text.split())
        assert text.endswith((".", "?"))
        ids.add(item.data["article_id"])
    assert len(ids) == len(ROWS["ArXiv-v0"])
