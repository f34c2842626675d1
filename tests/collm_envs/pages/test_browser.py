"""The pages in a real browser: they open without an error, they answer, and nothing in them runs but ours."""

import base64
import io
import random
from dataclasses import asdict

import pytest
from browser import CHROMIUM
from scenes import HOSTILE, HUT, STORY, WALL, record, turn

import collm_envs
from collm_envs.pages.episode import episodes_page, page
from collm_envs.pages.report import chart, episode, report, section, spread
from collm_envs.record import record as record_of
from collm_envs.replay import scenes

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on this machine")

BOX = "r = document.querySelector('canvas').getBoundingClientRect(), "
CANVAS = "document.querySelector('canvas').toDataURL()"


def written(folder, html):
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    return path


def colours(png):
    """How many colours a picture has."""
    image = pytest.importorskip("PIL.Image").open(io.BytesIO(png)).convert("RGB")
    return len(image.getcolors(1 << 24))


def strbuild_episode():
    env = collm_envs.make("StrBuild-v0")
    env.reset(seed=1)
    rng = random.Random(1)
    for name in ("random", "noisy", "noisy", "expert"):
        player = env.task.players[name]
        env.step({agent: player(env.task, env.snapshot, agent, rng) for agent in env.agents})
    return record_of(env)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1300])
