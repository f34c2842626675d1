"""Scenes as pictures."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scenes import HUT, STORY, WALL

from collm_envs.render import voxel
from collm_envs.task import Scene

ORANGE_RED = (0xE0, 0x45, 0x2C)
"""of the mark on an extra block"""


def pixels(picture, colour):
    return int((picture == np.array(colour, dtype=np.uint8)).all(axis=-1).sum())


def test_a_picture_is_bytes_of_red_green_and_blue():
    picture = voxel.picture(WALL)
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[1:] == (960, 3)
    assert picture.flags.owndata


def test_equal_scenes_give_equal_pictures_and_others_do_not():
    assert (voxel.picture(HUT) == voxel.picture(HUT)).all()
    emptied = replace(HUT, blocks={})
    assert voxel.picture(emptied).shape == voxel.picture(HUT).shape
    assert (voxel.picture(emptied) != voxel.picture(HUT)).any()


def test_blocks_are_seen_in_their_colours():
    one = Scene((1, 1, 1), {(0, 0, 0): "gold_block"})
    top = voxel.shaded(voxel.look("gold_block").colour, 1.14)
    assert pixels(voxel.picture(one), [int(top[k : k + 2], 16) for k in (1, 3, 5)]) > 1000


def test_only_an_extra_block_is_marked_in_red():
    assert pixels(voxel.picture(WALL), ORANGE_RED) > 100
    built = replace(WALL, blocks=dict.fromkeys(WALL.target, "stone"))
    assert pixels(voxel.picture(built), ORANGE_RED) == 0


def test_texts_alone_are_written_out_whatever_they_hold():
    picture = voxel.picture(STORY)
    odd = Scene(texts={"$x^2$ and $": "costs $5, $6 \\frac{ 中文 \ud800 \x00\n" * 99, "empty": ""})
    assert voxel.picture(odd).shape == picture.shape
    assert voxel.picture(Scene()).min() == 255 > picture.min()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_saved_picture_is_the_same_file_every_time(tmp_path, suffix):
    voxel.save(HUT, tmp_path / f"a{suffix}")
    voxel.save(HUT, str(tmp_path / f"b{suffix}"))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert (tmp_path / f"a{suffix}").stat().st_size > 2000


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must be one of \['.png', '.svg', '.pdf'\], got 'house.bmp'"):
        voxel.save(HUT, "house.bmp")


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install collm\[render\]"):
        voxel.picture(HUT)


def test_importing_the_renderers_does_not_import_matplotlib():
    code = (
        "import sys, collm_envs.render.voxel, collm_envs.pages.episode, collm_envs.pages.report;"
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
