"""Episodes, lists of episodes and reports as HTML files, without a browser."""

import random
from dataclasses import asdict
from html.parser import HTMLParser

import pytest
from scenes import HOSTILE, HUT, STORY, WALL, record, turn

import collm_envs
from collm_envs.pages.episode import episodes_page, page
from collm_envs.pages.lanes import Line, annotate
from collm_envs.pages.markup import aligned, data, document, escape, number
from collm_envs.pages.report import chart, code, episode, prose, report, section, side_by_side, spread, table
from collm_envs.record import record as record_of
from collm_envs.replay import scenes
from collm_envs.task import Scene

VOID = {"meta", "link", "br", "img", "input"}


class Outline(HTMLParser):
    """Tags, attributes and text of a page; raises where tags do not nest."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == [], self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, text):
        self.words.append(text)


def played(*players, seed=3):
    """A StrBuild episode whose k-th turn is played by the k-th scripted player."""
    env = collm_envs.make("StrBuild-v0")
    env.reset(seed=seed)
    rng = random.Random(seed)
    for name in players:
        scripted = env.task.players[name]
        env.step({agent: scripted(env.task, env.snapshot, agent, rng) for agent in env.agents})
    return record_of(env, dict.fromkeys(env.possible_agents, "scripted"))


def test_an_episode_page_shows_what_was_read_written_and_earned():
    one = played("random", "noisy", "noisy", "expert")
    html = page(asdict(one), scenes(one))
    text = "".join(Outline(html).words)
    for played_turn in one.turns:
        for agent in one.agents:
            assert played_turn["prompts"][agent] in text
            for line in played_turn["texts"][agent].splitlines():
                assert line in text
            for entry in played_turn["rejected"][agent]:
                assert entry["why"] in text
        assert f"{played_turn['reward']:.3f}".replace("-", "−") in text
    for word in (one.env, one.item, one.content_hash, "seed 3", "scripted", "coverage", "iou", "Turn 4"):
        assert word in text
    assert "all as wanted" in text


def test_rejected_lines_stand_with_their_reasons_where_they_were_written():
    text = "".join(Outline(page(record())).words)
    assert "/setblock 9 9 9 stoneoutside the box" in text
    assert "wrote 1 accepted1 rejected" in text
    assert "output tokens 31" in text


def test_whatever_agents_data_and_policies_say_is_never_markup():
    evil = dict.fromkeys(("agent_0", "agent_1"), HOSTILE)
    refused = {"agent_0": [{"line": HOSTILE, "why": HOSTILE}], "agent_1": []}
    hostile = turn(
        prompts=evil,
        texts=evil,
        accepted={"agent_0": [HOSTILE], "agent_1": []},
        rejected=refused,
        parts={HOSTILE: 1.0},
        metrics={HOSTILE: 1.0},
        verdicts={HOSTILE: HOSTILE},
        edits={"agent_0": [HOSTILE], "agent_1": []},
        usage={"agent_0": {HOSTILE: HOSTILE}, "agent_1": {}},
    )
    row = record(hostile, env=HOSTILE, item=HOSTILE, kwargs={"words": HOSTILE}, version=HOSTILE)
    row |= {"agents": {"agent_0": HOSTILE, "agent_1": HOSTILE}, "content_hash": HOSTILE, "split": HOSTILE}
    before = Scene((1, 1, 1), texts={HOSTILE: HOSTILE}, target={(0, 0, 0): HOSTILE})
    after = Scene((1, 1, 1), {(0, 0, 0): HOSTILE}, {(0, 0, 0): HOSTILE}, {HOSTILE: HOSTILE + "!"})
    inner = page(row, [before, after])
    listed = episodes_page([row], links=[HOSTILE])
    outer = report(
        HOSTILE, [section(HOSTILE, prose(HOSTILE), code(HOSTILE), episode(HOSTILE, inner))], HOSTILE
    )
    for html in (inner, listed, outer, episodes_page([row], pages=[inner], title=HOSTILE)):
        html.encode("utf-8")
        assert not {c for c in html if (c < " " and c != "\n") or "\x7f" <= c <= "\x9f"}
        outline = Outline(html)
        assert "img" not in outline.tags
        assert not [name for name, _ in outline.attributes if name.startswith("on")]
        assert outline.tags.count("script") <= 2
    assert "␀␛[31m␡�" in "".join(Outline(inner).words)


def test_a_page_fetches_nothing_and_runs_our_scripts_alone():
    html = page(record(), [WALL, WALL, WALL])
    outline = Outline(html)
    (policy,) = [value for name, value in outline.attributes if name == "content" and "script-src" in value]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert not [value for name, value in outline.attributes if name in ("src", "href") and value != "data:,"]


def test_a_page_without_blocks_does_not_carry_the_3d_view():
    voxels, texts = page(record(), [WALL] * 3), page(record(), [STORY] * 3)
    assert "<script>" in voxels
    assert "<script>" not in texts
    assert "<script>" not in page(record())
    assert len(texts) < len(voxels) - 8000


def test_texts_of_a_scene_are_shown_once():
    told = Scene(texts={**STORY.texts, "paragraph 1, agent_0": "/setblock 0 0 0 oak_planks"})
    texts = {"agent_0": "/setblock 0 0 0 oak_planks", "agent_1": ""}
    html = page(record(turn(texts=texts)), [Scene(texts={"source post": "My cat ate my homework."}), told])
    assert html.count("My cat ate my homework.") == 1
    assert "paragraph 1" not in html


def test_verdicts_are_a_table_and_not_told_twice():
    verdicts = {"0: assert f(1) == 2": "ok", "1: assert f(2) == 3": "timeout"}
    told = Scene(texts={"tests": "ok 0: assert f(1) == 2\ntimeout 1: assert f(2) == 3", "note": "slow"})
    html = page(record(turn(verdicts=verdicts)), [Scene(), told])
    assert html.count("assert f(2) == 3") == 1
    assert ">slow</pre>" in html
    assert '<td class="bad">timeout</td>' in html


def test_a_wrong_number_of_scenes_is_refused():
    with pytest.raises(ValueError, match="need 3 scenes for 2 turns, got 2"):
        page(record(), [WALL, WALL])


def test_an_episode_of_no_turns_and_one_cut_short_have_pages():
    assert "0, cut short" in "".join(Outline(page(record() | {"turns": [], "terminated": False})).words)


def test_a_deep_world_is_there_as_picture_as_layers_and_as_data():
    html = page(record(), [HUT, HUT, HUT])
    text = "".join(Outline(html).words)
    assert "11 blocks, 1 missing, 1 wrong, 1 extra" in text
    assert "y=1  world   target" in text
    assert '[0,1,0,0,"wrong"]' in text
    assert '[1,1,0,-1,"missing"]' in text


def test_lines_are_found_again_in_the_text_they_came_from():
    text = "My plan:\n```\n- /setblock 0 0 0 stone\n2) /fly\n /setblock 1 0 0 minecraft:stone\n```"
    lines, others = annotate(
        text,
        ["/setblock 0 0 0 stone", "/setblock 1 0 0 stone"],
        [{"line": "/fly", "why": "unsupported"}, {"line": "gone", "why": "where?"}],
    )
    assert [line.status for line in lines] == ["", "", "ok", "no", "ok", ""]
    assert lines[3].note == "unsupported"
    assert others == [Line("gone", "no", "where?")]


def test_short_forms_are_shown_with_the_command_they_stand_for():
    lines, others = annotate("00o\n12 3s\n", ["/setblock 0 0 0 oak_planks", "/setblock 12 3 0 stone"], [])
    assert lines == [
        Line("00o", "ok", "/setblock 0 0 0 oak_planks"),
        Line("12 3s", "ok", "/setblock 12 3 0 stone"),
    ]
    assert others == []


def test_a_text_that_counts_or_fails_as_a_whole_is_marked_as_a_whole():
    text = "My cat ate it.\n\nAll of it, and then it slept the whole long afternoon."
    assert annotate(text, [text], [])[0] == [
        Line("My cat ate it.", "ok"),
        Line(""),
        Line("All of it, and then it slept the whole long afternoon.", "ok"),
    ]
    long = "word " * 40
    lines, others = annotate(long, [], [{"line": long[:80], "why": "too long"}])
    assert lines == [Line(long, "no", "too long")]
    assert others == []
    assert annotate("short", [], [{"line": "sho", "why": "no"}])[1] == [Line("sho", "no", "no")]


def test_the_same_line_twice_is_accepted_once_and_rejected_once():
    lines, others = annotate("/kill\n/kill", ["/kill"], [{"line": "/kill", "why": "limit"}])
    assert lines == [Line("/kill", "ok"), Line("/kill", "no", "limit")]
    assert others == []


def test_a_list_of_episodes_is_a_plain_table_with_a_row_each():
    rows = [record(seed=k) for k in range(3)]
    outline = Outline(episodes_page(rows, links=["a.html", "b.html", "c.html"]))
    assert outline.tags.count("tr") == 4
    assert [value for name, value in outline.attributes if name == "href"][1:] == [
        "a.html",
        "b.html",
        "c.html",
    ]
    assert "3 episodes · StrBuild-v0 · eval" in outline.words
    assert "1.250" in outline.words  # the return


def test_a_list_can_carry_its_episodes_or_none():
    rows = [record(), record(record()["turns"][0], env="Other-v0", agents={"agent_0": "a", "agent_1": "a"})]
    carried = episodes_page(rows, pages=[page(row) for row in rows])
    assert carried.count("<iframe") == 2
    assert '"#episode-2"' in carried
    bare = Outline(episodes_page(rows))
    assert "a" not in bare.tags
    assert "environment" in bare.words
    assert "no episodes" not in episodes_page(rows)
    assert Outline(episodes_page([])).tags.count("tr") == 1


def test_links_or_pages_of_another_number_are_refused():
    with pytest.raises(ValueError, match="need 1 links, got 2"):
        episodes_page([record()], links=["a", "b"])
    with pytest.raises(ValueError, match="need 1 pages, got 3"):
        episodes_page([record()], pages=["a", "b", "c"])


def test_a_report_holds_its_sections_in_order():
    curve = spread("CoLLM-CC", [0, 1], [[1, 2], [2, 3]])
    html = report(
        "What they learned",
        [
            section("Curves", chart([curve], "steps", "return", caption="3 seeds"), note="quiet"),
            section("Table", table(["who", "return"], [["before", 1.0], ["after", 2.5], ["paper", None]])),
            section("More", side_by_side(prose("One `env.step`.\n\nTwo."), code("collm demo"))),
        ],
        about="collm",
    )
    outline = Outline(html)
    words = [word for word in outline.words if word.strip()]
    order = [words.index(w) for w in ("What they learned", "Curves", "CoLLM-CC 2.50", "before", "collm demo")]
    assert order == sorted(order)
    assert outline.tags.count("p") == 3
    assert "<code>env.step</code>" in html
    assert [w for w in words if w in ("1.000", "2.500", "–")] == ["1.000", "2.500", "–"]
    assert "<script>" not in html


def test_rows_that_do_not_fit_their_columns_are_refused():
    with pytest.raises(ValueError, match=r"need 2 cells a row, got 3"):
        table(["a", "b"], [[1, 2], [1, 2, 3]])


def test_a_column_without_a_name_has_no_empty_header():
    html = table(["", "return"], [["before", 1.0]])
    assert "<thead><tr><td></td><th " in html
    assert "></th>" not in html


def test_numbers_are_written_for_reading():
    assert [number(v) for v in (2, 2.0, 0.5, -0.25, 1 / 3)] == ["2", "2", "0.500", "−0.250", "0.333"]
    assert [number(v) for v in (float("nan"), float("inf"), -0.0, -0.0001)] == ["nan", "inf", "0", "0"]
    assert [number(v) for v in (2147483647, 1e300, -2.9999)] == ["2147483647", "1e+300", "−3"]
    assert aligned([1, 2.0, None]) == ["1", "2", "–"]
    assert aligned([1, 0.5]) == ["1.000", "0.500"]


def test_data_for_scripts_cannot_end_its_element():
    assert "</script><script>" not in data("x", {"a": "</script><script>alert(1)</script>"})


def test_a_document_escapes_its_title():
    assert "<title>&lt;b&gt;</title>" in document("<b>", "")
    assert escape('a\r\nb\t"<&>\x1b') == "a\nb\t&quot;&lt;&amp;&gt;␛"


def test_a_message_round_is_told_from_a_turn_and_has_no_picture_of_its_own():
    env = collm_envs.make("StrBuild-v1", items=[{"string": "LI"}], talk=1, max_turns=1)
    env.reset(seed=0)
    env.step({"agent_0": "mine is an L", "agent_1": "<b>"})
    env.step({"agent_0": "/setblock 0 0 0 oak_planks", "agent_1": ""})
    one = record_of(env)
    html = page(asdict(one), scenes(one))
    first, second = html.split('<section id="turn-')[1:]
    assert "message round 1: the others read what is said here" in first
    assert "mine is an L" in first
    assert "&lt;b&gt;" in first
    assert "<figure>" not in first
    assert "message round" not in second.split("<footer>")[0].replace("Before this turn, message round", "")
    assert "<figure>" in second
    Outline(html)