def test_an_episode_opens_and_fits_the_screen(browser, tmp_path, width, dark):
    one = strbuild_episode()
    browser.open(written(tmp_path, page(asdict(one), scenes(one))), width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    assert browser.run("document.querySelectorAll('.lane').length") == 8
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (int(ground[4:].split(",")[0]) < 64) == dark
    assert colours(browser.screenshot()) > 50


def test_the_turns_of_a_long_episode_fit_a_narrow_screen(browser, tmp_path):
    browser.open(written(tmp_path, page(record(*[turn()] * 24), [HUT] * 25)), 400)
    assert browser.run("document.querySelectorAll('.steps button').length") == 25
    assert browser.run("document.documentElement.scrollWidth") == 400


def test_the_3d_view_turns_by_key_and_by_pointer(browser, tmp_path):
    browser.open(written(tmp_path, page(record(), [HUT] * 3)))
    first = browser.run(CANVAS)
    assert colours(base64.b64decode(first.split(",")[1])) > 20
    browser.run(
        "document.querySelector('canvas').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))"
    )
    browser.settle()
    second = browser.run(CANVAS)
    assert second != first
    browser.run("document.querySelector('canvas').scrollIntoView({block: 'center'})")
    box = browser.run(f"({BOX}[r.x + r.width / 2, r.y + r.height / 2])")
    for kind, dx in (("mousePressed", 0), ("mouseMoved", 40), ("mouseReleased", 40)):
        where = {"x": box[0] + dx, "y": box[1], "button": "left", "buttons": 1, "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, **where)
    browser.settle()
    third = browser.run(CANVAS)
    assert third not in (first, second)
    browser.run("document.querySelector('canvas').dispatchEvent(new MouseEvent('dblclick'))")
    browser.settle()
    assert browser.run(CANVAS) == first


def test_the_3d_view_steps_through_the_turns_and_hides_the_marks(browser, tmp_path):
    empty = collm_envs.Scene(HUT.size, {}, HUT.target)
    browser.open(written(tmp_path, page(record(), [empty, HUT, HUT])))
    caption = "document.querySelector('#stage figcaption').textContent"
    assert browser.run(caption) == "after turn 2: 11 blocks, 1 missing, 1 wrong, 1 extra"
    marked = browser.run(CANVAS)
    browser.run("document.getElementById('marks').click()")
    browser.settle()
    assert browser.run(CANVAS) != marked
    browser.run("document.querySelector('.steps button').click()")
    assert browser.run(caption) == "at the start: 0 blocks, 11 missing"
    assert browser.run("document.querySelector('.steps [aria-pressed=true]').textContent") == "start"


def test_the_3d_view_looks_through_one_agents_eyes(browser, tmp_path):
    env = collm_envs.make("HouseBuild-v1")
    env.reset(seed=1)
    env.step({agent: env.task.players["solo"](env.task, env.snapshot, agent, None) for agent in env.agents})
    browser.open(written(tmp_path, page(asdict(record_of(env)), scenes(record_of(env)))))
    drawn = [browser.run(CANVAS)]
    for choice in (1, 2, 0):
        browser.run(
            f"(e => {{ e.selectedIndex = {choice}; e.dispatchEvent(new Event('change')) }})"
            "(document.getElementById('eyes'))"
        )
        browser.settle()
        drawn.append(browser.run(CANVAS))
    assert len(set(drawn)) == 3
    assert drawn[0] == drawn[3]


def test_the_view_that_turns_agrees_with_the_picture_that_does_not(browser, tmp_path):
    """The canvas and the SVG are drawn by two programs; both show the same faces in the same order."""
    path = written(tmp_path, page(record(), [HUT] * 3))
    browser.open(path)
    drawn = browser.run(
        "(() => { const fills = []; const pen = CanvasRenderingContext2D.prototype; const fill = pen.fill;"
        "pen.fill = function (...a) { fills.push(this.fillStyle); return fill.apply(this, a); };"
        "document.querySelector('canvas').dispatchEvent(new MouseEvent('dblclick'));"
        "return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => {"
        "pen.fill = fill; done(fills); }))); })()"
    )
    still = browser.run("[...document.querySelectorAll('#turn-2 svg')[0].querySelectorAll('.block')]"
                        ".map(path => path.getAttribute('fill'))")  # fmt: skip
    assert len(still) > 15
    painted = iter(drawn)
    assert all(colour in painted for colour in still), (still, drawn)


def test_nothing_that_came_in_with_a_text_is_run(browser, tmp_path):
    evil = dict.fromkeys(("agent_0", "agent_1"), HOSTILE)
    row = record(turn(prompts=evil, texts=evil), item=HOSTILE)
    told = collm_envs.Scene(texts={HOSTILE: HOSTILE + "!"})
    browser.open(written(tmp_path, page(row, [STORY, told])))
    assert browser.run("window.hacked") is None
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert "<script>window.hacked = 1</script>" in browser.run("document.body.innerText")


def test_a_script_that_got_in_all_the_same_is_stopped_by_the_policy(chromium, tmp_path):
    html = page(record()).replace("</body>", "<script>window.hacked = 1</script></body>")
    chromium.open(written(tmp_path, html))
    assert chromium.run("window.hacked") is None


def listed(folder, **given):
    rows = [
        record(turn(reward=k / 10), seed=k, item=f"word_{k % 3}", agents={"agent_0": ("ann", "bob")[k % 2]})
        for k in range(12)
    ]
    return written(folder, episodes_page(rows, **given))


SEEN = (
    "[...document.querySelectorAll('tbody tr')].filter(row => row.offsetParent)"
    ".map(row => row.cells[{}].innerText)"
)


def test_the_list_sorts_by_a_click_on_a_heading(browser, tmp_path):
    browser.open(listed(tmp_path))
    names = browser.run("[...document.querySelectorAll('thead th')].map(th => th.textContent)")
    seeds, head = (
        SEEN.format(names.index("seed")),
        f"document.querySelectorAll('thead th')[{names.index('return')}]",
    )
    browser.run(f"{head}.click()")
    assert browser.run(seeds) == [str(k) for k in reversed(range(12))]
    assert browser.run(f"{head}.ariaSort") == "descending"
    browser.run(f"{head}.click()")
    assert browser.run(seeds) == [str(k) for k in range(12)]


def test_the_list_filters_by_word_by_policy_and_by_return(browser, tmp_path):
    browser.open(listed(tmp_path))
    fill = (
        "(field => {{ field.value = '{1}'; field.dispatchEvent(new Event('input', {{bubbles: true}})); }})"
        "(document.querySelector('{0}'))"
    )
    count = "document.querySelector('output').textContent"
    assert browser.run(count) == "12 of 12"
    browser.run(fill.format("select", "bob"))
    assert browser.run(count) == "6 of 12"
    browser.run(fill.format("[data-least]", "0.65"))
    assert browser.run(count) == "3 of 12"
    browser.run(fill.format("[data-search]", "word_0 BOB"))
    assert browser.run(SEEN.format(0)) == ["word_0"]
    browser.run("document.querySelector('form button').click()")
    browser.settle()
    assert browser.run(count) == "12 of 12"


def test_the_list_opens_an_episode_it_carries(browser, tmp_path):
    rows = [record(), record(seed=8)]
    browser.open(written(tmp_path, episodes_page(rows, pages=[page(row, [HUT] * 3) for row in rows])))
    browser.run("document.querySelectorAll('tbody a')[1].click()")
    assert browser.run("[...document.querySelectorAll('details.framed')].map(d => d.open)") == [False, True]
    inside = "document.querySelectorAll('iframe')[1].contentDocument"
    for _ in range(50):
        browser.run("new Promise(done => setTimeout(done, 100))")
        if browser.run(
            f"{inside}.readyState === 'complete' && {inside}.querySelectorAll('canvas').length === 2"
        ):
            break
    assert browser.run(f"{inside}.querySelector('h1').textContent") == "word_0001"
    assert browser.run(f"{inside}.querySelectorAll('canvas').length") == 2


def test_without_javascript_the_list_is_a_table_and_the_episode_has_its_pictures(browser, tmp_path):
    browser.open(listed(tmp_path), scripts=False)
    assert browser.run("getComputedStyle(document.querySelector('form')).display") == "none"
    assert len(browser.run(SEEN.format(0))) == 12
    browser.open(written(tmp_path, page(record(), [HUT] * 3)), scripts=False)
    assert browser.run("document.querySelectorAll('#stage figure svg').length") == 2


def test_a_report_opens_with_its_curves(browser, tmp_path):
    curve = spread("MAGRPO", [0, 10, 20], [[0, 1, 2], [0.5, 1.5, 1.8]])
    html = report(
        "Learning",
        [section("Curves", chart([curve], "steps", "return")), episode("after", page(record(), [WALL] * 3))],
    )
    browser.open(written(tmp_path, html), 400)
    assert browser.run("document.documentElement.scrollWidth") == 400
    assert colours(browser.screenshot()) > 20
