"""Items as people have them: data sets, data frames, files, iterators; errors that name row and field."""

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

import collm_envs
from collm_envs.datasets.formats import split_rows, storable
from collm_envs.evaluation.episodes import evaluate, jobs
from collm_envs.policies.specs import seat_all
from collm_envs.record import read
from collm_envs.replay import replay

ROWS = [{"prompt": f"post {k} about a dog and its long day", "year": 1990 + k} for k in range(3)]


def frame(kind):
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(ROWS)
    if kind == "pyarrow":
        return pytest.importorskip("pyarrow").Table.from_pylist(ROWS)
    return pytest.importorskip("datasets").Dataset.from_list(ROWS)


def polars():
    """What a data frame of polars is to us, without polars."""

    class DataFrame:
        def to_dicts(self):
            return ROWS

    DataFrame.__module__ = "polars.dataframe.frame"
    return DataFrame()


def written(path, text):
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def encoded(path, data):
    path.write_bytes(data)
    return path


LINES = "\n".join(map(json.dumps, ROWS))
DIVIDED = [{"string": "AB", "split": "train"}, {"string": "EF", "split": "eval"}]


@pytest.mark.parametrize(
    "given",
    [
        lambda folder: list(ROWS),
        lambda folder: tuple(ROWS),
        lambda folder: iter(ROWS),
        lambda folder: (row for row in ROWS),
        lambda folder: frame("pandas"),
        lambda folder: frame("pyarrow"),
        lambda folder: frame("datasets"),
        lambda folder: polars(),
        lambda folder: written(folder / "r.jsonl", LINES + "\n"),
        lambda folder: str(written(folder / "r.jsonl.gz", LINES)),
        lambda folder: str(written(folder / "R.JSONL", LINES)),
        lambda folder: written(folder / "r.json", json.dumps(ROWS)),
        lambda folder: written(folder / "r.json.gz", "\ufeff" + json.dumps(ROWS)),
        lambda folder: written(folder / "r.jsonl", "\ufeff" + LINES.replace("\n", "\r\n\r\n")),
        lambda folder: written(folder / "r.jsonl", LINES.replace("\n", "\r")),
        lambda folder: written(folder / "r.jsonl", json.dumps(ROWS)),
        lambda folder: written(folder / "r.jsonl", json.dumps(ROWS, indent=2)),
        lambda folder: written(folder / "r.json", LINES),
        lambda folder: encoded(folder / "r.jsonl", LINES.encode("utf-16")),
        lambda folder: encoded(folder / "r.json", json.dumps(ROWS).encode("utf-16")),
        lambda folder: encoded(folder / "r.jsonl.gz", LINES.encode()),
        lambda folder: encoded(folder / "r.jsonl", gzip.compress(LINES.encode("utf-16"))),
    ],
)
def test_rows_are_the_same_whatever_they_came_in(given, tmp_path):
    assert split_rows(given(tmp_path)) == {"train": ROWS, "eval": ROWS}
    env = collm_envs.make("TLDR-v0", items=given(tmp_path))
    assert [item.data["prompt"] for item in env.items("eval")] == [row["prompt"] for row in ROWS]


@pytest.mark.parametrize("kind", ["pandas", "datasets"])
def test_an_evaluation_on_a_table_is_recorded_and_replays(kind, tmp_path):
    env = collm_envs.make("TLDR-v0", items={"train": frame(kind), "eval": frame(kind)})
    evaluate(env, seat_all(env.task, "noisy", {}), jobs(env), tmp_path)
    assert {replay(one).status for one in read(tmp_path / "records.jsonl")} == {"equal"}


@pytest.mark.parametrize("names", [("train", "test"), ("train", "validation", "test"), ("train", "eval")])
def test_a_dataset_dict_gives_both_splits(names):
    datasets = pytest.importorskip("datasets")
    parts = {name: datasets.Dataset.from_list([{"prompt": f"{name} dog day"}]) for name in names}
    env = collm_envs.make("TLDR-v0", items=datasets.DatasetDict(parts))
    assert env.items("eval")[0].data["prompt"] == f"{names[1]} dog day"
    with pytest.raises(ValueError, match="need a split 'train' and one of eval, validation"):
        collm_envs.make("TLDR-v0", items=datasets.DatasetDict({"test": parts["train"]}))


@pytest.mark.parametrize(
    "make_rows", [list, iter, lambda rows: pytest.importorskip("pandas").DataFrame(rows)]
)
def test_a_column_split_divides_rows_in_memory_as_it_divides_a_file(make_rows, tmp_path):
    path = written(tmp_path / "words.jsonl", "\n".join(map(json.dumps, DIVIDED)))
    for items in (make_rows(DIVIDED), str(path)):
        env = collm_envs.make("StrBuild-v0", items=items)
        strings = [item.data["string"] for split in ("train", "eval") for item in env.items(split)]
        assert strings == ["AB", "EF"]
    with pytest.raises(ValueError, match=r"items\[1\]: 'split' must be 'train' or 'eval', got 'trian'"):
        collm_envs.make("StrBuild-v0", items=make_rows([DIVIDED[0], {"string": "EF", "split": "trian"}]))


