"""Worlds as Minecraft functions, checked by a small interpreter of the commands they hold."""

import re

import pytest

import collm_envs
from collm_envs.render import mcfunction
from collm_envs.task import Scene

COORDINATE = re.compile(r"~(\d*)")


def run(text):
    """What the commands build; None for cells that were cleared."""
    world = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, *numbers, block = line.split()
        k = [int(COORDINATE.fullmatch(number)[1] or 0) for number in numbers]
        (x1, y1, z1), (x2, y2, z2) = k[:3], k[-3:]
        assert (name, len(k)) in (("setblock", 3), ("fill", 6))
        assert (x2 - x1 + 1) * (y2 - y1 + 1) * (z2 - z1 + 1) <= 32_768
        for x in range(x1, x2 + 1):
            for y in range(y1, y2 + 1):
                for z in range(z1, z2 + 1):
                    world[x, y, z] = None if block == "minecraft:air" else block
    return world


def test_function_builds_the_house_of_an_episode_with_ids_that_the_game_knows():
    env = collm_envs.make("HouseBuild-v0")
    env.reset(seed=0)
    task = env.task
    rng = None
    env.step({a: task.players["expert"](task, env.snapshot, a, rng) for a in env.agents})
    scene = task.scene(env.snapshot)
    text = mcfunction.text(scene)
    world = run(text)
    assert len(world) == 6 * 7 * 7
    built = {cell: block for cell, block in world.items() if block}
    names = {"planks": "oak_planks"}
    assert built == {cell: f"minecraft:{names.get(b, b)}" for cell, b in scene.blocks.items()}
    assert len(text.splitlines()) < 45


def test_function_of_a_word_clears_its_wall_first():
    scene = Scene(size=(5, 5, 1), blocks={(1, 4, 0): "stone"})
    assert mcfunction.text(scene) == (
        "# 5 x 5 x 1, 1 blocks\nfill ~ ~ ~ ~4 ~4 ~ minecraft:air\nsetblock ~1 ~4 ~ minecraft:stone\n"
    )


def test_large_worlds_are_filled_in_parts_that_the_game_allows():
    size = (40, 50, 60)
    blocks = {(x, 0, z): "stone" for x in range(40) for z in range(60)}
    world = run(mcfunction.text(Scene(size=size, blocks=blocks)))
    assert len(world) == 40 * 50 * 60
    assert {cell for cell, block in world.items() if block} == set(blocks)


@pytest.mark.parametrize("block", ["", "Stone", "two words", "stone\nkill @a", "a:b:c"])
def test_names_that_cannot_be_block_ids_are_refused(block):
    with pytest.raises(ValueError, match="block id"):
        mcfunction.text(Scene(size=(1, 1, 1), blocks={(0, 0, 0): block}))


def test_scene_without_a_world_is_refused():
    with pytest.raises(ValueError, match="size"):
        mcfunction.text(Scene(texts={"a": "b"}))
