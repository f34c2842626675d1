"""The demo as a newcomer runs it: minutes of CPU, a report, and agents that have learned."""

from __future__ import annotations

import pytest

from baselines.cli import demo, train
from baselines.runs.logs import read_log


@pytest.mark.slow
def test_the_demo_teaches_both_teams_and_writes_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    demo.main()
    for kind in ("maac", "magrpo"):
        curve = read_log(tmp_path / "runs" / "demo" / kind / "eval.jsonl")
        assert curve[-1]["return"] > curve[0]["return"] + 0.2, kind
    page = (tmp_path / "runs" / "demo" / "report.html").read_text()
    assert "collm train maac" in page
    assert page.count("<details") >= 4
    assert "CoLLM-CC" in capsys.readouterr().out


def test_the_demo_takes_no_arguments():
    with pytest.raises(ValueError, match="takes no arguments"):
        train.demo(["--fast"])
