"""Where items come from: rows in memory, built-in files, JSONL files, the hub's layout; errors that help."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import collm_envs
from collm_envs.datasets import Slice, Source, load
from collm_envs.task import Item
from collm_envs.writing import arxiv, tldr

TEXTS = Source(
    task="Texts-v0",
    columns={"text": ("body",)},
    extra=("year",),
    hub=("team/texts", "old-team/texts"),
    slices={"train": Slice(("train", "test"), 2, 5), "eval": Slice(("train", "test"), 0, 2)},
)


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def texts_of(items):
    return [item.data["text"] for item in items]


def test_a_list_serves_both_splits_and_a_mapping_each_its_own():
    both = load(TEXTS, items=[{"text": "a", "year": 1999, "noise": [1]}, {"body": "b", "id": 7}])
    assert (
        both["train"]
        == both["eval"]
        == (Item("item/0", {"text": "a", "year": 1999}), Item("7", {"text": "b"}))
    )
    own = load(TEXTS, items={"train": [{"text": "a"}], "eval": [{"text": "b"}]})
    assert [own[split][0].id for split in ("train", "eval")] == ["train/0", "eval/0"]


def test_limit_keeps_the_first_items_of_each_split():
    rows = {"train": [{"text": t} for t in "abc"], "eval": [{"text": t} for t in "de"]}
    assert {split: texts_of(some) for split, some in load(TEXTS, items=rows, limit=2).items()} == {
        "train": ["a", "b"],
        "eval": ["d", "e"],
    }


def test_a_file_without_a_split_column_serves_both(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "a"}\n\n  \n{"text": "\xc3\xa9"}')
    loaded = load(TEXTS, data=str(path))
    assert texts_of(loaded["train"]) == texts_of(loaded["eval"]) == ["a", "\u00e9"]


def test_a_file_with_a_split_column_is_divided_by_it(tmp_path):
    rows = [{"text": "a", "split": "eval"}, {"text": "b", "split": "train"}, {"text": "c", "split": "train"}]
    loaded = load(TEXTS, data=write(tmp_path / "texts.jsonl", rows))
    assert texts_of(loaded["train"]) == ["b", "c"]
    assert texts_of(loaded["eval"]) == ["a"]


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ('{"text": "a"}\n{"text": ', r"texts\.jsonl, line 2: not a line of JSON"),
        ('{"text": "a"}\n\n{"texts": "b"}', r"line 3: missing column 'text'; it has \['texts'\]"),
        ('{"text": "a"}\n[1]', "line 2: need an object, got list"),
        ('{"text": null}', "line 1: column 'text' must hold str, got NoneType"),
        ('{"text": " \\n"}', "line 1: column 'text' must hold str, got a blank text"),
        ('{"text": "a", "year": {}}', "line 1: column 'year' must hold str or int or float, got dict"),
        ('{"text": "a", "id": 1.5}', "line 1: column 'id' must hold str or int, got float"),
        ('{"text": "a", "id": "k"}\n{"text": "b", "id": "k"}', "line 2: the id 'k' is that of .*line 1 too"),
        ('{"text": "a", "split": "test"}', "line 1: 'split' must be 'train' or 'eval', got 'test'"),
        ('{"text": "a", "split": "train"}\n{"text": "b"}', "line 2: 'split' must be"),
        ('{"text": "a", "split": "train"}', "no row with the split 'eval'"),
        ("\n\n", "no rows"),
        ("[" * 100_000, "line 1: not a line of JSON"),
        ("1" * 5000, "line 1: not a line of JSON"),
    ],
    ids=lambda text: text[:30],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, lines, error):
    path = tmp_path / "texts.jsonl"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(ValueError, match=error):
        load(TEXTS, data=str(path))


def test_a_file_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": "\xff"}\n')
    with pytest.raises(ValueError, match=r"texts\.jsonl, line 2: not a line of JSON"):
        load(TEXTS, data=str(path))


def test_a_file_that_is_not_there_is_an_error_that_names_the_choices(tmp_path):
    for name in ("bultin", str(tmp_path / "no.jsonl"), str(tmp_path)):
        with pytest.raises(FileNotFoundError, match=r"'builtin', 'hub', .* no file"):
            load(TEXTS, data=name)


def test_contradicting_arguments_are_refused():
    with pytest.raises(ValueError, match="items or data"):
        load(TEXTS, items=[{"text": "a"}], data="hub")
    with pytest.raises(ValueError, match="hub_revision needs data='hub'"):
        load(TEXTS, items=[{"text": "a"}], hub_revision="main")
    with pytest.raises(TypeError, match="data must be a str"):
        load(TEXTS, data=None)  # pyright: ignore[reportArgumentType]


def test_the_hub_layout_is_read_with_moved_splits_columns_and_slices(tmp_path):
    write(tmp_path / "new" / "test.jsonl", [{"body": t, "year": 2000} for t in "abcdefg"])
    source = replace(TEXTS, hub=(str(tmp_path / "gone"), str(tmp_path / "new")))
    loaded = load(source, data="hub")
    assert loaded["train"] == tuple(
        Item(f"train/{k}", {"text": t, "year": 2000}) for k, t in enumerate("cde")
    )
    assert texts_of(loaded["eval"]) == ["a", "b"]
    assert texts_of(load(TEXTS, data=f"hub:{tmp_path / 'new'}", limit=1)["eval"]) == ["a"]


def test_a_hub_data_set_of_another_shape_is_named(tmp_path):
    write(tmp_path / "a" / "validation.jsonl", [{"text": "a"}])
    with pytest.raises(ValueError, match=r"needs a split 'train' or 'test', has \['validation'\]"):
        load(TEXTS, data=f"hub:{tmp_path / 'a'}")
    write(tmp_path / "b" / "train.jsonl", [{"text": "a"}, {"text": "b"}])
    with pytest.raises(ValueError, match="need more than 2 rows, got 2"):
        load(TEXTS, data=f"hub:{tmp_path / 'b'}")
    write(tmp_path / "c" / "train.jsonl", [{"summary": t} for t in "abc"])
    with pytest.raises(ValueError, match=r"train, row 2: missing column 'text'; it has \['summary'\]"):
        load(TEXTS, data=f"hub:{tmp_path / 'c'}")


def test_a_hub_that_is_not_there_says_what_to_do():
    with pytest.raises(ConnectionError) as caught:
        load(TEXTS, data="hub", hub_revision="abc123")
    said = str(caught.value)
    for part in (
        "Texts-v0",
        "'team/texts' or 'old-team/texts'",
        "'abc123'",
        "hf download",
        "builtin",
        ".jsonl",
    ):
        assert part in said


def test_a_missing_datasets_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'collm\[hub\]'"):
        load(TEXTS, data="hub")


def test_importing_the_environments_does_not_import_datasets():
    code = "import sys, collm_envs; collm_envs.make('TLDR-v0'); sys.exit('datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_published_slices_of_the_writing_tasks():
    assert tldr.SOURCE.hub == ("trl-lib/tldr",)
    assert tldr.SOURCE.slices == {"train": (("train",), 0, 1100), "eval": (("test",), 0, 1100)}
    assert arxiv.SOURCE.hub == ("OpenMLRL/arXiv_abstract",)
    assert arxiv.SOURCE.slices == {"train": (("train",), 0, 1100), "eval": (("val", "validation"), 0, 1100)}
    for source in (tldr.SOURCE, arxiv.SOURCE):
        assert len(source.revision) == 40  # a commit, not a branch


def test_the_writing_tasks_read_the_published_layouts_through_make(tmp_path):
    for split, size in (("train", 1102), ("validation", 1), ("test", 3)):
        rows = [{"prompt": f"{split} {k}", "completion": " short"} for k in range(size)]
        write(tmp_path / "tldr" / f"{split}.jsonl", rows)
    env = collm_envs.make("TLDR-v0", data=f"hub:{tmp_path / 'tldr'}")
    assert [len(env.items(split)) for split in ("train", "eval")] == [1100, 3]
    assert env.items("eval")[2] == Item("eval/2", {"prompt": "test 2", "completion": " short"})
    for split in ("train", "val"):
        rows = [{"article_id": f"{split}.{k}", "abstract_text": "we", "token_count": 1} for k in range(2)]
        write(tmp_path / "arxiv" / f"{split}.jsonl", rows)
    env = collm_envs.make("ArXiv-v0", data=f"hub:{tmp_path / 'arxiv'}")
    assert env.items("eval")[1].data == {"abstract_text": "we", "article_id": "val.1", "token_count": 1}
