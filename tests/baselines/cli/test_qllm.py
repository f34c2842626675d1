"""`collm qllm check` destroys no review, writes nothing unasked, and shows every character of a function."""

import io
import json
import re
import shutil

import pytest
from rich.console import Console

from baselines.cli import qllm
from baselines.cli.main import main
from baselines.credit import pinned

FLAGS = ["--env", "StrBuild-v0", "--turns", "8"]


@pytest.fixture
def shipped(tmp_path):
    """A copy of a function that came with the package, reviewed."""
    for end in ("py", "json"):
        shutil.copy(pinned.FOLDER / f"str_build.{end}", tmp_path / f"str_build.{end}")
    return tmp_path / "str_build.py"


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_check_writes_nothing_and_says_who_reviewed(shipped, tmp_path, capsys):
    before = contents(tmp_path)
    assert main(["qllm", "check", str(shipped), *FLAGS]) == 0
    assert contents(tmp_path) == before
    reviewer = json.loads(shipped.with_suffix(".json").read_text())["reviewed_by"]
    assert f"Reviewed by {reviewer} as it is." in capsys.readouterr().out


@pytest.mark.parametrize(("more", "author"), [([], None), (["--written-by", "Ada"], "Ada")])
def test_a_written_report_keeps_author_and_reviewer_while_the_source_is_the_same(shipped, more, author):
    manifest = shipped.with_suffix(".json")
    before = json.loads(manifest.read_text())
    assert main(["qllm", "check", str(shipped), *FLAGS, "--write", *more]) == 0
    after = json.loads(manifest.read_text())
    assert after["reviewed_by"] == before["reviewed_by"]
    assert after["written_by"] == (author or before["written_by"])
    assert pinned.load_pinned(shipped).sha256 == before["sha256"]


def test_a_report_of_an_edited_source_has_no_reviewer(shipped):
    shipped.write_text(shipped.read_text() + "# edited\n")
    assert main(["qllm", "check", str(shipped), *FLAGS, "--write"]) == 0
    assert json.loads(shipped.with_suffix(".json").read_text())["reviewed_by"] == ""


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_review_holds_whatever_a_checkout_makes_of_line_ends(shipped, end, mark):
    text = shipped.read_bytes().decode().replace("\n", end)
    shipped.write_bytes(mark + text.encode())
    assert pinned.load_pinned(shipped).name == "str_build"


HIDDEN = "    return max(0.0, 1.0)" + " " * 150 + "+ feat['reward'][0]  # far out"


@pytest.mark.parametrize("width", [40, 70, 100])
@pytest.mark.parametrize("terminal", [True, False])
def test_code_is_never_cut(monkeypatch, width, terminal):
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, highlight=False, soft_wrap=True)
    monkeypatch.setattr(qllm, "out", console)
    qllm._show_code(f"def baseline(ctx, feat, me):\n{HIDDEN}\n", "f.py")
    shown = stream.getvalue()
    if not terminal:
        assert HIDDEN in shown
        return
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    letters = re.sub(r"[\s│╭╮╰╯─]", "", plain)
    assert re.sub(r"\s", "", HIDDEN) in letters


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x\x1b[8my", "x\\x1b[8my"),
        ("a\rb", "a\\rb"),
        ("a\u202eb", "a\\u202eb"),
        ("\tx = 'ä'\n", "    x = 'ä'\n"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(source, shown):
    assert qllm.visible(source) == shown
