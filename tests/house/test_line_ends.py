"""A checkout with other line ends, or an editor's byte order mark, takes no entry of the board its status."""

import re
import shutil
from hashlib import sha256

import pytest
from folders import ROOT

from leaderboard import history
from leaderboard.bundle import open_bundle
from leaderboard.entry import read_entry

BOARD = ROOT / "leaderboard"
ENTRY = BOARD / "entries" / "TLDR-v0-tiny" / "expert"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_an_entry_and_the_history_read_the_same_with_any_line_end(tmp_path, end, mark):
    shutil.copytree(ENTRY, tmp_path / "entry")
    for source, target in ((ENTRY / "entry.json", "entry/entry.json"), (BOARD / "history.jsonl", "h.jsonl")):
        (tmp_path / target).write_bytes(mark + source.read_bytes().replace(b"\n", end))
    entry, raw = read_entry(open_bundle(tmp_path / "entry"))
    events = history.read(tmp_path / "h.jsonl")
    assert events == history.read(BOARD / "history.jsonl")
    assert history.current(events, entry.id, sha256(raw).hexdigest())[0] == "replay-verified"


def test_what_git_may_rewrite_is_written_with_one_line_end():
    rules = dict(re.findall(r"^(\S+) (.+)$", (ROOT / ".gitattributes").read_text(), re.MULTILINE))
    assert rules["*"] == "text=auto eol=lf"
    assert rules["*.gz"] == "-text"
