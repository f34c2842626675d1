"""Scenes as text."""

from scenes import HUT, STORY, WALL

from collm_envs.render import ascii as ascii_render
from collm_envs.task import Scene


def test_a_wall_is_drawn_from_the_front_beside_its_target():
    assert ascii_render.text(WALL) == (
        "   world     target\n"
        "2  ..B...S   ..#....\n"
        "1  .......   .......\n"
        "0  OS.....   ###....\n"
        "   0    5    0    5\n"
        "\n"
        "4 blocks, 1 missing, 1 extra\n"
        ". air  O oak_planks  B obsidian  S stone  # any block"
    )


def test_a_deeper_world_is_drawn_layer_by_layer_from_the_ground():
    text = ascii_render.text(HUT)
    assert [line.split()[0] for line in text.splitlines() if line.startswith("y=")] == ["y=0", "y=1"]
    second = text[text.index("y=1") :].splitlines()
    assert second[:4] == ["y=1  world   target", "  0  G..     BO.", "  1  ...     ...", "  2  ..S     ..."]


def test_letters_are_one_to_one_even_for_ids_that_begin_alike():
    ids = [f"stone{k}" for k in range(30)]
    scene = Scene((30, 1, 1), {(k, 0, 0): block for k, block in enumerate(ids)})
    letters = ascii_render.letters(scene)
    assert len(set(letters.values())) == len(ids)


def test_ids_beyond_the_letters_share_a_question_mark():
    scene = Scene((40, 1, 1), {(k, 0, 0): f"b{k}" for k in range(40)})
    assert list(ascii_render.letters(scene).values()).count("?") == 40 - 36


def test_texts_are_wrapped_under_their_titles():
    text = ascii_render.text(Scene(texts={"source": "word " * 100, "empty": ""}))
    assert text.startswith("source\n------\nword word")
    assert text.endswith("empty\n-----")
    assert max(map(len, text.splitlines())) <= ascii_render.WIDTH
    assert ascii_render.text(STORY).count("\n\n") == 1


def test_nothing_in_a_text_steers_the_terminal():
    text = ascii_render.text(Scene(texts={"t\x1b": "a\x1b[2Jb\x07c\x9bd"}))
    assert text == "t�\n--\na�[2Jb�c�d"


def test_an_empty_scene_is_empty_text():
    assert ascii_render.text(Scene()) == ""
