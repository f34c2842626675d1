"""The site in a real browser, and without one."""

import re
import shutil
import sys
from html.parser import HTMLParser

import pytest
from leaderboard_entries import change_record, make_entry

from leaderboard import history
from leaderboard.build import build
from leaderboard.bundle import NotAccepted
from leaderboard.cli import main
from leaderboard.verify import verify

ROW = "[...document.querySelectorAll('#TLDR-v0 table')[0].tBodies[0].rows]"
NAMES = f"{ROW}.filter(row => !row.hidden).map(row => row.cells[0].textContent)"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three players of TLDR and one of StrBuild; the first of them verified, another withdrawn."""
    root = tmp_path_factory.mktemp("board")
    run = root / "run"
    run.mkdir()
    (run / "config.json").write_text('{"config": {"seed": 3, "steps": 2}}')
    (run / "metrics.jsonl").write_text('{"step": 2, "tokens": 5.0}\n')
    (run / "eval.jsonl").write_text('{"step": 0, "return": 0.5}\n{"step": 2, "return": 7.5}\n')
    made = [make_entry(root, "TLDR-v0", player) for player in ("random", "noisy", "expert")]
    about = {"kind": "trained", "models": ["m"], "hardware": "CPU", "commit": "abc"}
    made.append(
        make_entry(root, "StrBuild-v0", "expert", training=[run], method="<script>alert(1)</script>", **about)
    )
    entries = str(root / "entries")
    assert main(["verify", str(made[2]), "--entries", entries, "--write"]) == 0
    assert main(["mark", str(made[1]), "withdrawn", "--note", "a <b>reason</b>"]) == 0
    build(root / "entries", root / "site")
    return root / "site"


def test_statuses_are_those_of_the_history(site):
    page = (site / "index.html").read_text()
    events = history.read(site.parent / "history.jsonl")
    assert [(e.entry, e.status) for e in events] == [
        ("TLDR-v0/expert", "replay-verified"),
        ("TLDR-v0/noisy", "withdrawn"),
    ]
    assert events[0].digest == verify(site.parent / "entries/TLDR-v0/expert").digest
    assert "Replay proves the score, not who wrote the text" in page
    assert page.count("reported by the paper") > 9
    withdrawn = (site / "TLDR-v0/noisy/index.html").read_text()
    assert "withdrawn: a &lt;b&gt;reason&lt;/b&gt;" in withdrawn


def test_every_link_of_the_site_leads_somewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 1 + 4 * 6
    for page in pages:
        text = page.read_text()
        for href in re.findall(r'<a href="([^"]+)"', text):
            file, _, anchor = href.partition("#")
            target = (page.parent / file).resolve() if file else page
            assert target.is_file(), (page, href)
            assert not anchor or f'id="{anchor}"' in target.read_text(), (page, href)


def test_nothing_is_ranked_by_time(site):
    heads = re.findall(r"<th[^>]*>([^<]*)</th>", (site / "index.html").read_text())
    assert "score" in heads
    assert not any("second" in head or "time" in head for head in heads)


def test_it_sorts_and_filters_and_opens_an_episode(browser, site):
    browser.open(site / "index.html")
    assert browser.run(NAMES) == ["expert", "random", "noisy"]  # withdrawn last
    browser.run("document.querySelectorAll('#TLDR-v0 th')[1].click()")
    browser.run("document.querySelectorAll('#TLDR-v0 th')[1].click()")
    assert browser.run(NAMES)[:2] == ["random", "expert"]
    browser.run(
        "s = document.querySelector('#TLDR-v0 select'), s.value = 'replay-verified', "
        "s.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert browser.run(NAMES) == ["expert"]
    link = browser.run("document.querySelector('#TLDR-v0 tbody tr:not([hidden]) a').getAttribute('href')")
    assert link == "TLDR-v0/expert/index.html"
    browser.open(site / "StrBuild-v0/expert/index.html")
    assert "7.5" in browser.run("document.querySelector('svg.chart').getAttribute('aria-label')")
    episode = browser.run("document.querySelector('.sample a').getAttribute('href')")
    browser.open(site / "StrBuild-v0/expert" / episode)
    assert browser.run("document.querySelectorAll('.lane').length") >= 2
    assert browser.run("document.querySelector('canvas') !== null")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1300])
def test_it_fits_the_screen_in_light_and_dark(browser, site, width, dark):
    for page in ("index.html", "TLDR-v0/noisy/index.html"):
        browser.open(site / page, width, dark=dark)
        assert browser.run("document.documentElement.scrollWidth") == width
        ground = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (int(ground[4:].split(",")[0]) < 64) == dark


def test_it_is_a_plain_table_without_javascript(site):
    class Rows(HTMLParser):
        rows = 0

        def handle_starttag(self, tag, attrs):
            self.rows += tag == "tr"

    reader = Rows()
    reader.feed((site / "index.html").read_text())
    assert reader.rows == 2 + 3 + 1 + 5 + (9 + 3 + 9 + 9 + 1)  # heads, entries; heads, the paper's rows


def test_the_papers_rows_stand_beside_the_lists_on_the_published_data(site):
    text = (site / "index.html").read_text()
    boards = dict(re.findall(r'<section id="([^"]+)">(.*?)(?=<section id=|</body>)', text, re.DOTALL))
    assert [name for name, board in boards.items() if "Reported by the paper" in board] == [
        "StrBuild-v0",
        "HouseBuild-v0",
        "TLDR-v0-hub",
        "ArXiv-v0-hub",
        "CoopHE-v0-hub",
    ]
    assert ">0.752<" in boards["CoopHE-v0-hub"]  # in the unit of our own rows
    assert ">0.952<" in boards["TLDR-v0-hub"]
    assert "No entry yet" in boards["TLDR-v0-hub"]


def test_to_draw_an_entry_nothing_of_it_is_imported(site, tmp_path):
    """An entry that nobody has verified may name any module as its environment."""
    entries = shutil.copytree(site.parent / "entries", tmp_path / "entries")
    change_record(entries / "TLDR-v0/noisy", 0, lambda data: data.update(env="antigravity:TLDR-v0"))
    with pytest.raises(NotAccepted, match=r"run-0\.jsonl\.gz:1: env"):
        build(entries, tmp_path / "site")
    assert "antigravity" not in sys.modules


def test_without_scripts_the_filters_are_hidden_and_the_rows_are_there(browser, site):
    browser.open(site / "index.html", scripts=False)
    text = (site / "index.html").read_text()
    assert text.count('<form class="filters" hidden>') == 2 + 5
