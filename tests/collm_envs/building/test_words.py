"""Words: the font, the published words, words of our own."""

import pytest

import collm_envs
from collm_envs.building.strbuild.words import FONT, lay_out


def test_every_letter_is_five_by_five_and_no_two_are_alike():
    assert len(FONT) == 26
    assert len(set(FONT.values())) == 26
    assert all(len(rows) == 5 and all(len(row) == 5 for row in rows) for rows in FONT.values())


def test_published_words_have_the_published_numbers_of_cells():
    task = collm_envs.make_task("StrBuild-v0")
    words = [item.data["string"] for split in ("train", "eval") for item in task.items(split)]
    assert words == ["I", "C", "M", "L", "MC", "CM", "LI", "LLM", "ICML", "CLIM"]
    cells = [len(lay_out(word, 2, 0).cells) for word in words]
    assert cells == [13, 11, 13, 9, 24, 24, 22, 31, 46, 46]
    assert [item.id for item in task.items("eval")] == ["str_build_0009", "str_build_0010"]


@pytest.mark.parametrize("length", [(1, 1), (1, 2), (2, 3), (4, 4)])
def test_generated_words_are_distinct_disjoint_and_of_the_asked_length(length):
    kwargs = {"words": "generated", "length": length, "n": 20, "n_eval": 6}
    task = collm_envs.make_task("StrBuild-v0", **kwargs)
    words = {split: [item.data["string"] for item in task.items(split)] for split in ("train", "eval")}
    assert [len(words["train"]), len(words["eval"])] == [20, 6]
    assert len({*words["train"], *words["eval"]}) == 26
    assert all(length[0] <= len(word) <= length[1] for some in words.values() for word in some)
    again = collm_envs.make_task("StrBuild-v0", **kwargs)
    assert task.items("train") == again.items("train")
    more = collm_envs.make_task("StrBuild-v0", **{**kwargs, "n": 12, "n_eval": 6})
    assert more.items("eval") == task.items("eval")
    other = collm_envs.make_task("StrBuild-v0", **kwargs, words_seed=1)
    assert other.items("eval") != task.items("eval")


def test_generated_words_use_only_the_given_letters_and_all_of_them():
    task = collm_envs.make_task(
        "StrBuild-v0", words="generated", letters="ABC", length=(1, 2), n=10, n_eval=2
    )
    words = [item.data["string"] for split in ("train", "eval") for item in task.items(split)]
    assert len(set(words)) == 12
    assert set("".join(words)) == set("ABC")
