"""Files that others have cut, copied or edited: what is whole is read, what is not is named by its line."""

import pytest

from collm_envs.files import read_lines


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b'{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        (b'\xef\xbb\xbf{"a": 1}\r\n', [{"a": 1}]),
        (b'{"a": 1}\n{"a": ', [{"a": 1}]),
        ('["a\u2028b"]\n'.encode(), [["a\u2028b"]]),
    ],
)
def test_whole_lines_are_read_and_one_that_a_kill_cut_is_left(data, values, tmp_path):
    (tmp_path / "lines.jsonl").write_bytes(data)
    assert read_lines(tmp_path / "lines.jsonl") == values


@pytest.mark.parametrize(
    "damage", [b"{\n", b"\xff\x00{\n", b"\xc3(\n", b"\x1f\x8b\x08\n", b"[" * 100_000 + b"\n"]
)
def test_a_damaged_line_is_named_with_its_file(damage, tmp_path):
    (tmp_path / "lines.jsonl").write_bytes(b'{"a": 1}\n' + damage)
    with pytest.raises(ValueError, match=r"lines\.jsonl:2: not a line of JSON"):
        read_lines(tmp_path / "lines.jsonl")
