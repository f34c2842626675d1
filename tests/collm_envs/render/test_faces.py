"""Looks of blocks, and worlds as flat shapes."""

from itertools import pairwise
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import HUT, WALL

from collm_envs.render.blocks import ANY, count, difference, look, shaded
from collm_envs.render.faces import Camera, bounds, shapes, view_of
from collm_envs.task import Scene

cells = st.tuples(*[st.integers(0, 3)] * 3)
views = st.builds(Camera, st.floats(-360, 360), st.floats(4, 85))


def test_published_blocks_look_like_themselves_and_unlike_each_other():
    ids = ["oak_planks", "stone", "white_concrete", "obsidian", "stone_stairs", "stone_bricks"]
    assert len({look(block) for block in ids}) == len(ids)
    assert look("planks") == look("oak_planks")
    assert look("light_gray_wool").colour == look("light_gray_concrete").colour != look("gray_wool").colour
    assert look("stone_bricks").pattern == "bricks"
    assert look("") == ANY


def test_an_unknown_block_has_the_same_colour_in_every_process():
    assert look("unobtainium").colour == "#c4d071"
    assert look("unobtainium") != look("unobtainiun")


def test_shading_darkens_below_one_and_lightens_above():
    assert shaded("#804020", 0.5) == "#402010"
    assert shaded("#804020", 2.0) == "#ffffff"


def test_the_difference_names_what_is_missing_wrong_and_extra():
    assert difference(WALL) == ({(2, 0, 0)}, frozenset(), {(6, 2, 0)})
    assert difference(HUT) == ({(1, 1, 0)}, {(0, 1, 0)}, {(2, 1, 2)})
    assert difference(Scene((1, 1, 1), {(0, 0, 0): "stone"})) == (set(), set(), set())
    assert count(HUT) == "11 blocks, 1 missing, 1 wrong, 1 extra"
    assert count(Scene(HUT.size, HUT.target, HUT.target)) == "11 blocks, all as wanted"


@pytest.mark.parametrize(
    ("view", "corner", "place"),
    [
        (Camera(0, 0), (2, 3, 5), (2, 3)),
        (Camera(180, 0), (2, 3, 5), (-2, 3)),
        (Camera(90, 0), (2, 3, 5), (-5, 3)),
        (Camera(0, 90), (2, 3, 5), (2, -5)),
    ],
)
def test_a_view_projects_along_the_axes(view, corner, place):
    assert all(isclose(a, b, abs_tol=1e-12) for a, b in zip(view.project(corner), place, strict=True))


def test_a_solid_cube_shows_three_sides_and_nothing_inside():
    cube = Scene((3, 3, 3), {(x, y, z): "stone" for x in range(3) for y in range(3) for z in range(3)})
    assert sum(shape.role == "block" for shape in shapes(cube, view_of(cube))) == 27


def test_one_can_look_through_glass_but_not_at_the_faces_between_panes():
    row = Scene((2, 1, 1), {(0, 0, 0): "glass", (1, 0, 0): "stone"})
    from_the_left = Camera(-60, 20)
    assert sum(shape.role == "block" for shape in shapes(row, from_the_left)) == 6
    panes = Scene((2, 1, 1), {(0, 0, 0): "glass", (1, 0, 0): "glass"})
    assert sum(shape.role == "block" for shape in shapes(panes, from_the_left)) == 5


def test_missing_blocks_are_outlined_and_extra_ones_crossed():
    roles = [shape.role for shape in shapes(WALL, view_of(WALL))]
    assert roles.count("missing") == 2  # its left side is hidden by the stone
    assert roles.count("extra") == 6  # two strokes on each of three faces
    assert "wrong" not in roles


@settings(max_examples=60, deadline=None)
@given(st.sets(cells, min_size=2, max_size=20), views)
def test_what_is_nearer_is_painted_later(standing, view):
    """Where two faces overlap, the later one is the one the viewer would hit first."""
    scene = Scene((4, 4, 4), dict.fromkeys(standing, "stone"))
    faces = [shape.points for shape in shapes(scene, view) if shape.role == "block"]
    sx, sy, sz = view.towards
    for cell in standing:  # the faces of a cell that nothing hides from three sides are all drawn
        x, y, z = cell
        if not {(x + sx, y, z), (x, y + sy, z), (x, y, z + sz)} & standing:
            corner = view.project((x + (sx > 0), y + 1, z + (sz > 0)))
            assert sum(any(_near(corner, p) for p in face) for face in faces) >= 3
    order = [_owner(face, standing, view) for face in faces]
    for early, late in pairwise(order):
        assert sum(s * (b - a) for s, a, b in zip((sx, sy, sz), early, late, strict=True)) >= 0


def _near(p, q):
    return abs(p[0] - q[0]) < 1e-9 and abs(p[1] - q[1]) < 1e-9


def _owner(face, standing, view):
    """The cell that has a face with these corners."""
    for x, y, z in standing:
        corners = [view.project((x + a, y + b, z + c)) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
        if all(any(_near(p, q) for q in corners) for p in face):
            return x, y, z
    raise AssertionError("a face of no cell")


def test_everything_lies_within_the_bounds():
    for scene in (WALL, HUT):
        left, bottom, right, top = bounds(scene, view_of(scene))
        for shape in shapes(scene, view_of(scene)):
            for x, y in shape.points:
                assert left - 1e-9 <= x <= right + 1e-9
                assert bottom - 1e-9 <= y <= top + 1e-9
