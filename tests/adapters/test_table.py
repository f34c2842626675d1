"""The table of docs/use-with.md says what `make adapters` installed and ran."""

import json
import re

import pytest
import use_with
from folders import ROOT


def test_the_table_is_made_of_what_was_installed_and_ran():
    page, facts = (
        use_with.PAGE.read_text(encoding="utf-8"),
        json.loads(use_with.FACTS.read_text(encoding="utf-8")),
    )
    assert use_with.table(facts) in page
    assert use_with.with_table(page, facts) == page
    made = re.search(r"^ADAPTERS := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert {*made.group(1).split()} <= {*facts} == {*use_with.LIBRARIES}


@pytest.mark.parametrize(("counts", "good"), [("", True), ('failures="1"', False), ('skipped="3"', False)])
def test_a_run_with_failures_or_without_tests_is_no_fact(tmp_path, counts, good):
    report = tmp_path / "tests.xml"
    report.write_text(f'<testsuites><testsuite tests="3" {counts}/></testsuites>')
    if good:
        assert use_with.passed(report) == 3
    else:
        with pytest.raises(ValueError, match="need tests that pass"):
            use_with.passed(report)