@pytest.mark.parametrize("eval_name", ["eval", "validation", "test"])
def test_a_mapping_of_files_gives_both_splits(eval_name, tmp_path):
    parts = {
        name: str(written(tmp_path / f"{name}.jsonl", json.dumps(ROWS[k])))
        for k, name in enumerate(("train", eval_name))
    }
    whole = written(tmp_path / "both.json", json.dumps({"train": ROWS[:1], eval_name: ROWS[1:2]}))
    for items in (parts, whole):
        env = collm_envs.make("TLDR-v0", items=items)
        prompts = [env.items(split)[0].data["prompt"] for split in ("train", "eval")]
        assert prompts == [row["prompt"] for row in ROWS[:2]]


def test_words_to_build_may_come_from_a_table():
    pandas = pytest.importorskip("pandas")
    rows = [dict(item.data) for item in collm_envs.make("StrBuild-v0").items("train")][:2]
    env = collm_envs.make("StrBuild-v0", items=pandas.DataFrame([{"string": row["string"]} for row in rows]))
    assert [item.data["string"] for item in env.items("train")] == [row["string"] for row in rows]


def test_empty_cells_are_missing_and_dates_and_arrays_become_plain():
    pandas, numpy = pytest.importorskip("pandas"), pytest.importorskip("numpy")
    table = pandas.DataFrame(
        {"a": ["x", None], "b": [1.5, float("nan")], "c": [numpy.array([1, 2]), pandas.NaT]}
    )
    assert split_rows(table)["eval"] == [{"a": "x", "b": 1.5, "c": [1, 2]}, {}]
    assert split_rows(pandas.DataFrame({"d": [pandas.Timestamp("2026-01-02")]}))["eval"] == [
        {"d": "2026-01-02T00:00:00"}
    ]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("r.jsonl", LINES + "\nnot json", "r.jsonl, line 4: not a line of JSON"),
        ("r.jsonl", LINES + '\n\n{"year": 3}', "r.jsonl, line 5: missing column 'prompt'; it has .'year'."),
        ("r.jsonl.gz", '{"prompt": 7}', "r.jsonl.gz, line 1: column 'prompt' must hold str, got int"),
        ("r.json", "[1]", "r.json, row 1: need an object, got int"),
        ("r.json", "{", "r.json: not JSON"),
        ("r.json", "[]", "has no rows"),
        (
            "r.jsonl",
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "r.jsonl: a pointer of git-lfs",
        ),
    ],
)
@pytest.mark.parametrize("keyword", ["items", "data"])
def test_an_error_names_the_file_the_row_and_the_field(tmp_path, name, text, match, keyword):
    path = str(written(tmp_path / name, text))
    with pytest.raises(ValueError, match=match):
        given: dict[str, Any] = {keyword: path}
        collm_envs.make("TLDR-v0", **given)


@pytest.mark.parametrize(
    ("items", "error", "match"),
    [
        (7, TypeError, "need a list of rows, got int; that is a list of mappings"),
        (b"rows", TypeError, "need a list of rows, got bytes"),
        ("posts.csv", TypeError, "need a list of rows, got str 'posts.csv'; that is a list of mappings"),
        (iter([]), ValueError, "is empty; need at least one row"),
        (iter([{"prompt": "a"}, {"year": 2}]), ValueError, "items.1.: missing column 'prompt'"),
        (Path("no/such.jsonl"), FileNotFoundError, "there is no file"),
    ],
)
def test_what_holds_no_rows_is_refused(items, error, match):
    with pytest.raises(error, match=match):
        collm_envs.make("TLDR-v0", items=items)


def test_a_cut_gzip_file_is_named(tmp_path):
    path = written(tmp_path / "r.jsonl.gz", LINES)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"r.jsonl.gz: damaged or cut short"):
        split_rows(path)


def test_no_library_of_tables_is_imported():
    assert "polars" not in sys.modules


@pytest.mark.parametrize("items", [[], [{"split": "dev"}], {"train": [1]}, {"goal": 3}, ["a word", 3]])
def test_what_cannot_be_items_is_left_to_the_task_that_refuses_it(items):
    assert storable(items) == items


def test_rows_that_can_be_read_once_are_stored_as_lists():
    assert storable(iter(ROWS)) == ROWS
    assert storable({"train": iter(ROWS), "valid": iter(ROWS)}) == {"train": ROWS, "eval": ROWS}
