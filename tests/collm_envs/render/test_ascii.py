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
    assert text == "t\\x1b\n-----\na\\x1b[2Jb\\x07c\\x9bd"


def test_an_empty_scene_is_empty_text():
    assert ascii_render.text(Scene()) == ""


def test_a_block_keeps_its_letter_while_others_come_and_go():
    first = Scene((3, 1, 1), {(0, 0, 0): "oak_planks"})
    second = Scene((3, 1, 1), {(0, 0, 0): "obsidian", (1, 0, 0): "oak_fence"})
    names = ascii_render.letters(first)
    assert ascii_render.letters(second, names)["oak_planks"] == names["oak_planks"] == "O"
    third = ascii_render.text(first, ascii_render.letters(second, names))
    assert "0  O..     ..." in third
    assert third.endswith(". air  O oak_planks")  # the list names only what can be seen


def test_where_the_terminal_is_narrow_the_target_stands_below_the_world_and_nothing_is_cut():
    text = ascii_render.text(WALL, width=18)
    assert text.startswith(
        "   world\n2  ..B...S\n1  .......\n0  OS.....\n   0    5\n\n   target\n2  ..#....\n"
    )
    assert all(len(line) <= 18 for line in text.splitlines()[:10])
