"""How long pictures and pages take (target: a picture of 300 blocks in under a second)."""

import statistics
import time

import pytest
from scenes import record, turn

from collm_envs.pages.episode import page
from collm_envs.render import ascii as ascii_render
from collm_envs.render import voxel
from collm_envs.task import Scene

TOWER = Scene(
    (8, 8, 8),
    {(x, y, z): ("stone_bricks", "oak_planks")[x % 2] for x in range(8) for y in range(8) for z in range(5)},
    {(x, y, z): "stone_bricks" for x in range(8) for y in range(8) for z in range(3, 8)},
)
"""320 blocks stand, half of them extra, and as many are missing or wrong"""


@pytest.mark.bench
def test_a_picture_of_300_blocks_takes_less_than_a_second(capsys):
    def median_ms(draw):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            draw()
            times.append(1000 * (time.perf_counter() - start))
        return statistics.median(times)

    episode = record(*[turn() for _ in range(4)])
    drawn = {
        "text": median_ms(lambda: ascii_render.text(TOWER)),
        "picture": median_ms(lambda: voxel.picture(TOWER)),
        "page of 4 turns": median_ms(lambda: page(episode, [TOWER] * 5)),
    }
    with capsys.disabled():
        print("\n" + "\n".join(f"{name}: {ms:.1f} ms" for name, ms in drawn.items()))
    assert drawn["picture"] < 1000
