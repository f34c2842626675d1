"""The history only grows, and what it says holds for the bytes it saw."""

import pytest

from leaderboard.history import Event, append, current, read


def event(entry="TLDR-v0/a", status="replay-verified", digest="d1", note=""):
    return Event(entry, status, digest, "2026-01-01", note)


def test_a_verification_holds_for_the_bytes_it_saw():
    events = [event()]
    assert current(events, "TLDR-v0/a", "d1")[0] == "replay-verified"
    assert current(events, "TLDR-v0/a", "d2")[0] == "self-reported"
    assert current(events, "TLDR-v0/b", "d1")[0] == "self-reported"


def test_withdrawn_holds_for_any_bytes_and_says_why():
    events = [event(), event(status="withdrawn", note="trained on the list")]
    assert current(events, "TLDR-v0/a", "d2") == ("withdrawn", "trained on the list")


def test_the_last_word_counts():
    events = [event(status="withdrawn"), event(status="reproduced")]
    assert current(events, "TLDR-v0/a", "d1")[0] == "reproduced"


def test_a_line_changed_or_taken_out_is_found(tmp_path):
    path = tmp_path / "history.jsonl"
    for digest in ("d1", "d2", "d3"):
        append(path, event(digest=digest))
    assert [one.digest for one in read(path)] == ["d1", "d2", "d3"]
    lines = path.read_text().splitlines(keepends=True)
    for tampered in (lines[1:], [lines[0], lines[2]], [lines[0].replace("d1", "d9"), *lines[1:]]):
        path.write_text("".join(tampered))
        with pytest.raises(ValueError, match="the line before was changed or taken out"):
            read(path)


def test_a_history_that_is_none_is_not_added_to(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("{}\n")
    with pytest.raises(ValueError, match=r"history.jsonl:1: no event"):
        append(path, event())
    assert path.read_text() == "{}\n"
